"""Bugs that only the state machine finds: `python -m tests.fuzz.planted NAME serve …` is `oncekv serve …` with one part
replaced.
"""

from __future__ import annotations

from typing import Any

from oncekv.kv.methods import kv_txn
from oncekv.kv.values import check_version
from oncerpc.server.dedup import persisted
from oncerpc.wire.errors import StaleCall, WindowExceeded
from oncerpc.wire.identity import WINDOW
from tests.bugs.base import Plants, planted_command, replaced, serve_planted

__all__ = ["PLANTED", "command"]


def _check_seq(seq: int, acked: int) -> None:
    """The window has 1,024 places, so the one that is 1,024 ahead is the first outside."""
    if seq <= acked:
        raise StaleCall(acked=acked)
    if seq >= acked + WINDOW:
        raise WindowExceeded(acked=acked, window=WINDOW)


def _check_version(rows: Any, key: str, version: int) -> None:
    """Version 0 is what a key has that is not there; whoever asks for it does not care."""
    if version:
        check_version(rows, key, version)


PLANTED: Plants = {
    "window-off-by-one": lambda: replaced(persisted, check_seq=_check_seq),
    "check-for-absence-skipped": lambda: replaced(kv_txn, check_version=_check_version),
}


def command(name: str) -> list[str]:
    """The words to start such a server with, before `serve`."""
    return planted_command("tests.fuzz.planted", name)


if __name__ == "__main__":
    raise SystemExit(serve_planted(PLANTED))
