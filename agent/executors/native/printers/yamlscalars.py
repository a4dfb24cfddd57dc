"""How kubectl writes one string or number as YAML. Pure.

kubectl makes JSON of an object, reads that JSON as YAML, and writes what it read. So a text is first read (`reread`),
then written: plain, in quotes, or as a block of lines. It is plain when it may be; in single quotes when something in
it would end or begin something; in double quotes when it needs escapes, or plain would not be read as a string.

A scalar is "flat" while it stands on one line. It is folded only at spaces, so a flat one without any is done.
"""

import math
import re
from datetime import date
from functools import lru_cache
from typing import Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.values import go_float, json_float

WIDTH: Final = 80  # the column behind which kubectl's YAML library folds
SHORT: Final = 64  # characters up to which a text is remembered: names, kinds, times, most images
_REMEMBERED: Final = 4096  # texts; at most a few MB
_SIMPLE_KEY: Final = 128  # bytes; libyaml's limit, and its children's

_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)

# What happens to the JSON text when it is read as YAML. U+0085 ends a line there, so it is folded away.
_CHANGES: Final = re.compile("[\x7f-\x9f\ufffe\uffff]")
_UNREADABLE: Final = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NEXT_LINES: Final = re.compile("(?<! ) *\x85[ \x85]*")  # looks at each run of spaces once
_MARKER: Final = re.compile("\x85(?:---|\\.\\.\\.)[ \x85]")

# The library escapes all above U+FFFF: to it an emoji is not printable. Nor is a tab.
_UNPRINTABLE: Final = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_ESCAPED: Final = re.compile('["\\\\]|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]')
_ANY: Final = re.compile("(?s:.)")
_BYTE_ORDER_MARK: Final = "\ufeff"
_ESCAPES: Final = dict(zip('\0\a\b\t\n\v\f\r\x1b\xa0"\\\u2028\u2029', '0abtnvfre_"\\LP', strict=True))

_BREAK: Final = re.compile("[\n\r\u2028\u2029]")
_SPACE_THEN_BREAK: Final = re.compile(" [\n\r\u2028\u2029]")
_BREAK_THEN_SPACE: Final = re.compile("[\n\r\u2028\u2029] ")
_SEPARATORS: Final = re.compile("([\u2028\u2029]+)")
_LINE_WITH_TEXT: Final = re.compile("(?:\\A|(?<=[\n\u2028\u2029]))(?=[^\n\u2028\u2029])")

# Where a line may be folded, by the character the scalar begins with. A quoted one keeps its first and last character
# on their lines; a double-quoted one can be folded within a run of spaces, behind its first.
_PLAIN_GAP: Final = re.compile("(?<! ) (?! )")
_GAPS: Final = {"'": re.compile(r"(?<! )(?<!\A') (?! |'\Z)"), '"': re.compile(r'(?<! )(?<!\A") (?!"\Z)')}

# What begins something other than a plain scalar.
_INDICATOR: Final = re.compile(r"""[ #,\[\]{}&*!|>'"%@`]|[-?:](?: |\Z)|---|\.\.\.""")

