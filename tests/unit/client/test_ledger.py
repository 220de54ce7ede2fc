import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncerpc.client.session.ledger import Ledger


def test_acked_follows_the_finished_calls_without_a_gap():
    """`acked` is the highest n up to which every call is finished, whatever order they finish in."""
    ledger = Ledger()
    assert [*ledger.begin(), *ledger.begin(4)] == [1, 2, 3, 4, 5]
    for seq, acked in [(2, 0), (3, 0), (1, 3), (5, 3), (4, 5)]:
        ledger.finish(seq)
        assert ledger.acked == acked


def test_a_full_window_begins_nothing():
    """While seq would lead acked by more than the window, no call begins."""
    ledger = Ledger(window=2)
    assert [*ledger.begin(), *ledger.begin(), *ledger.begin()] == [1, 2]
    ledger.finish(2)
    assert not ledger.begin()
    ledger.finish(1)
    assert [*ledger.begin()] == [3]


def test_calls_that_leave_together_begin_together_or_not_at_all():
    """A part of the window that is held while waiting for the rest is missing to everybody else."""
    ledger = Ledger(window=4)
    assert [*ledger.begin(3)] == [1, 2, 3]
    assert not ledger.begin(2)
    assert [*ledger.begin(1)] == [4]
    ledger.finish(1)
    ledger.finish(2)
    assert [*ledger.begin(2)] == [5, 6]


def test_a_ledger_goes_on_where_an_earlier_process_stopped():
    """After a restart only the unanswered calls hold `acked` back, and no seq is given out twice."""
    ledger = Ledger(next_seq=8, unanswered=[4, 6])
    assert (ledger.acked, ledger.open_count) == (3, 2)
    assert [*ledger.begin()] == [8]
    ledger.finish(4)
    assert ledger.acked == 5
    ledger.finish(6)
    assert ledger.acked == 7


def test_a_ledger_without_unanswered_calls_has_acknowledged_all():
    """A session file of answered calls lets the server forget every record."""
    assert Ledger(next_seq=8).acked == 7


@pytest.mark.parametrize("seq", [0, 2, 1])
def test_finishing_twice_or_what_never_began_is_a_programmer_error(seq):
    """A ledger that counts a call twice would acknowledge one that is still open."""
    ledger = Ledger()
    ledger.begin()
    ledger.finish(1)
    with pytest.raises(AssertionError):
        ledger.finish(seq)


@given(st.data(), st.integers(1, 8), st.integers(1, 6), st.lists(st.integers(0, 3), max_size=80))
def test_the_books_are_right_after_any_history(data, window, first, steps):
    """Against the definition, written out: any interleaving of beginnings and endings, from any start."""
    still_open = set(data.draw(st.sets(st.integers(1, first - 1)))) if first > 1 else set()
    ledger = Ledger(first, still_open, window)
    begun = set(range(1, first))
    highest_acked = 0
    for count in steps:
        if count:
            seqs = ledger.begin(count)
            assert len(seqs) == (count if max(begun, default=0) + count - ledger.acked <= window else 0)
            assert not begun & {*seqs}
            begun |= {*seqs}
            still_open |= {*seqs}
        elif still_open:
            seq = data.draw(st.sampled_from(sorted(still_open)))
            ledger.finish(seq)
            still_open.discard(seq)
        expected = min(still_open, default=max(begun, default=0) + 1) - 1
        assert ledger.acked == expected >= highest_acked
        assert ledger.open_count == len(still_open)
        highest_acked = ledger.acked
