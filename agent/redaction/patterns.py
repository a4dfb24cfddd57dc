"""What credentials look like in text, rule by rule. Pure; RE2, so that the time is linear whatever the text is.

All works on bytes: output is bytes, and RE2 would turn text into them first. A pattern names the part that goes
`hidden`; what stands around it stays. A check has the last word where a pattern alone would hide too much.
"""

import base64
import binascii
from collections.abc import Callable, MutableMapping
from typing import Final, NamedTuple

import re2

from agent.redaction.markers import bare
from agent.redaction.names import is_credential, is_key_in_secret

Counts = MutableMapping[str, int]

# So much of a value is looked at to decide whether it is one: it keeps the time linear.
_DECISIVE_BYTES: Final = 256


class Rule(NamedTuple):
    """One way to find credentials. `check` sees what would be hidden; False leaves it. One of `signs` stands, in small
    letters, in every text that the pattern finds: to look for them is quicker.
    """

    name: str
    signs: tuple[bytes, ...]
    pattern: "re2._Regexp"
    check: Callable[["re2._Match"], bool] | None = None


def _compile(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes stand for themselves
    options.max_mem = 64 << 20
    return re2.compile(pattern.encode(), options)


def _span(match: "re2._Match", name: bytes) -> tuple[int, int]:
    """Where a group is; RE2 knows the groups of a pattern of bytes by number only."""
    span: tuple[int, int] = match.span(match.re.groupindex[name])
    return span


def _part(match: "re2._Match", name: bytes) -> bytes:
    start, end = _span(match, name)
    part: bytes = match.string[start:end]
    return part


# A value that is none: empty, switched off, a reference, or hidden already.
_NO_VALUE: Final = _compile(
    r"(?i)^(?:(?:true|false|null|nil|none|yes|no|on|off|unset|empty|undefined|required|optional|\d{1,5}"
    r"|not|missing|invalid|expired|unknown|expected|unexpected|changed|rejected|accepted"
    r"|\*+|x{3,}|\.{3}|-+|redacted|hidden|masked|\|-?|>-?)$|<|\[|\{|\$[({]|\$\w|%[sdvqw]|&)|^[^A-Za-z0-9]+$"
)
_CALL: Final = _compile(r"^[A-Za-z_][\w.]*\(")  # token = self.fetch_token(url)
# klog and controllers name a Secret so: secret="default/web-tls".
_OBJECT_NAME: Final = _compile(r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*$")
_UNLIKE_A_WORD: Final = _compile(r"[0-9+/=_!@#$%^&*~]|[a-z][A-Z]")
_MIXED: Final = _compile(r"[A-Za-z][^\s]*[0-9]|[0-9][^\s]*[A-Za-z]")
_ALGORITHM: Final = _compile(r"(?i)sha|md5|crypt|pbkdf|argon|hash|^v\d|^\d+(?:[nmu]?s|[mh]|[kmg]i?b)$|^\[")
_FIRST_ON_LINE: Final = _compile(r"""^[\s>|-]*\\*["']?[A-Za-z0-9_.-]+[ \t\\"']*:[ \t]*$""")


def _is_basic(match: "re2._Match") -> bool:
    token = _part(match, b"hidden")
    try:
        return b":" in base64.b64decode(token + b"=" * (-len(token) % 4), validate=True)
    except binascii.Error:
        return False


def _is_opaque(match: "re2._Match") -> bool:
    token = _part(match, b"hidden")
    return len(token) >= 32 or _UNLIKE_A_WORD.search(token) is not None


def _is_shown(match: "re2._Match") -> bool:
    return not _part(match, b"hidden").startswith(b"[redacted:")


def _is_said(match: "re2._Match") -> bool:
    return not _NO_VALUE.search(_part(match, b"hidden"))


def _is_flag(match: "re2._Match") -> bool:
    return is_credential(_part(match, b"name").decode("latin-1")) and not _NO_VALUE.search(_part(match, b"hidden"))


def _is_tagged(match: "re2._Match") -> bool:
    name = _part(match, b"name") or _part(match, b"key")
    return is_credential(name.decode("latin-1")) and not _NO_VALUE.search(_part(match, b"hidden"))


def _is_made_up(match: "re2._Match") -> bool:
    """Whether a word behind "password" is one that nobody would write for another reason."""
    word = _part(match, b"hidden")
    return _MIXED.search(word) is not None and _ALGORITHM.search(word) is None


RULES: Final = (
    Rule("jwt", (b"eyj",), _compile(r"(?P<hidden>\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)")),
    Rule("bearer", (b"bearer",), _compile(r"(?i)\bbearer[ \t:=]+(?P<hidden>[A-Za-z0-9+/=._~-]{8,})"), _is_opaque),
    Rule("basic", (b"basic",), _compile(r"(?i)\bbasic[ \t]+(?P<hidden>[A-Za-z0-9+/]{8,}={0,2})"), _is_basic),
    Rule(
        "authorization",
        (b"authorization",),
        _compile(
            r"""(?i)\b(?:proxy-)?authorization\\*["']?[ \t]*[:=][ \t\\"'\[]*(?:[a-z][\w-]*[ \t]+)?"""
            r"""(?P<hidden>[^\s"'\\\[\],]{8,})"""
        ),
        _is_opaque,
    ),
    Rule(
        "vendor_key",
        (
            *(
                b"akia",
                b"asia",
                b"aiza",
                b"ya29.",
                b"ghp_",
                b"gho_",
                b"ghu_",
                b"ghs_",
                b"ghr_",
                b"github_pat_",
                b"glpat-",
            ),
            *(
                b"xox",
                b"sk_",
                b"rk_",
                b"sk-",
                b"npm_",
                b"pypi-",
                b"hvs.",
                b"hvb.",
                b"hvr.",
                b"dop_v1_",
                b"sg.",
                b"kubently_",
                b"hooks.slack",
            ),
        ),
        _compile(
            r"(?P<hidden>\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}\b|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}"
            r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
            r"|xox[abeposr]-[A-Za-z0-9-]{10,}|(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}|sk-[A-Za-z0-9_-]{20,}"
            r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|hv[sbr]\.[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{64}"
            r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|kubently_(?:key|agent)_[A-Za-z0-9_-]{20,}"
            r"|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}))"
        ),
    ),
    Rule(
        "cookie",
        (b"cookie",),
        _compile(r"""(?i)\b(?:set-)?cookie\\*["']?[ \t]*:[ \t\\]*["']?(?P<hidden>[A-Za-z0-9_.-]+=[^"'\\\r\n]+)"""),
    ),
    Rule(
        "url_password",
        (b"://",),
        _compile(r"""[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@"'<>]*:(?P<hidden>[^\s/"'<>]+)@"""),
        _is_shown,
    ),
    Rule(
        "bootstrap_token",
        (b"token", b"bootstrap"),
        _compile(r"(?i)(?:token|bootstrap)[^\n]{0,40}?\b(?P<hidden>[a-z0-9]{6}\.[a-z0-9]{16})\b"),
    ),
    Rule(
        "credential",
        (b"--",),
        _compile(r"""--(?P<name>[A-Za-z0-9-]{1,128})[ \t]+(?P<hidden>[^\s"'-][^\s"']*)"""),
        _is_flag,
    ),
    # A command line as a list: ["--password", "x"].
    Rule(
        "credential",
        (b"--",),
        _compile(r"""--(?P<name>[A-Za-z0-9-]{1,128})\\*["'][ \t]*,[ \t]*\\*["'](?P<hidden>[^\s"'\\-][^\s"'\\]*)"""),
        _is_flag,
    ),
    # <password>x</password>, <add key="Password" value="x"/>
    Rule(
        "credential",
        (b"</", b"value="),
        _compile(
            r"""(?:<(?P<name>[A-Za-z][\w.-]{0,127})>|(?:key|name)="(?P<key>[\w.:-]{1,128})"[ \t]+value=")"""
            r"""(?P<hidden>[^<>"\n]+)(?:</|")"""
        ),
        _is_tagged,
    ),
    # Programs and files that have a form of their own for it: curl -u user:x, mysql -px, sshpass -p x, .netrc, .npmrc,
    # redis.conf, nslcd.conf.
    Rule(
        "credential",
        (b"curl", b"mysql", b"sshpass", b"login", b"requirepass", b"masterauth", b"bindpw", b"rootpw", b"_auth"),
        _compile(
            r"""(?i)(?:\bcurl\b[^\n]*?[ \t](?:-u|--user|--proxy-user)[ \t=]*["']?[^\s:"']+:"""
            r"""|\bmysql\w*\b[^\n]*?[ \t]-p|\bsshpass[ \t]+-p[ \t]*|\blogin[ \t]+\S+[ \t]+password[ \t]+"""
            r"""|\b(?:requirepass|masterauth|bindpw|rootpw)[ \t=:]+["']?|(?:^|[\s:])_auth[ \t]*=[ \t]*)"""
            r"""(?P<hidden>[^\s"'=\[-][^\s"']*)"""
        ),
        _is_said,
    ),
    # Docker's: "auth": "<user:password in base64>".
    Rule(
        "basic",
        (b"auth",),
        _compile(r"""\bauth\\*["'][ \t]*:[ \t]*\\*["'](?P<hidden>[A-Za-z0-9+/]{8,}={0,2})\\*["']"""),
        _is_basic,
    ),
    # A signed URL of Azure's.
    Rule("credential", (b"sig=",), _compile(r"[?&]sig=(?P<hidden>[A-Za-z0-9%+/=]{20,})")),
    # In a sentence: password "x", the password is x.
    Rule(
        "credential",
        (b"password",),
        _compile(r"""(?i)\bpassword(?:[ \t]+is)?[ \t]+["'`]?(?P<hidden>[^\s"'`,;:=()\[\]]{6,})"""),
        _is_made_up,
    ),
)

# The rule "credential" once more: a name, what joins it to its value (also inside of a JSON text that stands in another
# one), and the value.
_NAMED: Final = _compile(r"""(?P<name>[A-Za-z0-9_.-]{1,128})(?P<sign>\\*["']?[ \t]*(?::=|=>|[:=])[ \t]*)""")
_QUOTED: Final = {
    b'"': _compile(r"""^"(?P<hidden>(?:[^"\\\n]|\\[^\n])+)"""),
    b"\\": _compile(r"""^\\+["'](?P<hidden>(?:[^"'\\\n]|\\[^"'\n])+)"""),
    b"'": _compile(r"""^'(?P<hidden>[^'\n]+)"""),
}
_REST_OF_LINE: Final = _compile(r"^(?P<hidden>[^\r\n]+)")
_UNQUOTED: Final = _compile(r"""^(?P<hidden>[^\s"'\\,;&)}\]][^\s"'\\,;&]*)""")

# Escape sequences of terminals, control characters but for tab and line ends, and characters of no width.
_INVISIBLE: Final = _compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf"
)
# One of these stands wherever a rule could find anything: what has none of them is not looked at any closer.
SUSPICION: Final = _compile(
    r"(?i)passw|passphrase|passcode|pwd|(?:\b|_|\d)(?:pass|pw)(?:\b|_|\d)"
    r"|(?-i:[A-Za-z]P(?:ass|w)(?:[^a-z]|$)|\b(?:pass|pw)[A-Z])"
    r"|secret|token|(?:api|access|private|signing|encryption|master|account|shared|auth|license|ssh|deploy|hmac|session"
    r"|storage)[_.-]?key|creds|credential|connection[_.-]?string|dsn|id[_.-]?rsa|dockerc|htpasswd|kubeconfig|bearer"
    r"|basic[ \t]|authorization|jwt|eyJ|-----BEGIN"
    r"|AKIA|ASIA|AIza|ya29\.|gh[pousr]_|github_pat|glpat-|xox[abeposr]-|[sr]k_(?:live|test)|sk-|npm_|pypi-|hv[sbr]\."
    r"|dop_v1|SG\.|kubently_|hooks\.slack|cookie|://[^\s/@]*:[^\s/]*@|bootstrap"
    r"|bindpw|rootpw|requirepass|masterauth|curl[ \t]|mysql|sshpass|[?&]sig=|auth\\*[\"']|_auth[ \t=]"
)


def hide(text: bytes, counts: Counts) -> bytes:
    """The text with markers in place of credentials. Private keys of several lines are `text.py`'s to find.

    Colours and other invisible characters may stand between a name and its value; where something is hidden in such a
    text, they go.
    """
    if SUSPICION.search(text) is None:
        return text
    plain = _INVISIBLE.sub(b"", text) if _INVISIBLE.search(text) else text
    if plain != text:
        hidden = _hide_plain(plain, counts)
        return text if hidden == plain else hidden
    return _hide_plain(text, counts)


def _hide_plain(text: bytes, counts: Counts) -> bytes:
    lower = text.lower()
    for rule in RULES:
        if any(sign in lower for sign in rule.signs):
            text = _apply(rule, text, counts)
    return _apply_named(text, counts)


def _apply(rule: Rule, text: bytes, counts: Counts) -> bytes:
    pieces: list[bytes] = []
    end = 0
    for match in rule.pattern.finditer(text):
        if rule.check is not None and not rule.check(match):
            continue
        start, stop = _span(match, b"hidden")
        pieces += [text[end:start], bare(rule.name).encode()]
        end = stop
        counts[rule.name] = counts.get(rule.name, 0) + 1
    return b"".join([*pieces, text[end:]]) if pieces else text


def _apply_named(text: bytes, counts: Counts) -> bytes:
    """Hide values by the name before them: `password=…`, `"token": "…"`, `DB_PASSWORD: …`."""
    pieces: list[bytes] = []
    end = 0
    for match in _NAMED.finditer(text):
        if match.start() < end or not is_credential(_part(match, b"name").decode("latin-1")):
            continue
        start = match.end()
        kind = _QUOTED.get(text[start : start + 1], _UNQUOTED)
        value = kind.search(text[start : start + _DECISIVE_BYTES])
        if value is None:
            continue
        is_first = kind is _UNQUOTED and _is_first_on_line(match)
        if not _is_value(match, _part(value, b"hidden"), is_quoted=kind is not _UNQUOTED, is_first=is_first):
            continue
        if is_first:  # `password: two words`, as YAML and kubectl's descriptions have it
            kind = _REST_OF_LINE
            value = kind.search(text[start : start + _DECISIVE_BYTES])
        begin, stop = start + _span(value, b"hidden")[0], start + value.end()
        if value.end() >= _DECISIVE_BYTES - 1:
            stop = start + kind.search(text[start:]).end()
        pieces += [text[end:begin], bare("credential").encode()]
        end = stop
        counts["credential"] = counts.get("credential", 0) + 1
    return b"".join([*pieces, text[end:]]) if pieces else text


def _is_value(named: "re2._Match", value: bytes, *, is_quoted: bool, is_first: bool) -> bool:
    """Whether what stands behind a credential's name is its value, and not a word about it."""
    if _NO_VALUE.search(value):
        return False
    if _part(named, b"name").lower().endswith(b"secret") and _OBJECT_NAME.search(value):
        return False
    if is_key_in_secret(_part(named, b"name").decode("latin-1"), value.decode("latin-1")):
        return False
    sign = _part(named, b"sign")
    if is_quoted or b"=" in sign:
        return not (sign == b" = " and _CALL.search(value))
    # "token: unexpected end" in a sentence is none. "password: hunter" alone on its line is a file's.
    return is_first or (len(value) >= 6 and _UNLIKE_A_WORD.search(value) is not None)


def _is_first_on_line(named: "re2._Match") -> bool:
    """Whether `name: ` begins a line."""
    text, end = named.string, named.end()
    line = text.rfind(b"\n", max(0, end - _DECISIVE_BYTES), end) + 1
    return (line > 0 or end <= _DECISIVE_BYTES) and _FIRST_ON_LINE.search(text[line:end]) is not None
