"""Honest callers beside an attack: one call after the other, each of which must be answered."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.caller import LOST, Caller, Session

__all__ = ["Honest", "beside"]

PAUSE_S = 0.02
TIMEOUT_S = 30.0
CALLERS = 2


@dataclass
class Honest:
    """What they were told meanwhile. refused: `overloaded`, which is definite, and sent again."""

    ok: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def share(self) -> float:
        """Of their attempts, how many were served."""
        return self.ok / max(1, self.ok + self.refused + len(self.wrong))

    def __str__(self) -> str:
        tried = self.ok + self.refused + len(self.wrong)
        return f"{self.ok} calls served of {tried}, the longest {self.longest_s:.2f} s"

    def call_until(self, is_over: threading.Event, url: str, key: str) -> None:
        """One caller's life, and a look at what its key holds in the end."""
        with contextlib.closing(Caller(url, timeout_s=TIMEOUT_S)) as kv:
            session, seq = kv.open(), 1
            while not is_over.wait(PAUSE_S):
                seq += self._call(session, seq, key)
            value, _ = kv.get(key)
        if (value or "") != "".join(f"[{n}]" for n in range(1, seq)):
            self.wrong.append(f"{key} holds {value!r:.200} after {seq - 1} calls")

    def _call(self, session: Session, seq: int, key: str) -> bool:
        """Whether it was served."""
        begun_s = time.monotonic()
        try:
            answer = session.call("kv.append", meta={"seq": seq, "acked": seq - 1}, key=key, value=f"[{seq}]")
            said = "ok" if answer.error is None else str(answer.error["data"]["name"])
        except LOST as error:
            said = repr(error)
        with self._lock:
            self.longest_s = max(self.longest_s, time.monotonic() - begun_s)
            self.ok += said == "ok"
            self.refused += said == "overloaded"
            self.wrong += [said] if said not in ("ok", "overloaded") else []
        return said == "ok"


@contextlib.contextmanager
def beside(url: str, name: str) -> Iterator[Honest]:
    """While the block runs they call; afterwards each of their keys holds exactly what was acknowledged."""
    told, is_over = Honest(), threading.Event()
    threads = [threading.Thread(target=told.call_until, args=(is_over, url, f"{name}{n}")) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        print(f"honest callers beside {name}: {told}")
