"""agent/executors/native/printers/yamlscalars.py: single scalars; what stands here kubectl 1.33 printed."""

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.yamlscalars import number, reread, scalar, short, simple_key

NO_STRINGS = (
    *("", "~", "y", "Y", "yes", "No", "ON", "off", "true", "False", "null", "NULL"),
    *("1", "-1", "+1", "1_000", "-_1", "0x1F", "-0x1f", "0o17", "017", "08", "0b11", "0B1", "0b-1", "0b+1", "9" * 20),
    *("0xffffffffffffffff", "-0x8000000000000000", "9" * 308),
    *("1.5", "1.", "+.5", ".5", ".1_0", ".1e1_0", "1e3", "1E-5", "1_.5", ".inf", "-.INF", ".NaN"),
    *("12:30", "-1:2", "190:20:30.5", "1_2:3", "1:2._"),
    *("2001-01-01", "2001-1-1", "0000-02-29", "2001-01-01T00:00:00Z", "2001-01-01t1:2:3.55+24:60"),
    *("2001-01-01   1:2:3", "2001-01-01T00:00:00,5Z"),
)
STRINGS = (
    *("yEs", "nULL", "oN", "tRUE", "None", "nan", "inf", ".nAn", "<<", "="),
    *(
        "_1",
        "1a",
        "e5",
        ".",
        "..",
        "-",
        "+",
        "0x",
        "0b2",
        "0o8",
        "1__2x",
        "._1",
        ".1_",
        ".1__0",
        "1e",
        "1e999",
        "0b1_z",
    ),
    *("0x10000000000000000", "-0x8000000000000001", "+0xffffffffffffffff", "9" * 309, "7" * 400, "١"),
    *("1:60", "1:2:", ":1", "2001-02-30", "2001-13-01", "2001-01-01T24:00:00Z", "2001-01-01T00:00:00"),
    *("2001-01-01 1:2:3Z", "2001-01-01T00:00:00+25:00", "01-01-01", "10.0.0.1", "1.2.3"),
)
FLAT = {
    "web-0": "web-0",
    "a:b": "a:b",
    "a#b": "a#b",
    "-a": "-a",
    "?a": "?a",
    "<<": "<<",
    "=": "=",
    "a, [b] {c}": "a, [b] {c}",
    "it's": "it's",
    'say "x"': 'say "x"',
    "café 你好 \xa0x": "café 你好 \xa0x",
    " ": "' '",
    " a": "' a'",
    "a ": "'a '",
    "a:": "'a:'",
    "a: b": "'a: b'",
    "a #b": "'a #b'",
    "- a": "'- a'",
    "-": "'-'",
    "? a": "'? a'",
    ":": "':'",
    "---": "'---'",
    "...x": "'...x'",
    "'a'": "'''a'''",
    '"a"': "'\"a\"'",
    "@a": "'@a'",
    "%a": "'%a'",
    "`a": "'`a'",
    "{a": "'{a'",
    "*a": "'*a'",
    "!a": "'!a'",
    "a\tb": r'"a\tb"',
    "a\rb": r'"a\rb"',
    'a"\\\r': r'"a\"\\\r"',
    "\0\a\b\v\f\x1b\x1f": r'"\0\a\b\v\f\e\x1F"',
    "hi 😀": r'"hi \U0001F600"',
    "a\ufeffb é": '"a\\uFEFFb é"',
    "\ufeffa \xa0é": r'"\uFEFF\x61\x20\_\xE9"',
    "a \nb": r'"a \nb"',
    "a\nb ": r'"a\nb "',
    "a\n\tb": r'"a\n\tb"',
    "a\u2028": "'a\u2028'",
    "a\u2028b\u2029\u2029c": "'a\u2028  b\u2029\u2029  c'",
    "\u2028'": "'\u2028  '''",
    "a\u2028 b": r'"a\L b"',
    "a \u2029b": r'"a \Pb"',
}
BLOCKS = {
    "a\nb": "|-\n  a\n  b\n",
    "a\nb\n": "|\n  a\n  b\n",
    "a\n\n": "|+\n  a\n\n",
    "a\n\n  b": "|-\n  a\n\n    b\n",
    " a\nb": "|2-\n   a\n  b\n",
    "\na": "|2-\n\n  a\n",
    "\n": "|2+\n\n",
    "\n\n": "|2+\n\n\n",
    "a\u2028b\nc": "|-\n  a\u2028  b\n  c\n",
    "a\nb\u2028": "|\n  a\n  b\u2028",
}
NUMBERS = {
    "0": (0, 0.0, -0.0),
    "3": (3, 3.0),
    "-9223372036854775808": (-(2**63),),
    "-9.223372036854776e+18": (-(2.0**63),),
    "9223372036854776000": (2.0**63,),
    "1.8446744073709552e+19": (2.0**64,),
    "-1e+19": (-1e19,),
    "1e+20": (1e20,),
    "1e+21": (1e21,),
    "1000000000000000000": (1e18,),
    "0.1": (0.1,),
    "123456.5": (123456.5,),
    "1.2345675e+06": (1234567.5,),
    "0.0001": (1e-4,),
    "1e-05": (1e-5,),
    "-5e-324": (-5e-324,),
}
W40 = "w" * 40


