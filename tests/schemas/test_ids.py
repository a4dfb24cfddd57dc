import re
import time

from schemas.ids import made_at, new_id, new_trace_id


def test_ids_hold_80_random_bits_behind_their_time() -> None:
    some = [new_id("res") for _ in range(1000)]
    assert all(re.fullmatch(r"res_[0-9a-f]{29}", one) for one in some)
    assert len({one[13:] for one in some}) == 1000
    made = made_at(some[0])
    assert made is not None
    assert made == int(some[0][4:13], 16) / 16
    assert abs(made - time.time()) < 60
    assert [made_at(text) for text in ("", "res_none", new_trace_id("req"), f"{some[0]}\n")] == [None] * 4


def test_ids_are_in_the_order_of_their_making() -> None:
    ticks = [new_id("sess")[:14] for _ in range(1000)]
    assert ticks == sorted(ticks)


def test_trace_ids_are_as_many_as_asked_for() -> None:
    some = {new_trace_id("req") for _ in range(1000)}
    assert len(some) == 1000
    assert all(re.fullmatch(r"req_[0-9a-f]{20}", one) for one in some)
