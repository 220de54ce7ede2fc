"""Turns: which calls stand together in a group, when one client has sent thousands and others one each."""

from __future__ import annotations

import pytest

from oncekv.server.config import Config
from oncekv.server.engine import call_queue as module
from oncekv.server.engine.call_queue import SHARE_MAX, CallQueue, Ticket
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.server.rpc.dispatcher import _NO_METHOD
from oncerpc.wire.identity import NO_META

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