# What YAML 1.1 reads as something other than a string.
_WORDS: Final = frozenset(
    {"", "~", ".nan", ".NaN", ".NAN"}
    | {sign + form for sign in ("", "+", "-") for form in (".inf", ".Inf", ".INF")}
    | {
        form
        for word in ("y", "yes", "on", "true", "n", "no", "off", "false", "null")
        for form in (word, word.capitalize(), word.upper())
    }
)
_RADIX: Final = re.compile(r"[-+]?0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_ODD_BINARY: Final = re.compile(r"0b[-+][01]+")  # the library strips "0b" and parses the rest, sign and all
_DECIMAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FRACTION: Final = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_BASE_60: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_CLOCK: Final = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?"
_TIME: Final = re.compile(
    rf"([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})(?:[Tt]{_CLOCK}(?:Z|[-+]([0-9]{{2}}):([0-9]{{2}}))| +{_CLOCK})?"
)
_TIME_LIMITS: Final = (23, 59, 59, 24, 60, 23, 59, 59)  # of the groups behind the date, as Go's time.Parse has them


def reread(text: str) -> str:
    """The text as kubectl has it after reading its own JSON as YAML: a U+0085 is folded as a line break is.

    Raises CommandFailed for the control characters that YAML does not allow and JSON does not escape, and for what
    looks like the begin or end of a document behind a U+0085.
    """
    if not _CHANGES.search(text):
        return text
    if _UNREADABLE.search(text):
        raise CommandFailed("error: yaml: control characters are not allowed")
    if marker := _MARKER.search(text):
        line = text.count("\x85", 0, marker.end() - 1) + 1  # kubectl counts those of the whole object
        raise CommandFailed(f"error: yaml: line {line}: found unexpected document indicator")
    return _NEXT_LINES.sub(lambda breaks: "\n" * (breaks[0].count("\x85") - 1) or " ", text)


@lru_cache(_REMEMBERED)
def short(text: str) -> str | None:
    """A space, the text as a value, a newline: right for any text up to SHORT that does not reach beyond WIDTH.

    None when it has line breaks; see `scalar`. Raises CommandFailed as `reread` does.
    """
    text = reread(text)
    return None if _BREAK.search(text) else f" {_flat(text)}\n"


def scalar(text: str, column: int, indent: str) -> str:
    """The text as a value, to the end of its last line. `column` is where it starts, `indent` what its further lines
    start with. The end is a newline, or the line separator (U+2028, U+2029) with which a block ends.

    Raises CommandFailed as `reread` does.
    """
    text = reread(text)
    if "\n" in text and not _needs_escapes(text) and text[-1] != " ":
        return _block(text, indent)
    flat = _flat(text)
    gap = _GAPS.get(flat[0], _PLAIN_GAP)
    first, *more = _SEPARATORS.split(flat)
    lines = [_folded(first, gap, column, indent)]
    for separators, line in zip(more[::2], more[1::2], strict=True):
        lines += separators, line if line == "'" else indent + _folded(line, gap, len(indent), indent)
    return "".join(lines) + "\n"


def simple_key(text: str) -> str | None:
    """The text as a key, without its colon. None when it is too long or has line breaks: then it stands like a value,
    behind `? `. The text must have been reread.
    """
    return None if _BREAK.search(text) or len(text.encode()) > _SIMPLE_KEY else _flat(text)


def number(value: float) -> str:
    """A number (int or float) as a value. A float without fraction is an integer as long as 64 bits hold it."""
    if isinstance(value, int):
        return str(value)
    text = json_float(value)
    if text.lstrip("-").isdecimal() and ((whole := int(text)) in _INT64 or whole in _UINT64):
        return str(whole)
    return go_float(value)


def _flat(text: str) -> str:
    """The text on one line, except for U+2028 and U+2029 in single quotes."""
    if "\n" in text or _needs_escapes(text) or _is_no_string(text):
        return _double_quoted(text)
    if not _BREAK.search(text):
        if not (_INDICATOR.match(text) or text[-1] in " :" or ": " in text or " #" in text):
            return text
    elif _BREAK_THEN_SPACE.search(text):  # a reader would take the space for a part of the indentation
        return _double_quoted(text)
    return "'" + text.replace("'", "''") + "'"


def _needs_escapes(text: str) -> bool:
    return bool(_UNPRINTABLE.search(text) or _SPACE_THEN_BREAK.search(text))


def _double_quoted(text: str) -> str:
    # The library looks for this mark at the start of the text where it means to look at each character.
    escaped = _ANY if text.startswith(_BYTE_ORDER_MARK) else _ESCAPED
    return '"' + escaped.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if char in _ESCAPES:
        return "\\" + _ESCAPES[char]
    code = ord(char)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _folded(flat: str, gap: re.Pattern[str], column: int, indent: str) -> str:
    """The scalar, or a part of one, folded at gaps behind WIDTH; see `scalar`."""
    if column + len(flat) <= WIDTH:
        return flat
    pieces: list[str] = []
    begin = 0
    while found := gap.search(flat, max(begin + WIDTH + 1 - column, begin)):
        pieces += flat[begin : found.start()], "\n", indent
        begin, column = found.end(), len(indent)
        if flat[begin] == " ":  # a reader would take it for a part of the indentation
            pieces.append("\\")
            column += 1
    return "".join(pieces) + flat[begin:]


def _block(text: str, indent: str) -> str:
    """The text as `|` and its lines. Says how they are indented if the first line does not show it, and how many
    breaks end the text: `-` none, `+` several.
    """
    shown = "2" if text[0] == " " or _BREAK.match(text) else ""
    end = "" if _BREAK.match(text[-1]) else "\n"
    chomp = "-" if end else "+" if len(text) == 1 or _BREAK.match(text[-2]) else ""
    return f"|{shown}{chomp}\n" + _LINE_WITH_TEXT.sub(indent, text) + end


def _is_no_string(text: str) -> bool:
    """Whether YAML 1.1 reads the plain text as null, a boolean, a number or a time."""
    if text in _WORDS:
        return True
    if text[0] == ".":
        return bool(_FRACTION.fullmatch(text)) and not math.isinf(float(text))
    if text[0] not in "+-0123456789":
        return False
    digits = text.replace("_", "")
    if _RADIX.fullmatch(digits):
        value = int(digits, 0)
        return value in _INT64 or (value in _UINT64 and digits[0] != "+")
    if _ODD_BINARY.fullmatch(digits):
        return int(digits.removeprefix("0b"), 2) in _INT64
    if _DECIMAL.fullmatch(digits) and not math.isinf(float(digits)):
        return True
    return bool(_BASE_60.fullmatch(text)) or _is_time(text)


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if not found:
        return False
    year, month, day, *rest = (int(group or 0) for group in found.groups())
    try:
        date(year or 400, month, day)  # the year 0 has as many days, and Python has no year 0
    except ValueError:
        return False
    return all(value <= limit for value, limit in zip(rest, _TIME_LIMITS, strict=True))
