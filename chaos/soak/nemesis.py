"""What breaks during a soak: one fault after the other with a pause between, drawn from the seed.

Each of them comes once before any comes again. What only an attempt without an answer proves lasts until there is one.

kill       SIGKILL to the first server, and a start some time later         proof: its exit code, -9
restart    SIGTERM to it, and a start                                       proof: its exit code, 0
pause      SIGSTOP to either server                                         proof: its state in /proc, T
silence    all links of some clients carry nothing, up or down         proof: attempts without an answer
reset      links are reset                                                  likewise
cut        links close after a few bytes                                    likewise
slow       links take longer than an attempt waits, and a little less       likewise; none is needed
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from msgspec import Struct

from chaos.runtime.links import Link
from chaos.runtime.local import LocalServer
from chaos.soak.world import World

__all__ = ["FAULTS", "TO_BE_FELT", "FaultRecord", "Nemesis"]

HOLD_S = (0.3, 2.0)
FELT_MAX_S = 20.0
"""A fault of links that nobody has felt by then is given up, and told as one."""
FELT_LOOK_S = 0.05
FOUND_OUT_S = 0.2
"""What is lost is counted when its caller has found out."""
TO_BE_FELT = ("silence", "reset", "cut")
"""Nothing else proves them: they last until an attempt went without an answer."""
UP, DOWN = "upstream", "downstream"


class FaultRecord(Struct, frozen=True):
    """One fault. unanswered: attempts that ended without an answer while it lasted. proof: what was seen of it."""

    kind: str
    where: str
    from_s: float
    to_s: float
    proof: str
    unanswered: int = 0


class Nemesis:
    """`run` is a thread's; `struck` grows."""

    def __init__(
        self, world: World, rng: random.Random, pause_s: float, unanswered: Callable[[], int],
        tell: Callable[[FaultRecord], None],
    ) -> None:  # fmt: skip
        self._world = world
        self._rng = rng
        self._pause_s = pause_s
        self._unanswered = unanswered
        self._tell = tell
        self._began_s = time.monotonic()
        self.failure: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; all is well again when it returns."""
        kinds = list(FAULTS)
        drawn: list[str] = []
        try:
            while not stop.wait(self._rng.uniform(0.5, 1.5) * self._pause_s):
                if not drawn:
                    drawn = self._rng.sample(kinds, len(kinds))
                self._strike(drawn.pop(), stop)
        except BaseException as error:
            self.failure = error
            stop.set()

    def _strike(self, kind: str, stop: threading.Event) -> None:
        before, began_s = self._unanswered(), time.monotonic()
        with FAULTS[kind](self._world, self._rng) as (where, proof):
            time.sleep(self._rng.uniform(*HOLD_S))
            while kind in TO_BE_FELT and self._unanswered() == before and time.monotonic() < began_s + FELT_MAX_S:
                if stop.wait(FELT_LOOK_S):
                    return  # the run ended first
        from_s, to_s = (round(at_s - self._began_s, 2) for at_s in (began_s, time.monotonic()))
        time.sleep(FOUND_OUT_S)
        self._tell(FaultRecord(kind, where, from_s, to_s, "; ".join(proof), self._unanswered() - before))


_Struck = Iterator[tuple[str, list[str]]]
Fault = Callable[[World, random.Random], AbstractContextManager[tuple[str, list[str]]]]
"""In force within the `with` statement; where it strikes, and what was seen of it."""


@contextmanager
def _kill(world: World, _rng: random.Random) -> _Struck:
    server = world.servers[0]
    server.kill()
    yield server.log.stem, [f"exit code {server.returncode}"]
    server.start()


@contextmanager
def _restart(world: World, _rng: random.Random) -> _Struck:
    server = world.servers[0]
    code = server.stop(60.0)
    yield server.log.stem, [f"exit code {code}"]
    server.start()


@contextmanager
def _pause(world: World, rng: random.Random) -> _Struck:
    server = rng.choice(world.servers)
    server.pause()
    try:
        yield server.log.stem, [f"state {_state(server)}"]
    finally:
        server.resume()


def _toxic(kind: str, stream: str | None = None, **attributes: int) -> Fault:
    @contextmanager
    def strike(world: World, rng: random.Random) -> _Struck:
        side = stream or rng.choice((UP, DOWN))
        of_client = rng.sample(world.links, rng.randint(1, len(world.links)))
        links: list[Link] = [link for ends in of_client for link in ends]  # a client stays on the one that is good
        try:
            for link in links:
                link.add(kind, side, **attributes)
            yield f"all links of {len(of_client)} clients, {side}", []
        finally:
            for link in links:
                link.heal()

    return strike


def _state(server: LocalServer) -> str:
    deadline_s = time.monotonic() + 5.0
    state = ""
    while state != "T" and time.monotonic() < deadline_s:
        state = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0]
        time.sleep(0.01)
    return state


FAULTS: dict[str, Fault] = {
    "kill": _kill,
    "restart": _restart,
    "pause": _pause,
    "silence": _toxic("timeout", timeout=0),
    "reset": _toxic("reset_peer", timeout=0),
    "cut": _toxic("limit_data", bytes=300),
    "slow": _toxic("latency", DOWN, latency=700, jitter=600),
}
