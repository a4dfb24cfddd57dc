"""What is drawn can be checked: right outputs pass, and no wrong one does."""

from collections.abc import Callable
from random import Random

import pytest

from chaos.kinds import Mix
from chaos.ledger import Kind
from chaos.samples import Samples
from tests.cluster import numbered

SAMPLES = Samples("x", 1)
TEXT = numbered.lines(0, 50)


MIX = Mix(SAMPLES, has_streams=True, has_cancel=True)


def drawn(mix: Mix = MIX, count: int = 500) -> list[tuple[Kind, str]]:
    random = Random(2)
    return [mix.draw(random) for _ in range(count)]


def a(name: str) -> Kind:
    return next(kind for kind, _ in drawn() if kind.name == name)


def test_the_manners_are_those_the_hub_offers() -> None:
    assert {manner for _, manner in drawn()} == {"sync", "async", "plain", "followed", "cancelled"}
    bare = Mix(SAMPLES, has_streams=False, has_cancel=False)
    assert {manner for _, manner in drawn(bare)} == {"sync", "async", "plain", "closed"}


def test_the_same_seed_draws_the_same() -> None:
    first, again = ([kind.args for kind, _ in drawn()] for _ in range(2))
    assert first == again


def test_outputs_that_are_known_before() -> None:
    small = SAMPLES.texts["small"]
    text = a("text small")
    assert text.fault(small, "whole") is None
    assert text.fault(small[:100], "head") is None
    assert text.fault(small[:100], "whole") is not None
    assert text.fault(small[:100] + small[99:], "head") is not None
    rows = a("custom columns")
    right = "".join(f"{name}   {sum_}\n" for name, sum_ in SAMPLES.rows.items())
    assert rows.fault(right, "whole") is None
    assert rows.fault(right[:-90], "head") is None
    assert rows.fault("", "head") is None
    assert rows.fault(right[:-90], "whole") is not None
    assert rows.fault(right.replace("row-003", "row-004"), "whole") is not None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("000000007 ", "000000008 "),
        lambda text: text.replace("000000007 ", ""),
        lambda text: text[:500] + text[501:],
        lambda text: text[:500] + text[499:],
        lambda text: text + text[-50:],
        lambda text: text + "000000052 ",
        lambda text: text + numbered.line(50, "0000000a"),
        lambda text: text[:900] + numbered.lines(0, 50, "0000000a")[900:],
        lambda text: "".join(reversed(text.splitlines(keepends=True))),
    ],
)
def test_numbered_lines_with_anything_wrong(spoil: Callable[[str], str]) -> None:
    assert numbered.fault(TEXT) is None
    assert numbered.fault(spoil(TEXT)) is not None
    followed = a("followed talker")
    assert followed.fault(TEXT, "head") is None
    assert followed.fault(spoil(TEXT), "head") is not None


def test_a_log_whose_length_is_known() -> None:
    log = a("log of 200")
    right = numbered.lines(0, 200, "1f0c9a4b")
    assert log.fault(right, "whole") is None
    assert log.fault(right[:-1], "whole") is not None
    assert log.fault(right[:-1], "head") is None
    assert log.fault("", "whole") is not None
    assert log.fault(right + numbered.line(200, "1f0c9a4b"), "whole") is not None


def test_a_stream_whose_beginning_is_no_longer_kept() -> None:
    followed = a("followed flooder")
    tail = TEXT[333:-5]
    assert followed.fault(tail, "head") is not None
    assert followed.fault(tail, "part") is None
    assert followed.fault(tail[:400] + tail[401:], "part") is not None
    assert followed.fault("", "head") is None


def test_half_a_character_at_the_end_of_what_was_cut_short() -> None:
    followed = a("followed talker")
    assert followed.fault(TEXT[:500] + "\ufffd", "head") is None
    assert followed.fault(TEXT[:500] + "\ufffd" + TEXT[501:], "head") is not None


def test_a_numbered_text_can_end_and_start_anywhere() -> None:
    text = numbered.lines(70, 5, "1f0c9a4b")
    for end in range(len(text)):
        assert numbered.fault(text[:end], 70) is None
    assert numbered.fault("000000071", 70) is not None
    assert numbered.first_number(text) == 70
    assert numbered.first_number("x" + text) is None
