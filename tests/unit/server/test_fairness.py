"""Turns: which calls stand together in a group, when one client has sent thousands and others one each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oncekv.server.config import Config
from oncekv.server.engine import committer as module
from oncekv.server.engine.committer import SHARE_MAX, Committer
from oncekv.server.engine.storage import open_store
from oncekv.server.wiring import make_components
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.server.rpc.dispatcher import _NO_METHOD
from oncerpc.wire.identity import NO_META

DEPTH = 10_000
GROUP_MAX = 256
BYTES = 100


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    """One whose thread does not run: the test takes the groups itself."""
    config = Config(store_url=f"sqlite:///{tmp_path}/kv.db", group_max=GROUP_MAX, queue_max=10 * DEPTH)
    components = make_components(config, open_store(config.store_url), 1, None)
    yield Committer(components)
    components.store.close()


def _request(committer: Committer, depth: int) -> list[Call]:
    """The calls of one request, let in."""
    calls = [Call(_NO_METHOD, NO_META) for _ in range(depth)]
    assert committer._enter(Submission(calls, BYTES * depth, lambda: None))
    return calls


def _groups(committer: Committer) -> list[list[Call]]:
    """All groups until nothing waits."""
    groups = []
    while committer._tickets:
        calls, _ = committer._take()
        assert 0 < len(calls) <= GROUP_MAX
        groups.append(calls)
    assert (committer._waiting, committer._waiting_bytes) == (0, 0)
    return groups


def _group_of(groups: list[list[Call]], call: Call) -> int:
    (found,) = [number for number, group in enumerate(groups) if call in group]
    return found


def test_single_calls_go_with_the_next_group_beside_a_deep_batch(committer: Committer) -> None:
    """The batch was there first, with 10,000 calls: what comes later is in the next group, and the batch goes on."""
    deep = _request(committer, DEPTH)
    for _ in range(3):
        committer._take()
    singles = [_request(committer, 1)[0] for _ in range(100)]
    first, *rest = _groups(committer)
    assert all(single in first for single in singles)
    assert len(first) == GROUP_MAX
    assert [call for group in (first, *rest) for call in group if call not in singles] == deep[3 * GROUP_MAX :]


@pytest.mark.parametrize("batches", [1, 7, 8, 20])
def test_the_wait_is_bounded_by_how_many_wait_and_not_by_how_deep_they_are(committer: Committer, batches: int) -> None:
    """Everybody who is ahead has one share, and then it is one's turn: so many groups, and no more."""
    for _ in range(batches):
        _request(committer, 10 * SHARE_MAX)
    singles = [_request(committer, 1)[0] for _ in range(5)]
    groups = _groups(committer)
    shares_ahead = batches * SHARE_MAX
    for place, single in enumerate(singles):
        assert _group_of(groups, single) == (shares_ahead + place) // GROUP_MAX


def test_without_shares_a_single_call_waits_for_a_group_of_each_batch(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin: whoever has the turn fills the group, and a single call stands behind as many as are deep."""
    monkeypatch.setattr(module, "SHARE_MAX", DEPTH)
    for _ in range(8):
        _request(committer, DEPTH)
    (single,) = _request(committer, 1)
    assert _group_of(_groups(committer), single) == 8


def test_a_request_is_finished_with_the_group_that_has_its_last_call(committer: Committer) -> None:
    """Not with an earlier one, and its calls stay in order."""
    depths = [1, SHARE_MAX, SHARE_MAX + 1, 3 * GROUP_MAX, 2]
    requests = [_request(committer, depth) for depth in depths]
    taken: list[Call] = []
    finished: list[int] = []
    while committer._tickets:
        calls, tickets = committer._take()
        taken += calls
        for ticket in tickets:
            assert ticket.calls[-1] in taken
            finished.append(len(ticket.calls))
    assert sorted(finished) == sorted(depths)
    assert finished[-1] == max(depths)
    for calls in requests:
        assert [call for call in taken if call in calls] == calls
