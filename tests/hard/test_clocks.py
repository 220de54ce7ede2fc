"""Wall clocks that are set by a day, forward and back, or stand still: nothing runs by them, on servers and clients.

libfaketime puts them under the whole process, SQLite and all; the monotonic clock, which no operator can set, stays.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer
from chaos.runtime.local_server import oncekv_command
from tests.hard.planted import command
from tests.support.caller import Caller
from tests.support.waiting import let_leases_run_out

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
LEASE_MS = 60_000
SHORT_MS = 400
SETTINGS = ("+1d", "-1d", "2026-12-31 23:59:60", "+0")
PATIENCE_S, UNDER_WAY_S = 3.0, 0.3
CLIENT = """
import random, sys, time
from oncekv.client import Environment, RetryPolicy, connect
from oncerpc.client.transport.http import HttpTransport
url, outbox, clock = sys.argv[1:]
trusting = Environment(HttpTransport(1), time.time, time.sleep, random.uniform) if clock == "time" else None
quick = RetryPolicy(attempt_timeout_s=0.5, delay_max_s=0.2)
with connect(url, semantics="exactly-once", outbox=outbox, retry=quick, timeout_s=60.0, environment=trusting) as kv:
    print("ready", flush=True)
    for line in sys.stdin:
        value, timeout_s = line.split()
        told = kv.outcome("kv.append", {"key": "k", "value": value}, timeout_s=float(timeout_s))
        print(type(told).__name__, flush=True)
"""
pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="NO LIBFAKETIME: clocks that lie need it (apt-get install faketime)"
)


class FakeClock:
    """A wall clock that can be set: "+0", "+1d", or a date, at which it stands still."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set("+0")

    def set(self, what: str) -> None:
        """From now on, in every process that was started under it."""
        self._file.write_text(what)

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@contextlib.contextmanager
def _server(folder: Path, words: list[str]) -> Iterator[tuple[LocalServer, FakeClock, Caller]]:
    clock = FakeClock(folder)
    server = LocalServer(folder / "data", command=words)
    server.environment = clock.environment  # type: ignore[method-assign]  # its own clock is Python's alone
    with server, contextlib.closing(Caller(server.url)) as kv:
        yield server, clock, kv


def _lives_by_no_wall_clock(folder: Path, words: list[str]) -> None:
    """A lease goes on under every clock, and one that is over is over."""
    with _server(folder, words) as (server, clock, kv):
        session = kv.open(lease_ms=LEASE_MS)
        assert session.do(1, "kv.append", key="k", value="[1]").ok
        for seq, shown in enumerate(SETTINGS, 2):
            short = kv.open(lease_ms=SHORT_MS)
            clock.set(shown)
            assert session.do(seq, "kv.append", key="k", value=f"[{seq}]").error is None, f"a lease ended at {shown}"
            assert session.do(1, "kv.append", key="k", value="[1]").replayed, shown
            let_leases_run_out(SHORT_MS * 2)
            assert short.do(1, "kv.append", key="k", value="!").code == 1001, f"a lease outlived {shown}"
            assert kv.fetch("GET", "/readyz").status == 200
            server.kill()
            server.start()
            assert session.do(seq, "kv.append", key="k", value=f"[{seq}]").replayed, shown
        assert kv.get("k") == ("[1][2][3][4][5]", 5)


def test_no_lease_runs_by_the_wall_clock(tmp_path: Path) -> None:
    """Forward and back by a day, frozen at a leap second, and right again, with restarts between."""
    _lives_by_no_wall_clock(tmp_path, oncekv_command())


def test_a_trusted_clock_is_caught(tmp_path: Path) -> None:
    """Planted: leases by the wall clock."""
    with pytest.raises(AssertionError, match="a lease"):
        _lives_by_no_wall_clock(tmp_path, command("clock-trusted"))


class ClientProcess:
    """A client in a process of its own, under that wall clock. `planted`: one whose deadlines run by it."""

    def __init__(self, url: str, folder: Path, clock: FakeClock, *, planted: bool) -> None:
        path = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, url, str(folder / "outbox"), "time" if planted else "monotonic"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **clock.environment(), "PYTHONPATH": path},
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        assert self.told() == "ready"

    def append(self, value: str, timeout_s: float) -> None:
        """Begin a call."""
        self._input.write(f"{value} {timeout_s}\n")
        self._input.flush()

    def told(self) -> str:
        """What the next call to end has ended with."""
        return self._output.readline().strip()

    def close(self) -> None:
        with self._process:
            self._input.close()


def _client_lives_by_no_wall_clock(folder: Path, *, planted: bool) -> None:
    """The clock is set while a call waits for a server that is stopped: it is answered, or given up when its time is
    over, and not before.
    """
    clock = FakeClock(folder)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LocalServer(folder / "data"))
        kv = stack.enter_context(contextlib.closing(Caller(server.url)))
        client = stack.enter_context(contextlib.closing(ClientProcess(server.url, folder, clock, planted=planted)))
        for n, shown in enumerate(SETTINGS):
            _set_while_it_waits(server, client, f"[{n}]", clock, shown)
            server.resume()
            assert client.told() == "Ok", f"given up at {shown}"
        for shown in SETTINGS:
            began_s = time.monotonic()
            _set_while_it_waits(server, client, "!", clock, shown, PATIENCE_S)
            assert client.told() == "Unknown", shown
            assert time.monotonic() - began_s >= PATIENCE_S * 0.9, f"given up early at {shown}"
            server.resume()
        value = kv.get("k")[0] or ""
        assert value.replace("!", "") == "[0][1][2][3]"
        assert value.count("!") <= len(SETTINGS)


def _set_while_it_waits(
    server: LocalServer, client: ClientProcess, value: str, clock: FakeClock, shown: str, timeout_s: float = 60.0
) -> None:
    server.pause()
    client.append(value, timeout_s)
    time.sleep(UNDER_WAY_S)
    clock.set(shown)
    time.sleep(UNDER_WAY_S)


def test_no_timeout_of_a_client_runs_by_the_wall_clock(tmp_path: Path) -> None:
    """Calls that are under way while the clock is set."""
    _client_lives_by_no_wall_clock(tmp_path, planted=False)


def test_a_client_that_trusts_the_clock_is_caught(tmp_path: Path) -> None:
    """Planted: deadlines by the wall clock."""
    with pytest.raises(AssertionError, match="given up"):
        _client_lives_by_no_wall_clock(tmp_path, planted=True)
