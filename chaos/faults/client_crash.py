"""Clients are killed with calls under way, and then started on the same outboxes.

Every other client is robbed of its replies, so that its calls have run and nobody knows; the others of their requests,
so that theirs have not, and only who remembers them will make them. At the next strike it is the other way round.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.runner.environment import EnvironmentFailed
from chaos.workload.client_process import ClientProcess

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

STREAMS = ("downstream", "upstream")
STUCK_MAX_S = 5.0


class ClientCrash(Fault):
    """SIGKILL to every client."""

    def __init__(self) -> None:
        self._strikes = 0
        self._under_way = 0
        self._left = 0
        self._dead: list[ClientProcess] = []

    def inject(self, env: Environment) -> None:
        for number, link in enumerate(env.first_links):
            link.add("timeout", self._stream(number), timeout=0)

    def hold(self, env: Environment, hold_s: float) -> None:
        """Until calls of both kinds have waited for `hold_s`: a healthy one would have been answered."""
        processes = _hands(env)
        sides = [
            [process for number, process in processes.items() if self._stream(number) == stream] for stream in STREAMS
        ]
        env.wait(hold_s)
        with contextlib.suppress(EnvironmentFailed):  # all of one side may have made their last call
            env.wait_until(
                lambda: all(any(_is_stuck(process, hold_s) for process in side) for side in sides if side),
                STUCK_MAX_S, "calls hang on both kinds of links",
            )  # fmt: skip
        for process in processes.values():
            under_way, left = process.kill()
            self._under_way += under_way
            self._left += left
            self._dead.append(process)

    def heal(self, env: Environment) -> None:
        for link in env.links:
            link.heal()
        while self._dead:
            self._dead.pop().restart()
        self._strikes += 1

    def fired(self, counts: Counts) -> int:
        """Calls that were under way when their client was killed."""
        return self._under_way

    def proof(self) -> list[str]:
        return [f"{self._under_way} calls were under way when SIGKILL came, and {self._left} stood in an outbox"]

    def _stream(self, number: int) -> str:
        return STREAMS[(number + self._strikes) % len(STREAMS)]


def _hands(env: Environment) -> dict[int, ClientProcess]:
    assert env.workload is not None
    return {
        number: caller for number, caller in list(env.workload.callers.items()) if isinstance(caller, ClientProcess)
    }


def _is_stuck(process: ClientProcess, since_s: float) -> bool:
    """Whether it waits for something that it wants done; what only looks leaves no effect."""
    now_s = time.monotonic()
    return any(call.method != "kv.get" and now_s - call.began_s >= since_s for call in process.under_way())
