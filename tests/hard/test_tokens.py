"""A token is refused with the same work, however much of it is right: who measures time learns nothing from it."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import pytest

from oncekv.server.config import Config
from oncerpc.server.http import endpoint
from oncerpc.server.http.endpoint import Head, HttpError
from tests.bugs.base import replaced

TOKEN = "correct-horse-battery-staple"
CONFIG = Config(store_url="", tokens=frozenset({hashlib.sha256(TOKEN.encode()).digest()}))


def _work(token: str) -> int:
    """How many steps Python takes to refuse it."""
    head = Head(
        verb="POST", authorization=f"Bearer {token}", idempotency_key=None, length="2", content_type="application/json"
    )  # fmt: skip
    steps = 0

    def count(frame: Any, event: str, _arg: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return count

    sys.settrace(count)
    try:
        with pytest.raises(HttpError):
            endpoint._scope(CONFIG, head)
    finally:
        sys.settrace(None)
    return steps


def _refusals() -> set[int]:
    return {_work(TOKEN[:right].ljust(len(TOKEN), "?")) for right in range(len(TOKEN))}


def test_a_wrong_token_costs_the_same_however_much_of_it_is_right() -> None:
    """And every beginning of a right one is a wrong one."""
    assert len(_refusals()) == 1
    for right in range(len(TOKEN)):
        assert _work(TOKEN[:right]) > 0


def test_a_comparison_byte_by_byte_is_caught() -> None:
    """Planted: it ends at the first byte that differs, and so tells which one that is."""

    def scope(_config: Config, head: Head) -> bytes:
        given = head.authorization.partition(" ")[2]
        for one, other in zip(given, TOKEN, strict=True):
            if one != other:
                raise HttpError("401 Unauthorized", "a bearer token is needed")
        return b""

    with replaced(endpoint, _scope=scope):
        assert len(_refusals()) > 1
