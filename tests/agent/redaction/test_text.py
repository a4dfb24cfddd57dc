"""Text on its way out: what goes, what stays, in whatever pieces it comes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.redaction.text import MAX_KEY_BYTES, WINDOW_BYTES, Text

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nq7l8==\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


def screened(text: str | bytes, sizes: Iterator[int] | None = None, **how: bool) -> tuple[str, dict[str, int]]:
    raw = text.encode() if isinstance(text, str) else text
    counts: dict[str, int] = {}
    screen, pieces, start = Text(counts, **how), [], 0
    while start < len(raw):
        size = len(raw) if sizes is None else next(sizes)
        pieces.append(screen.feed(raw[start : start + size]))
        start += size
    return b"".join([*pieces, screen.finish()]).decode(errors="replace"), counts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer [redacted:bearer]"),
        ("authorization: Basic dXNlcjpwYXNz x", "authorization: Basic [redacted:basic] x"),
        ("Authorization: Custom s3cretvalue", "Authorization: Custom [redacted:authorization]"),
        (f"got {JWT}, ok", "got [redacted:jwt], ok"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted:vendor_key]"),
        ("key ghp_" + "a1B2" * 9, "key [redacted:vendor_key]"),
        ("kubently_key_" + "x1" * 20, "[redacted:vendor_key]"),
        ("postgres://app:s3cr@t@db:5432/x", "postgres://app:[redacted:url_password]@db:5432/x"),
        ("password=hunter2&user=bob", "password=[redacted:credential]&user=bob"),
        ('{"password":"hunter2","user":"bob"}', '{"password":"[redacted:credential]","user":"bob"}'),
        ('{"password":"pa\\"ss","n":1}', '{"password":"[redacted:credential]","n":1}'),
        ('msg="{\\"token\\":\\"abc\\"}"', 'msg="{\\"token\\":\\"[redacted:credential]\\"}"'),
        ("  password: two words", "  password: [redacted:credential]"),
        ("      DB_PASSWORD:  hunter2", "      DB_PASSWORD:  [redacted:credential]"),
        ("db.password = 'hunter 2'", "db.password = '[redacted:credential]'"),
        ("run --token abc123 --verbose", "run --token [redacted:credential] --verbose"),
        ("Cookie: sid=abc123; theme=dark", "Cookie: [redacted:cookie]"),
        ("to https://hooks.slack.com/services/T00000000/B00000000/XXXX", "to https://[redacted:vendor_key]"),
        ("note: api_key=abc", "note: api_key=[redacted:credential]"),
        ("bootstrap token 07401b.f395accd246ae52d", "bootstrap token [redacted:bootstrap_token]"),
        (f"a\n{KEY}\nb", "a\n[redacted:private_key]\nb"),
        (f'{{"key": "{KEY}"}}'.replace("\n", "\\n"), '{"key": "[redacted:private_key]"}'),
    ],
)
def test_credentials_go(text: str, expected: str) -> None:
    shown, counts = screened(text)
    assert shown == expected
    assert sum(counts.values()) == 1
    assert screened(shown) == (shown, {})  # once is enough


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "basic authentication failed", "the bearer authentication scheme", "token bucket is full"),
        *("error: invalid token: unexpected EOF", "token=true", "password=", "password: ''", "tokens=123", "token: 42"),
        *(
            'secret="default/web-tls"',
            "secretName: web-tls",
            "passwordPolicy=strict",
            "secretKeyRef: x",
            "token: <none>",
        ),
        *("https://example.com:8080/a@b", "git@github.com:a/b", "password=${DB_PASSWORD}", "password: [redacted:jwt]"),
        *("Tokens:              web-token-abc", "Secret", "TOKEN_URL=https://x/y", "password=***", "kind: Secret"),
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "      DB_PASSWORD:  <set to the key 'password' in secret 'db'>  Optional: false",
        "kubernetes.io/service-account-token   3      5d",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert screened(text) == (text, {})


def test_control_characters_are_shown() -> None:
    shown, counts = screened("\x1b[31mred\x1b[0m\r\n\ttab\rover\x00 \u202eabc\u009b\n")
    assert shown == "\\x1b[31mred\\x1b[0m\r\n\ttab\\x0dover\\x00 \\u202eabc\\x9b\n"
    assert counts == {"control_characters": 6}
    assert screened("\x1b[31m", shows_controls=False) == ("\x1b[31m", {})


def test_off_is_off() -> None:
    text = f"password=hunter2 {JWT} \x1b"
    assert screened(text, hides=False, shows_controls=False) == (text, {})


def test_a_key_that_does_not_end_is_hidden_so_far_and_no_further() -> None:
    shown, _ = screened("a\n-----BEGIN PRIVATE KEY-----" + "x" * 99 + "\n" * MAX_KEY_BYTES + "later\n")
    assert shown.startswith("a\n[redacted:private_key]\n")
    assert shown.endswith("\nlater\n")
    assert len(shown) < 200


def test_whole_lines_go_on_at_once_and_the_rest_at_the_end() -> None:
    screen = Text({})
    assert screen.feed(b"one\ntwo") == b"one\n"
    assert screen.feed(b" words\nthree") == b"two words\n"
    assert screen.finish() == b"three"


PARTS = st.sampled_from(
    [
        *(
            "hello ",
            "\n",
            "\r\n",
            "password=hunter2 ",
            "token: abc\n",
            "\x1b[1m",
            "ü€\u202e",
            KEY,
            JWT,
            "Bearer abcdefghij1 ",
        ),
        *("-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----", "x" * 3000, "a,b," * 1000, "y " * 2000),
        *("z" * (WINDOW_BYTES - 10), " ", '"password": "', 'quo\\"ted" '),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PARTS, max_size=12), st.lists(st.integers(1, 100_000), min_size=1, max_size=8))
def test_the_pieces_in_which_it_comes_make_no_difference(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)

    def again() -> Iterator[int]:
        while True:
            yield from sizes

    assert screened(text, again()) == screened(text)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from('aB1 :="\\\n\t-_.,/@%token'), max_size=200), st.integers(1, 9))
def test_any_text_in_any_pieces(text: str, size: int) -> None:
    def each() -> Iterator[int]:
        while True:
            yield size

    assert screened(f"password={text}", each()) == screened(f"password={text}")


HOSTILE = {
    "one line": "x",
    "names": "password=",
    "colons": "token: ",
    "no names": "secretName:",
    "tokens": "eyJaaaaaaaa.",
    "quotes": 'password:"',
    "keys": "-----BEGIN PRIVATE KEY-----",
    "escapes": "\x1b",
    "returns": "\r",
    "urls": "a://b:",
    "flags": "--token ",
    "headers": "authorization: ",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_is_linear(unit: str) -> None:
    """Ten times as much takes about ten times as long, not a hundred."""

    def seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1)).encode()
        begun = time.perf_counter()
        screened(text)
        return time.perf_counter() - begun

    seconds(20_000)
    small = min(seconds(150_000) for _ in range(3))
    assert seconds(1_500_000) < 30 * small + 0.1


def test_ordinary_logs_stay() -> None:
    """No more than one line of 10,000 that has no credential is changed."""
    lines = [line for line in Path(__file__).with_name("ordinary.log").read_text().splitlines() if line]
    changed = [line for line in lines for shown in [screened(line)[0]] if shown != line]
    assert not changed
