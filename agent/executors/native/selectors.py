"""Label and field selectors where kubectl reads them itself: for `top`. Elsewhere they go to the server as they are.

What comes out is the selector in kubectl's spelling; what is wrong is said in kubectl's words. Pure, and linear in the
text. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from dataclasses import dataclass
from typing import Final

from agent.executors.native.errors import CommandFailed

_TOKEN: Final = re.compile(r"[ \t\r\n]*(==|=|!=|!|[(),<>]|[^ \t\r\n=!(),<>]+|$)")
_SYMBOLS: Final = frozenset({"=", "==", "!=", "!", "(", ")", ",", "<", ">"})
_SETS: Final = frozenset({"in", "notin"})
_ONE_VALUE: Final = frozenset({"=", "==", "!=", "<", ">"})

_NAME: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE: Final = f"({_NAME})?"
_DOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_MAX_NAME_BYTES: Final = 63
_MAX_DOMAIN_BYTES: Final = 253
_OF_WHAT: Final = (
    "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_NAME_RULE: Final = (
    f"must {_OF_WHAT} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_KEY_RULE: Final = (
    f"a qualified name {_NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_RULE: Final = (
    f"a valid label must be an empty string or {_OF_WHAT} "
    f"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
)
_DOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_DOMAIN}')"
)
_INTEGER: Final = re.compile(r"([-+]?)(?=[0-9])0*([0-9]{,19})")  # an int64 has 19 digits at most


def label_selector(text: str) -> str:
    """`c in (z,y), a=b` becomes `a=b,c in (y,z)`. Raises CommandFailed: `error: unable to parse requirement: …`."""
    return ",".join(str(found) for found in sorted(_Parser(text).requirements(), key=lambda found: found.key))


def field_selector(text: str) -> str:
    """`b!=1,a==2` becomes `a=2,b!=1`. Raises CommandFailed: `error: invalid selector: 'a'; can't understand 'a'`."""
    terms = re.findall(r"((?:\\.|[^\\,]|\\$)+)(?:,|$)", text, re.DOTALL)
    return ",".join(filter(None, [_field_term(term, text) for term in sorted(terms, key=str.encode)]))


@dataclass(frozen=True, slots=True)
class _Requirement:
    """One condition; `operator` "" asks for the label, "!" for its absence."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.operator in _SETS:
            return f"{self.key} {self.operator} ({','.join(self.values)})"
        if self.operator == "!":
            return f"!{self.key}"
        return f"{self.key}{self.operator}{''.join(self.values)}"


