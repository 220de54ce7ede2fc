"""One trial of the store: a server's whole life on a disk whose Nth operation fails, then what it left.

The life: a new store is made, sessions are opened, a few calls are made and tried again, the log is written back into
the store now and then, and SIGTERM ends it. Then the disk is well again, and what is left is judged four times: as
SIGKILL and as a power failure would have left it before the end, and as both would after it. From one of the four, by
turns, a server is started, and all calls are tried once more.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.bugs.base import replaced
from tests.io.forked import Server
from tests.io.images import StoreImage, copy, look
from tests.io.shim import Control, Fault
from tests.support.caller import LOST, Caller, request
from tests.support.replies import Answer

__all__ = ["Finding", "StoreTrial"]

TRIES = 3
CALLS = 7
END_MAX_S = 8.0
LOG_PAGES = 12  # of the log, before it is written back: else a small workload would never see it
FILLER = "." * 3000
IMAGES = ("killed", "power failed", "ended", "ended, power failed")


@dataclass
class Finding:
    """What came out of one trial. `end`: how the server ended. problems: promises that were broken. is_whole: every
    call of the workload was ok at its first attempt, and the process ended in order.
    """

    number: int
    failed: int = 0
    operations: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    end: str = ""
    is_whole: bool = False
    problems: list[str] = field(default_factory=list)


@dataclass
class Call:
    """One call and what its caller was told: the reply of each attempt that had one."""

    token: str
    send: Callable[[Caller], Answer]
    session: str = ""
    seq: int = 0
    replies: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return bool(self.replies)

    def make(self, kv: Caller, tries: int = TRIES) -> None:
        """Try it until it is ok."""
        for _ in range(tries):
            try:
                answer = self.send(kv)
            except LOST:
                self.told.append("lost")
                continue
            if answer.error is None:
                self.told.append("ok")
                self.replies.append(answer.bare)
                return
            self.told.append(str(answer.error["data"]["name"]))


class StoreTrial:
    """Trials on one folder; each begins with an empty one."""

    def __init__(self, control: Control, words: tuple[str, ...], plant: Callable[[], AbstractContextManager[object]]):
        self._control = control
        self._words = words
        self._plant = plant
        self._store = control.folder / "kv.db"
        self._log = control.folder.parent / "server.log"
        self._images = control.folder.parent / "images"

    def close(self) -> None:
        """Each trial ends its own servers."""

    def log_tail(self) -> str:
        """What the servers of the last trial said in the end."""
        return self._log.read_text()[-700:]

    def run(self, fault: Fault, number: int) -> Finding:
        """The life and the judgement."""
        for folder in (self._control.folder, self._control.durable):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        finding = Finding(number)
        self._log.unlink(missing_ok=True)
        self._control.arm(fault, number)
        try:
            calls = self._live(finding)
        finally:
            self._control.disarm()
        finding.failed, finding.operations = self._control.failed, self._control.count
        finding.kinds = self._control.failed_kinds
        for call in calls:
            for word in call.told:
                finding.told[word] = finding.told.get(word, 0) + 1
        finding.is_whole = finding.told == {"ok": CALLS} and finding.end == "ended with 0"
        images = [
            copy(self._control.folder, self._images / IMAGES[2]),
            copy(self._control.durable, self._images / IMAGES[3]),
        ]
        if finding.end != "refused to start":
            images = [self._images / name / "kv.db" for name in IMAGES[:2]] + images
        for store in images:
            # Looking recovers the copy; the one that a server is to recover stays as it is.
            seen = look(copy(store.parent, self._images / "seen"))
            finding.problems += [f"{store.parent.name}: {what}" for what in [*seen.problems, *_misses(seen, calls)]]
        self._start_again(images[number % len(images)], calls, finding)
        if (found := self._log.read_text().partition("Traceback"))[1]:
            finding.problems.append(f"a traceback: {found[2][:3000]}")
        return finding

    def _live(self, finding: Finding) -> list[Call]:
        with contextlib.closing(Server(self._store, self._log, self._words, self._spoilt())) as server:
            if not server.url:
                code = server.wait(END_MAX_S)
                finding.end = "refused to start"
                if code not in (1, 255):
                    finding.problems.append(f"it refused to start with {code}: {self._log.read_text()[-300:]}")
                return []
            with contextlib.closing(Caller(server.url)) as kv:
                calls = list(_workload(kv, finding.problems))
            self._take_images(server)
            server.signal(signal.SIGTERM)
            code = server.wait(END_MAX_S)
            finding.end = f"ended with {code}"
            if code is None:
                server.signal(signal.SIGUSR1)
                server.wait(1.0)
                finding.problems.append(f"SIGTERM did not end it: {self._log.read_text()[-3000:]}")
            return calls

    def _take_images(self, server: Server) -> None:
        """What SIGKILL and what a power failure would leave now."""
        server.signal(signal.SIGSTOP)
        with self._control.paused():
            copy(self._control.folder, self._images / IMAGES[0])
            copy(self._control.durable, self._images / IMAGES[1])
        server.signal(signal.SIGCONT)

    def _start_again(self, store: Path, calls: list[Call], finding: Finding) -> None:
        """On a disk that is well: every call is tried again, and then its effect is there once."""
        where = f"started again ({store.parent.name})"
        with contextlib.closing(Server(store, self._log, self._words)) as server:
            if not server.url:
                finding.problems.append(f"{where}: it does not start: {self._log.read_text()[-300:]}")
                return
            with contextlib.closing(Caller(server.url)) as kv:
                for call in calls:
                    call.make(kv, 1)
                again = Call("[again]", partial(_append, "[again]", _keyed("again")))
                again.make(kv, 1)
            server.signal(signal.SIGTERM)
            if server.wait(END_MAX_S) != 0:
                finding.problems.append(f"{where}: SIGTERM ended it with {server.code}")
        image = look(store)
        finding.problems += [f"{where}: {what}" for what in image.problems]
        for call in [*calls, again]:
            if image.count(call.token) != 1 or call.told[-1] != "ok":
                finding.problems.append(f"{where}: {call.token} is there {image.count(call.token)} times: {call.told}")
            if any(reply != call.replies[0] for reply in call.replies):
                finding.problems.append(f"{where}: {call.token} was answered {call.replies}")

    @contextlib.contextmanager
    def _spoilt(self) -> Iterator[None]:
        with _short_log(), self._plant():
            yield


def _workload(kv: Caller, problems: list[str]) -> Iterator[Call]:
    """The calls, as they end. After each, a read must know at least what was acknowledged, and nothing twice."""
    done: list[Call] = []
    opening: list[str] = []
    for name in ("first", "second"):
        opening.append(_open(kv, name))
        if not opening[-1]:
            continue
        for seq in (1, 2, 3):
            token = f"[{name} {seq}]"
            meta = {"session": opening[-1], "seq": seq}
            done.append(Call(token, partial(_append, token, lambda it: (it, {}), meta=meta), opening[-1], seq))
            done[-1].make(kv)
            yield done[-1]
            problems += _stale_read(kv, done)
    keyed = Call("[keyed]", partial(_append, "[keyed]", _keyed("order-17")))
    keyed.make(kv)
    done.append(keyed)
    yield keyed
    problems += _stale_read(kv, done)
    with contextlib.suppress(*LOST):
        kv.fetch("GET", "/readyz")


def _open(kv: Caller, name: str) -> str:
    for _ in range(TRIES):
        with contextlib.suppress(*LOST):
            answer = kv.keyed(f"open-{name}", "session.open")
            if answer.error is None:
                return str(answer.ok["session"])
    return ""


Dressed = Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, str]]]


def _keyed(key: str) -> Dressed:
    return lambda document: (document, {"Idempotency-Key": key})


def _append(token: str, dressed: Dressed, kv: Caller, meta: dict[str, Any] | None = None) -> Answer:
    params: dict[str, Any] = {"key": f"k{len(token) % 2}", "value": token + FILLER}
    if meta:
        params["_meta"] = meta
    return kv.send(*dressed(request("kv.append", params, id=1))).answer


def _stale_read(kv: Caller, done: list[Call]) -> list[str]:
    """What is wrong with a read, if there is an answer."""
    try:
        answers = [kv.call("kv.get", key=key) for key in ("k0", "k1")]
    except LOST:
        return []
    if any(answer.error for answer in answers):
        return []
    text = "".join(answer.ok["value"] or "" for answer in answers)
    counts = {call.token: text.count(call.token) for call in done}
    return [
        f"a read found {call.token} {counts[call.token]} times: {call.told}"
        for call in done
        if counts[call.token] > 1 or (call.is_ok and not counts[call.token])
    ]


def _misses(image: StoreImage, calls: list[Call]) -> list[str]:
    """Acknowledged and not there, there twice, or there without a record."""
    found = []
    for call in calls:
        count = image.count(call.token)
        has_record = "order-17" in image.keyed if not call.session else call.seq in image.seqs.get(call.session, ())
        if count > 1 or (call.is_ok and not count) or bool(count) != has_record:
            found.append(f"{call.token}: {count} effects, record {has_record}, told {call.told}")
    return found


@contextlib.contextmanager
def _short_log() -> Iterator[None]:
    """The product's own statement, with another number."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(re.sub(r"(?<=wal_autocheckpoint = )\d+", str(LOG_PAGES), sql), *parameters)

    with replaced(sqlite3, connect=partial(sqlite3.connect, factory=Connection)):
        yield
