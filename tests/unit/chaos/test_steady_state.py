"""What was settled before the fault must be as it was after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.runner.steady_state import _what_was_settled_stays_settled as stays_settled
from chaos.services import services

MARK = {"_meta": {"replayed": True}}
FINE = {"result": {"version": 1}}
REFUSED = {"error": {"message": "no", "data": {"name": "version_mismatch"}}}
UNKNOWN = {"error": {"message": "no", "data": {"name": "session_unknown"}}}
FINE_AGAIN = {"result": {"version": 1, **MARK}}
REFUSED_AGAIN = {"error": {"message": "no", "data": {"name": "version_mismatch", **MARK}}}


def _check(*after: dict[str, Any], delivery: str = "persisted") -> list[str]:
    """What is found by the second check, when the two calls of the first are answered so."""
    replies = iter([FINE, REFUSED, *after, FINE, REFUSED])
    env: Any = SimpleNamespace(
        service=services()["kv"],
        links=[SimpleNamespace(url="")],
        settled=[],
        ask=lambda *_, **__: {"delivery": delivery},
        ask_at=lambda *_, **__: {"session": "s"},
        reply_at=lambda *_: next(replies),
    )
    assert list(stays_settled(env)) == []
    return list(stays_settled(env))


@pytest.mark.parametrize(
    ("fine", "refused", "findings"),
    [
        (FINE_AGAIN, REFUSED_AGAIN, 0),
        (UNKNOWN, UNKNOWN, 0),
        (FINE, REFUSED_AGAIN, 1),
        ({"result": {"version": 2, **MARK}}, REFUSED_AGAIN, 1),
        (FINE_AGAIN, {"result": {"version": 2}}, 1),
        (FINE_AGAIN, REFUSED, 1),
        ({"error": {"data": {"name": "stale_call"}}}, FINE_AGAIN, 2),
    ],
    ids=["replayed", "session-gone", "ran-again", "made-up", "error-forgotten", "error-unmarked", "stale"],
)
def test_a_call_of_before_is_replayed(fine: dict[str, Any], refused: dict[str, Any], findings: int) -> None:
    """With the first reply, a result as an error; or its session is gone, which is said."""
    assert len(_check(_copy(fine), _copy(refused))) == findings


def test_a_server_that_forgets_is_not_asked() -> None:
    """Its restart is what the memory column is about."""
    assert _check(delivery="memory") == []


def _copy(reply: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**value, "data": {**value["data"]}} if "data" in value else {**value} for name, value in reply.items()
    }
