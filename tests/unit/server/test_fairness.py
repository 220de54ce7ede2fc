"""Which calls wait, and stand together in a group, when one client has sent thousands and others one each."""

from __future__ import annotations

import pytest

from oncekv.server.config import Config
from oncekv.server.engine import call_queue as module
from oncekv.server.engine.call_queue import SHARE_MAX, CallQueue, Ticket
from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.server.rpc.dispatcher import _NO_METHOD
from oncerpc.wire.errors import Overloaded
from oncerpc.wire.identity import NO_META, CallMeta

DEPTH = 10_000
GROUP_MAX = 256
BYTES = 100


@pytest.fixture
def queue() -> CallQueue:
    """Any number of calls may wait in it."""
    return CallQueue(Config(store_url="sqlite:///never", group_max=GROUP_MAX, queue_max=10 * DEPTH), None)


def _request(queue: CallQueue, depth: int) -> list[Call]:
    """The calls of one request, let in."""
    calls = [Call(_NO_METHOD, NO_META) for _ in range(depth)]
    queue.put([Submission(calls, BYTES * depth, lambda: None)])
    assert not any(call.reply for call in calls)
    return calls


def _take(queue: CallQueue) -> tuple[list[Call], list[Ticket]]:
    """The next group; empty where nothing waits."""
    return queue.take(0) or ([], [])


def _groups(queue: CallQueue) -> list[list[Call]]:
    """All groups until nothing waits."""
    groups = []
    while calls := _take(queue)[0]:
        assert 0 < len(calls) <= GROUP_MAX
        groups.append(calls)
    assert (queue._waiting, queue._waiting_bytes) == (0, 0)
    return groups


def _group_of(groups: list[list[Call]], call: Call) -> int:
    (found,) = [number for number, group in enumerate(groups) if call in group]
    return found


def test_single_calls_go_with_the_next_group_beside_a_deep_batch(queue: CallQueue) -> None:
    """The batch was there first, with 10,000 calls: what comes later is in the next group, and the batch goes on."""
    deep = _request(queue, DEPTH)
    for _ in range(3):
        _take(queue)
    singles = [_request(queue, 1)[0] for _ in range(100)]
    first, *rest = _groups(queue)
    assert all(single in first for single in singles)
    assert len(first) == GROUP_MAX
    assert [call for group in (first, *rest) for call in group if call not in singles] == deep[3 * GROUP_MAX :]


@pytest.mark.parametrize("batches", [1, 7, 8, 20])
def test_the_wait_is_bounded_by_how_many_wait_and_not_by_how_deep_they_are(queue: CallQueue, batches: int) -> None:
    """Everybody who is ahead has one share, and then it is one's turn: so many groups, and no more."""
    for _ in range(batches):
        _request(queue, 10 * SHARE_MAX)
    singles = [_request(queue, 1)[0] for _ in range(5)]
    groups = _groups(queue)
    shares_ahead = batches * SHARE_MAX
    for place, single in enumerate(singles):
        assert _group_of(groups, single) == (shares_ahead + place) // GROUP_MAX


def test_without_shares_a_single_call_waits_for_a_group_of_each_batch(
    queue: CallQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin: whoever has the turn fills the group, and a single call stands behind as many as are deep."""
    monkeypatch.setattr(module, "SHARE_MAX", DEPTH)
    for _ in range(8):
        _request(queue, DEPTH)
    (single,) = _request(queue, 1)
    assert _group_of(_groups(queue), single) == 8


def test_a_request_is_finished_with_the_group_that_has_its_last_call(queue: CallQueue) -> None:
    """Not with an earlier one, and its calls stay in order."""
    depths = [1, SHARE_MAX, SHARE_MAX + 1, 3 * GROUP_MAX, 2]
    requests = [_request(queue, depth) for depth in depths]
    taken: list[Call] = []
    finished: list[int] = []
    while (group := _take(queue))[0]:
        calls, tickets = group
        taken += calls
        for ticket in tickets:
            assert ticket.calls[-1] in taken
            finished.append(len(ticket.calls))
    assert sorted(finished) == sorted(depths)
    assert finished[-1] == max(depths)
    for calls in requests:
        assert [call for call in taken if call in calls] == calls


SMALL = 8
KEY = IdempotencyKey(b"scope", "key")


def _narrow() -> CallQueue:
    return CallQueue(Config(store_url="sqlite:///never", queue_max=SMALL), None)


def _enters(queue: CallQueue, seq: int | None, session: str = "s", key: IdempotencyKey | None = None) -> bool:
    """Whether a request of one call was let in; else it is done, and told `overloaded`."""
    call = Call(_NO_METHOD, CallMeta(session=session, seq=seq))
    call.key = key
    done: list[bool] = []
    queue.put([Submission([call], BYTES, lambda: done.append(True))])
    if call.refusal is not None:
        assert (call.refusal, done) == (Overloaded.name, [True])
    return call.refusal is None


@pytest.mark.parametrize(("seq", "key"), [(1, None), (None, KEY)])
def test_copies_of_one_call_fill_half_of_the_queue(seq: int | None, key: IdempotencyKey | None) -> None:
    """The other half is for calls that do not wait yet, whoever sends them; a group that is taken makes room again."""
    queue = _narrow()
    assert [_enters(queue, seq, key=key) for _ in range(SMALL)] == [True] * 4 + [False] * 4
    assert [_enters(queue, 2), _enters(queue, 1, "other"), _enters(queue, 3)] == [True] * 3
    assert not _enters(queue, 2), "a copy of one that came in the second half"
    assert _enters(queue, 4)
    assert not _enters(queue, 5), "the queue is full"
    _take(queue)
    assert _enters(queue, seq, key=key)


def test_calls_without_an_identity_are_no_copies_of_each_other() -> None:
    """Nor are those that only name their session."""
    queue = _narrow()
    assert [_enters(queue, None) for _ in range(SMALL + 1)] == [True] * SMALL + [False]


def test_of_a_batch_the_copies_alone_are_refused() -> None:
    """In the second half of the queue: the other calls stay, in order."""
    queue = _narrow()
    for seq in range(1, 5):
        assert _enters(queue, seq)
    calls = [Call(_NO_METHOD, CallMeta(session="s", seq=seq)) for seq in (5, 1, 6, 5, 7)]
    queue.put([Submission(calls, BYTES, lambda: None)])
    assert [call.refusal for call in calls] == [None, Overloaded.name, None, Overloaded.name, None]
    assert [call.meta.seq for call in _take(queue)[0]] == [1, 2, 3, 4, 5, 6, 7]
