"""schemas/grep.py: patterns, the lines they match, and what they may cost."""

import time
from pathlib import Path

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.grep import GrepError, Matcher


def select(pattern: str, text: str) -> str:
    return Matcher(pattern).select(text.encode()).decode()


@pytest.mark.parametrize(
    ("pattern", "text", "selected"),
    [
        ("error", "an error\nnone\nerrors\n", "an error\nerrors\n"),
        ("^err", "error\nan error\n", "error\n"),
        ("or$", "error\nerrors\nerror", "error\nerror"),
        ("^$", "a\n\nb\n\n", "\n\n"),
        ("x*", "a\n\nb", "a\n\nb"),
        ("", "a\n\n", "a\n\n"),
        ("(?i)É", "é\ne\n", "é\n"),
        ("[^a]", "a\nb\n", "b\n"),
        (r"\s", "a\nb c\n", "b c\n"),
        (r"(?s)a.b", "a\nb\na-b\n", "a-b\n"),
        (r"\Aa", "ba\nab\n", "ab\n"),
        (r"a\z", "ba\nab\n", "ba\n"),
        ("(?-m)^a$", "a\nab\na", "a\na"),
        (r"a\nb", "a\nb\n", ""),
        ("^a\r?$", "a\r\na\nab\n", "a\r\na\n"),
        ("é|𝄞", "€\n𝄞\n", "𝄞\n"),
        (r"\x{FFFD}", "a\ufffd\nb\n", "a\ufffd\n"),
        ("(?P<m>a)(b)", "ab\nb\n", "ab\n"),
        ("a", "", ""),
    ],
)
def test_lines_are_matched_without_their_ends(pattern: str, text: str, selected: str) -> None:
    assert select(pattern, text) == selected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(b", "does not compile: missing ): a(b (it is RE2, without look-around and back-references)"),
        ("*a", "does not compile: no argument for repetition operator: *"),
        ("a**", "does not compile: bad repetition operator: **"),
        ("[z-a]", "does not compile: invalid character class range: z-a"),
        ("(?=a)", "does not compile: invalid perl operator: (?="),
        (r"(a)\1", r"does not compile: invalid escape sequence: \1"),
        ("a\\", "does not compile: trailing \\"),
        ("(é", "does not compile: missing ): (é"),
        ("a\nb", "has a line end, which no line has in it"),
        ("\ud800", "has half of a surrogate pair"),
        ("x{1001}", "does not compile: invalid repetition size: {1001}"),
        ("x{1000}{1000}", "does not compile: bad repetition operator: {1000}{1000}"),
        ("(x{1000}){1000}", "does not compile: invalid repetition size: {1000}"),
        (".{1000}", "is too large: 8004 steps, 2500 at most"),
        (r"\pL{1000}", "is too large: far over 2500 steps"),
        (r"\PL" * 170, "is too large: far over 2500 steps"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(
    pattern: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GrepError) as caught:
        Matcher(pattern)
    assert str(caught.value).startswith(message)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", ["𝄞" * 512, "|".join(["error"] * 85), "(" * 255 + ")" * 255, "x{1000}", "a" * 512])
def test_a_pattern_of_the_length_that_may_be_is_taken(pattern: str) -> None:
    assert Matcher(pattern).select(b"\n") in {b"", b"\n"}


atoms = st.sampled_from(
    [
        *("a", "b", "é", " ", ".", "^", "$", "x*", "a+", "b?", "[^a]", "[ab]", "(?s:.)", "(?i:A)", "(?i)", "(?m:^)"),
        *("(?-m:$)", "(?-m)", "(?m)", "(?U)", "(?s)", "()", "(a|)", "(^|b)", "(a$)", "a{2}", "|", "(?:a|b)*", "[^é]*"),
        *(r"\b", r"\B", r"\s", r"\S", r"\W", r"\w+", r"\D", r"\A", r"\z", r"\n", r"[\n]", r"[^\n]", r"\x0a", r"\pL"),
        *(r"\PL", r"\C", r"\Q.\E", r"[[:space:]]", r"[[:^alpha:]]", r"\p{Cc}", r"\012", r"\pZ"),
    ]
)


@given(st.lists(atoms, min_size=1, max_size=6).map("".join), st.text("abxAé \r\n\t", max_size=40))
@settings(max_examples=1000, deadline=None)
def test_searching_many_lines_at_once_is_as_one_by_one(pattern: str, text: str) -> None:
    try:
        matcher = Matcher(pattern)
    except GrepError as error:
        assert "compile" in str(error) or "too large" in str(error)
        return
    alone = re2.compile(pattern)
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    expected = [line for line in lines if line and alone.search(line.removesuffix("\n").encode())]
    assert matcher.select(text.encode()).decode() == "".join(expected)


ADVERSARIAL = (
    "(a+)+$",
    "(a|a)*b",
    "(a*)*c",
    "(a|b)*a(a|b){12}c",
    "(a|b)*a[ab]{400}c",
    "(?:[ab]?){200}c",
    "(a?){200}a{200}c",
    "|".join(f"a{{{size}}}c" for size in range(10, 50)),
    ".*.*.*.*.*c",
    "(?i)(a|b|ab|ba)*c$",
    "(a|b)*",
    "x*",
)


def seconds(matcher: Matcher, text: bytes) -> float:
    """Of this thread, the shortest of a few runs: what disturbs only adds."""
    times = []
    for _ in range(3):
        begun_at = time.thread_time()
        matcher.select(text)
        times.append(time.thread_time() - begun_at)
    return min(times)


@pytest.mark.parametrize("pattern", ADVERSARIAL)
def test_four_times_the_text_takes_about_four_times_the_time(pattern: str) -> None:
    matcher = Matcher(pattern)
    # No two stretches are alike, so what RE2 has learned saves it little.
    stretch = "".join(f"{number * 7919:b}" for number in range(1000, 1500)).translate({48: "a", 49: "b"}).encode()
    for line_bytes in (len(stretch), 10):
        lines = [stretch[start : start + line_bytes] + b"\n" for start in range(0, len(stretch), line_bytes)]
        text = b"".join(lines)
        assert seconds(matcher, text * 4) < 10 * seconds(matcher, text) + 0.001  # quadratic: 16 times


@pytest.mark.parametrize("pattern", ADVERSARIAL)
def test_matching_takes_little_memory(pattern: str) -> None:
    text = "".join(f"{number * 7919:b}" for number in range(1000, 1500)).translate({48: "a", 49: "b"}).encode()
    Matcher(pattern).select(text)
    before = _resident_bytes()
    matchers = [Matcher(pattern) for _ in range(8)]
    for matcher in matchers:
        matcher.select(text)
    assert _resident_bytes() - before < len(matchers) * 2 * 1024 * 1024


def _resident_bytes() -> int:
    fields = Path("/proc/self/status").read_text(encoding="ascii").split("VmRSS:")[1].split()
    return int(fields[0]) * 1024