@pytest.mark.parametrize("text", NO_STRINGS)
def test_what_is_no_string_when_plain_is_quoted(text: str) -> None:
    assert scalar(text, 0, "  ") == f'"{text}"\n'
    assert short(text) == f' "{text}"\n'
    assert simple_key(text) == (f'"{text}"' if len(text) <= 128 else None)


@pytest.mark.parametrize("text", STRINGS)
def test_what_only_looks_like_a_number_or_time_is_plain(text: str) -> None:
    assert scalar(text, 0, "  ").strip("'\n") == text
    assert '"' not in scalar(text, 0, "  ")


@pytest.mark.parametrize(("text", "flat"), FLAT.items())
def test_quotes_and_escapes(text: str, flat: str) -> None:
    assert scalar(text, 10, "  ") == flat + "\n"
    has_breaks = any(character in text for character in "\n\r\u2028\u2029")
    assert short(text) == (None if has_breaks else f" {flat}\n")
    assert simple_key(text) == (None if has_breaks else flat)


@pytest.mark.parametrize(("text", "block"), BLOCKS.items())
def test_blocks(text: str, block: str) -> None:
    assert scalar(text, 10, "  ") == block
    assert short(text) is None
    assert simple_key(text) is None


@pytest.mark.parametrize(("text", "values"), NUMBERS.items())
def test_numbers(text: str, values: tuple[float, ...]) -> None:
    assert [number(value) for value in values] == [text for _ in values]


@pytest.mark.parametrize(
    ("text", "column", "folded"),
    [
        (f"{W40} {W40[:-1]} x y", 0, f"{W40} {W40[:-1]} x\n  y"),  # the space in column 80 still fits
        (f"{W40} {W40} x", 0, f"{W40} {W40}\n  x"),
        (f"{W40} {W40} x", 40, f"{W40} {W40}\n  x"),
        (f"{W40} {W40} x", 41, f"{W40}\n  {W40} x"),
        (f"{W40} {W40}  x y", 0, f"{W40} {W40}  x\n  y"),  # not at several spaces
        ("a b", 200, "a\n  b"),
        (f"{W40}' {W40}: x", 0, f"'{W40}'' {W40}:\n  x'"),
        (f"' {W40}{W40} ", 2, f"''' {W40}{W40} '"),  # never before the last character
        (f" {W40}{W40} x", 100, f"' {W40}{W40}\n  x'"),
        (f"{W40}\t{W40}  x", 0, f'"{W40}\\t{W40}\n  \\ x"'),
        (f"{W40}\t{W40}   x", 0, f'"{W40}\\t{W40}\n  \\  x"'),
        (f"{W40}\t{W40} ", 0, f'"{W40}\\t{W40} "'),
        (f"{W40}\u2028{W40}{W40} x", 0, f"'{W40}\u2028  {W40}{W40}\n  x'"),
        (f"{W40}{W40}\n{W40}{W40} x y", 0, f"|-\n  {W40}{W40}\n  {W40}{W40} x y"),
        ("é" * 40 + " " + "é" * 40 + " x", 0, "é" * 40 + " " + "é" * 40 + "\n  x"),  # characters, not bytes
    ],
)
def test_folding(text: str, column: int, folded: str) -> None:
    assert scalar(text, column, "  ") == folded + "\n"


@pytest.mark.parametrize(
    ("text", "read"),
    [("a \x85 b", "a b"), ("a \x85 \x85b", "a\nb"), ("\x85a", " a"), ("a\n\x85\nb", "a\n \nb"), ("a\xa0b", "a\xa0b")],
)
def test_next_line_characters_are_folded(text: str, read: str) -> None:
    assert reread(text) == read


@pytest.mark.parametrize("character", ["\x7f", "\x80", "\x84", "\x86", "\x9f", "\ufffe", "\uffff"])
def test_control_characters_are_refused(character: str) -> None:
    for write in (reread, short, lambda text: scalar(text, 0, "")):
        with pytest.raises(CommandFailed) as raised:
            write(f"a{character}b")
        assert raised.value.text == "error: yaml: control characters are not allowed"


def test_a_long_key_is_not_simple() -> None:
    assert simple_key("é" * 64) == "é" * 64
    assert simple_key("é" * 64 + "k") is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [" " * 10**6 + "x\x85", " \x85" * 500_000, "\u2028x" * 300_000, "1_" * 500_000, "1:" * 500_000, "0x" + "1" * 10**6],
    ids=["spaces", "next lines", "separators", "digits", "sixties", "hexadecimal"],
)
def test_a_million_odd_characters_take_no_time(text: str) -> None:
    assert scalar(text, 0, "  ")