class _Parser:
    """Reads a label selector from left to right. A token is its text; "" is the end."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = [*_TOKEN.findall(text), ""]
        self._place = 0

    def requirements(self) -> list[_Requirement]:
        """All conditions. Raises CommandFailed."""
        if not self._next:
            return []
        if not self._is_start():
            raise _unexpected(self._next, "expected: !, identifier, or 'end of string'")
        found = [self._requirement()]
        while behind := self._take():
            if behind != ",":
                raise _unexpected(behind, "expected: ',' or 'end of string'")
            if not self._is_start():
                raise _unexpected(self._next, "expected: identifier after ','")
            found.append(self._requirement())
        return found

    @property
    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self) -> str:
        token = self._next
        if token:
            self._place += 1
        return token

    def _is_start(self) -> bool:
        return self._next == "!" or _is_word(self._next)

    def _requirement(self) -> _Requirement:
        is_absent = self._next == "!"
        if is_absent:
            self._take()
        key = self._take()
        if not _is_word(key):
            raise _bad(_unexpected(key, "expected: identifier"))
        problems = _key_problems(key)
        if problems:
            raise _bad(_invalid("<nil>", key, "; ".join(problems)))
        if is_absent:
            return _Requirement(key, "!")
        if self._next in {"", ","}:
            return _Requirement(key, "")
        operator = self._take()
        if operator not in _SETS | _ONE_VALUE:
            raise _bad(_unexpected(operator, "expected: in, notin, =, ==, !=, gt, lt"))
        values = tuple(sorted(self._values(), key=str.encode)) if operator in _SETS else (self._value(),)
        _check_values(key, operator, values)
        return _Requirement(key, operator, values)

    def _value(self) -> str:
        if self._next in {"", ","}:
            return ""
        value = self._take()
        if not _is_word(value):
            raise _bad(_unexpected(value, "expected: identifier"))
        return value

    def _values(self) -> set[str]:
        """What stands in brackets. Nothing between commas is the empty value."""
        if self._next != "(":
            raise _bad(CommandFailed(f"error: found '{self._next}' expected: '('"))
        self._take()
        if self._next in _SYMBOLS - {",", ")"} or not self._next:
            raise _bad(_unexpected(self._next, "expected: ',', ')' or identifier"))
        values: set[str] = set()
        while True:
            values.add(self._take() if _is_word(self._next) else "")
            behind = self._take()
            if behind == ")":
                return values
            if behind != ",":
                raise _bad(_unexpected(behind, "expected: ',' or ')'"))


def _is_word(token: str) -> bool:
    return bool(token) and token not in _SYMBOLS


def _check_values(key: str, operator: str, values: tuple[str, ...]) -> None:
    problems = []
    if operator in {"<", ">"} and not _is_int64(values[0]):
        problems.append(_invalid("values[0]", values[0], "for 'Gt', 'Lt' operators, the value must be an integer"))
    for place, value in enumerate(values):
        rules = ["must be no more than 63 characters"] if len(value.encode()) > _MAX_NAME_BYTES else []
        if re.fullmatch(_VALUE, value) is None:
            rules.append(_VALUE_RULE)
        if rules:
            problems.append(_invalid(f"values[{place}][{key}]", value, "; ".join(rules)))
    if len(problems) == 1:
        raise _bad(problems[0])
    if problems:
        texts = ", ".join(problem.text.removeprefix("error: ") for problem in problems)
        raise _bad(CommandFailed(f"error: [{texts}]"))


def _is_int64(text: str) -> bool:
    match = _INTEGER.fullmatch(text)
    return match is not None and -(2**63) <= int(f"{match[1]}{match[2] or 0}") < 2**63


def _key_problems(key: str) -> list[str]:
    """What is wrong with a label's key, in kubectl's words."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [_KEY_RULE]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        if len(prefix.encode()) > _MAX_DOMAIN_BYTES:
            problems.append("prefix part must be no more than 253 characters")
        if re.fullmatch(_DOMAIN, prefix) is None:
            problems.append(f"prefix part {_DOMAIN_RULE}")
    if not name:
        problems.append("name part must be non-empty")
    elif len(name.encode()) > _MAX_NAME_BYTES:
        problems.append("name part must be no more than 63 characters")
    if re.fullmatch(_NAME, name) is None:
        problems.append(f"name part {_NAME_RULE}")
    return problems


def _field_term(term: str, selector: str) -> str:
    # An operator counts wherever it stands first: in names, backslashes mean nothing.
    match = re.match(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
    if match is None:
        raise CommandFailed(f"error: invalid selector: '{selector}'; can't understand '{term}'")
    name, operator, value = match.groups()
    for part in re.findall(r"\\.|=|\\$", value, re.DOTALL):
        if part == "=":
            raise CommandFailed(f"error: invalid field selector: unescaped character in value: {ord('=')}")
        if part not in {"\\\\", "\\,", "\\="}:
            raise CommandFailed(f"error: invalid field selector: invalid escape sequence: {part}")
    return f"{name}{'!=' if operator == '!=' else '='}{value}" if name or value else ""


def _unexpected(token: str, expected: str) -> CommandFailed:
    return CommandFailed(f"error: found '{token}', {expected}")


def _invalid(place: str, value: str, rules: str) -> CommandFailed:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return CommandFailed(f'error: {place}: Invalid value: "{escaped}": {rules}')


def _bad(error: CommandFailed) -> CommandFailed:
    return CommandFailed(f"error: unable to parse requirement: {error.text.removeprefix('error: ')}")
