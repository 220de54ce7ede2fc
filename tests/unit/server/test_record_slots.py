"""Where a session's records stand: no two in one place, and no more places than records ever were there at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from oncekv.server.engine.storage.record_slots import SLOTS, Slots


def test_one_call_after_the_other_needs_one_slot() -> None:
    """The slot that an acknowledgement vacates is the next record's, and nothing is left to delete."""
    slots = Slots({})
    for seq in range(1, 100):
        assert slots.forget(max(0, seq - 2), seq - 1) == (seq > 1)
        assert slots.take(seq) == 0
        assert slots.settle() == []


def test_what_nobody_takes_again_is_to_be_deleted_once() -> None:
    """After a batch of ten, one call: its record takes a slot of the ten, nine rows go."""
    slots = Slots({})
    for seq in range(1, 11):
        slots.take(seq)
    assert slots.forget(0, 10) == 10
    taken = slots.take(11)
    gone = slots.settle()
    assert sorted([*gone, taken]) == list(range(10))
    assert slots.settle() == []


def test_a_leap_of_the_watermark_costs_what_is_kept() -> None:
    """A client that skips two to the sixty numbers does not keep the writer busy with them."""
    slots = Slots({5: 0, 6: 1})
    assert slots.forget(4, 2**60) == 2
    assert slots.kept == {}


def test_a_whole_window_fits() -> None:
    """As many records as a session may keep, each in a slot of its own."""
    slots = Slots({})
    assert {slots.take(seq) for seq in range(1, SLOTS + 1)} == set(range(SLOTS))


STEPS = st.lists(st.one_of(st.just("take"), st.just("settle"), st.just("reload"), st.integers(1, 6)), max_size=80)


@settings(max_examples=300)
@given(STEPS)
def test_rows_and_slots_agree_whatever_happens(steps: list[str | int]) -> None:
    """A model of the table: each record is found in its place, and what is not kept has no row after a settlement."""
    slots, rows, seq, acked, most = Slots({}), dict[int, int](), 0, 0, 0
    for step in [*steps, "settle"]:
        if step == "take":
            seq += 1
            rows[slots.take(seq)] = seq
        elif isinstance(step, int):
            before, acked = acked, min(seq, acked + step)
            slots.forget(before, acked)
        else:
            for slot in slots.settle():
                del rows[slot]
            if step == "reload":
                slots = Slots({number: slot for slot, number in rows.items()})
            assert {number: slot for slot, number in rows.items()} == slots.kept
        assert all(rows[slot] == number for number, slot in slots.kept.items())
        assert set(slots.kept) == set(range(acked + 1, seq + 1))
        most = max(most, len(slots.kept))
        assert max(rows, default=-1) < most, "a slot was free, and another was taken"


@given(st.sets(st.integers(1, 20)), st.integers(0, 20), st.integers(1, 20))
def test_a_watermark_takes_along_what_is_there_and_counts_it(seqs: set[int], before: int, step: int) -> None:
    """Numbers that were skipped, or refused, have no record: they are neither missed nor counted."""
    acked = before + step
    kept = {seq: slot for slot, seq in enumerate(sorted(seq for seq in seqs if seq > before))}
    gone = {slot for seq, slot in kept.items() if seq <= acked}
    slots = Slots(kept)
    assert slots.forget(before, acked) == len(gone)
    assert set(slots.kept) == {seq for seq in kept if seq > acked}
    assert sorted(slots.settle()) == sorted(gone)
