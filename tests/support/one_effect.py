"""One identity at several servers at one moment: one effect, one reply, and all but one of them marked as replays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tests.support.seed import unique
from tests.support.server import Node
from tests.support.waiting import at_once

__all__ = ["assert_one_effect_for_one_identity"]


def assert_one_effect_for_one_identity(nodes: Sequence[Node], attempts: int, rounds: int) -> None:
    """`attempts` at each of these servers, under a session, so often."""
    for _ in range(rounds):
        session, key = nodes[0].kv.open(), unique()
        calls = [session.at(node.kv) for node in nodes for _ in range(attempts)]
        answers = at_once([partial(at.do, 1, "kv.append", key=key, value="x") for at in calls])
        assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * len(calls)
        assert sum(not answer.replayed for answer in answers) == 1
        assert [node.kv.get(key) for node in nodes] == [("x", 1)] * len(nodes)
