"""One trial of a client's outbox: the Nth operation on its file fails, then what is left is resumed.

The life: an exactly-once client makes calls one after the other; the replies of the last never come, so it stays in the
outbox; the client ends. Then the disk is well again. What SIGKILL and a power failure leave, before that end and after
it, must be sound, and two of these, copies of one file, are resumed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from oncekv.client import Failed, Ok, OutboxError, RetryPolicy, connect
from tests.io.forked import Forked, Server
from tests.io.images import copy
from tests.io.shim import Control, Fault
from tests.io.store_trial import END_MAX_S, IMAGES, Finding
from tests.support.caller import Caller

__all__ = ["OutboxTrial"]

CALLS = 7
NAME = "orders.outbox"
PATIENCE = RetryPolicy(attempt_timeout_s=0.05)
LAST_MAX_S = 0.1
LIFE_MAX_S = 60.0


class OutboxTrial:
    """Trials against one server, whose own disk is well."""

    def __init__(self, control: Control, plant: Callable[[], AbstractContextManager[object]]) -> None:
        self._control = control
        self._plant = plant
        root = control.folder.parent
        self._images = root / "images"
        self._log = root / "client.log"
        self._runs = 0
        (root / "server").mkdir(exist_ok=True)
        self._server = Server(root / "server" / "kv.db", root / "server.log", ("--writer", "thread", "--failpoints"))
        self._kv = Caller(self._server.url)

    def close(self) -> None:
        """End the server."""
        self._kv.close()
        self._server.close()

    def log_tail(self) -> str:
        """What the clients of the last trial said in the end."""
        return self._log.read_text()[-700:]

    def run(self, fault: Fault, number: int) -> Finding:
        """The life and the judgement."""
        for folder in (self._control.folder, self._control.durable):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self._log.unlink(missing_ok=True)
        finding = Finding(number)
        self._runs += 1
        tokens = [f"[{self._runs}.{call}]" for call in range(CALLS)]
        self._kv.ok("debug.failpoint", name="after_commit", action="drop", count=100, match={"key": tokens[-1]})
        self._control.arm(fault, number)
        try:
            told = self._live(tokens, finding)
        finally:
            self._control.disarm()
        self._kv.ok("debug.failpoint", name="after_commit", action="drop", count=0, match={"key": tokens[-1]})
        finding.failed, finding.operations = self._control.failed, self._control.count
        finding.kinds = self._control.failed_kinds
        for word in told.values():
            finding.told[word] = finding.told.get(word, 0) + 1
        finding.is_whole = len(told) == CALLS and set(told.values()) <= {"ok", "kept"} and finding.end == "ended with 0"
        self._judge(told, number, finding)
        return finding

    def _live(self, tokens: list[str], finding: Finding) -> dict[str, str]:
        """What the client was told of each call."""

        def work() -> int:
            with self._plant():
                return _call_all(self._server.url, self._control.folder / NAME, tokens)

        with contextlib.closing(Forked(work, self._log)) as client:
            client.read(b"all\n", LIFE_MAX_S)
            client.signal(signal.SIGSTOP)
            with self._control.paused():
                copy(self._control.folder, self._images / IMAGES[0], NAME)
                copy(self._control.durable, self._images / IMAGES[1], NAME)
            client.signal(signal.SIGCONT)
            finding.end = f"ended with {client.wait(END_MAX_S)}"
            if client.code != 0:
                finding.problems.append(f"{finding.end}: {self._log.read_text()[-500:]}")
            with self._control.paused():
                copy(self._control.folder, self._images / IMAGES[2], NAME)
                copy(self._control.durable, self._images / IMAGES[3], NAME)
            return dict(json.loads(line) for line in client.printed.splitlines() if line.startswith(b"["))

    def _judge(self, told: dict[str, str], number: int, finding: Finding) -> None:
        for image in IMAGES:
            path = copy(self._images / image, self._images / "seen", NAME)
            finding.problems += [f"{image}: {what}" for what in _unsound(path)]
        recovered: dict[str, str] = {}
        for image in (IMAGES[0], IMAGES[1 + number % 3]):
            recovered = self._resume(self._images / image / NAME, finding) | recovered
        for token, word in told.items():
            count = (self._kv.get(token)[0] or "").count(token)
            wanted = (0, 1) if word == "unknown" else (0,) if word in ("failed", "outbox error") else (1,)
            if count not in wanted:
                finding.problems.append(f"{token} was told {word}, and there are {count} effects")
            if word != "unknown" and recovered.get(token, "ok") != "ok":
                finding.problems.append(f"{token} was told {word}, and came to {recovered[token]}")

    def _resume(self, outbox: Path, finding: Finding) -> dict[str, str]:
        """What the calls that the file keeps come to."""
        with contextlib.closing(Forked(lambda: _resume_all(self._server.url, outbox), self._log)) as client:
            lines = client.read(None, LIFE_MAX_S).splitlines()
            if client.wait(END_MAX_S) != 0:
                finding.problems.append(f"it cannot be resumed ({client.code}): {self._log.read_text()[-500:]}")
        return dict(json.loads(line) for line in lines)


def _call_all(url: str, outbox: Path, tokens: list[str]) -> int:
    """The client's process: prints what it was told of each call, and `all` before it ends."""
    try:
        with connect(url, semantics="exactly-once", outbox=outbox, retry=PATIENCE) as kv:
            for token in tokens:
                client = kv.using(timeout_s=LAST_MAX_S) if token == tokens[-1] else kv
                print(json.dumps([token, _told(client, token)]), flush=True)
            print("all", flush=True)
    except OutboxError:
        print("all", flush=True)  # no outbox, and no call
    return 0


def _told(kv: Any, token: str) -> str:
    try:
        outcome = kv.outcome("kv.append", {"key": token, "value": token})
    except OutboxError:
        return "outbox error"
    if isinstance(outcome, Ok):
        return "ok"
    if isinstance(outcome, Failed):
        return "failed"
    return "kept" if outcome.kept else "unknown"


def _resume_all(url: str, outbox: Path) -> int:
    with connect(url, semantics="exactly-once", outbox=outbox) as kv:
        for one in kv.recovered:
            print(json.dumps([one.params["key"], "ok" if isinstance(one.outcome, Ok) else str(one.outcome)]))
    return 0


def _unsound(outbox: Path) -> list[str]:
    """What is wrong with an outbox that is left."""
    if not outbox.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(outbox)) as db:
            said = [text for (text,) in db.execute("PRAGMA integrity_check")]
            is_new = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            calls = [] if is_new else db.execute("SELECT open_key, seq FROM calls").fetchall()
    except sqlite3.Error as error:
        return [f"it cannot be read: {error}"]
    found = [f"integrity_check: {text}" for text in said if text != "ok"]
    return found + ["a call without an identity" for key, seq in calls if not key or seq < 1]
