"""Waiting with a deadline, and doing several things at once with one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["at_once", "in_background", "let_leases_run_out", "until"]

T = TypeVar("T")


def until(condition: Callable[[], T], timeout_s: float = 60.0, what: str = "the condition") -> T:
    """Ask again every 10 ms until the answer is true, and return it; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {timeout_s:g} s")
        time.sleep(0.01)
    return answer


def at_once(thunks: Sequence[Callable[[], T]], timeout_s: float = 60.0) -> list[T]:
    """Run all of them at the same moment, a thread each; their results in order, or the first exception."""
    gate = threading.Barrier(len(thunks))

    def enter(thunk: Callable[[], T]) -> T:
        gate.wait(timeout_s)
        return thunk()

    with ThreadPoolExecutor(len(thunks)) as pool:
        return [future.result(timeout_s) for future in [pool.submit(enter, thunk) for thunk in thunks]]


def in_background(thunk: Callable[[], T]) -> Future[T]:
    """Start it in a thread of its own; `.result(timeout_s)` brings its value or its exception."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(thunk())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def let_leases_run_out(lease_ms: int) -> None:
    """The one wait that no polling can replace: to ask for a session renews it, so nobody may ask meanwhile."""
    time.sleep(lease_ms / 1000 + 0.05)
