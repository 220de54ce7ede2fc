"""Exactly-once over the client's own death: real processes, killed with SIGKILL at random moments."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime.local import LocalServer
from oncekv.client import Ok, RetryPolicy, Unknown, connect
from tests.support.seed import SEED

CALLS = 1000
RUNS_MAX = 60

ONE_AFTER_THE_OTHER = """
import json, sys
from oncekv.client import connect, RetryPolicy
url, outbox = sys.argv[1:3]
with connect(url, semantics="exactly-once", outbox=outbox, retry=RetryPolicy(attempt_timeout_s=0.5)) as kv:
    recovered = [one.outcome for one in kv.recovered]
    print(json.dumps([[type(one).__name__, getattr(one, "replayed", None)] for one in recovered]), flush=True)
    for number in range(kv.calls_begun, 1000):
        kv.append("k", f"[{number}]")
"""

FROM_MANY_THREADS = """
import itertools, json, sys, threading
from oncekv.client import connect, RetryPolicy
url, outbox = sys.argv[1:3]
with connect(url, semantics="exactly-once", outbox=outbox, retry=RetryPolicy(attempt_timeout_s=0.5)) as kv:
    recovered = [one.outcome for one in kv.recovered]
    print(json.dumps([[type(one).__name__, getattr(one, "replayed", None)] for one in recovered]), flush=True)
    left = iter(range(kv.calls_begun, 1000))
    def work():
        for _ in left:
            kv.increment("k")
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@pytest.fixture
def server(tmp_path):
    """A server with failpoints."""
    with LocalServer(tmp_path / "data", failpoints=True) as server:
        yield server


@pytest.fixture
def rng(request):
    """The moments of death, from the printed seed."""
    return random.Random(f"{SEED}-{request.node.name}")


class Application:
    """A client process that is killed when the key's version passes each of the moments, and started again."""

    def __init__(self, program: str, server: LocalServer, outbox: Path, moments: list[int]) -> None:
        self.kills = 0
        self.recovered: list[list[object]] = []
        self._command = [sys.executable, "-c", program, server.url, str(outbox)]
        self._watcher = connect(server.url)
        self._moments = moments

    def live(self, rng: random.Random) -> None:
        """Runs to its end, over its deaths."""
        with self._watcher:
            for _ in range(RUNS_MAX):
                with subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                    self._kill_at_the_moment(process, rng)
                    out, err = process.communicate(timeout=60)
                if out:
                    self.recovered += json.loads(out.splitlines()[0])
                if process.returncode != -signal.SIGKILL:
                    assert process.returncode == 0, err.decode()
                    return
                self.kills += 1
        raise AssertionError(f"the application did not end in {RUNS_MAX} lives")

    def _kill_at_the_moment(self, process: subprocess.Popen[bytes], rng: random.Random) -> None:
        while self._moments and process.poll() is None:
            if self._watcher.get("k").version >= self._moments[0]:
                time.sleep(rng.uniform(0, 0.004))
                self._moments.pop(0)
                process.kill()
                return


@pytest.mark.long
def test_a_client_that_is_killed_again_and_again_makes_each_of_1000_calls_once(server, tmp_path, rng):
    """Ten SIGKILLs in the middle of 1,000 appends: in the end each is there once, in the order of the calls."""
    application = Application(ONE_AFTER_THE_OTHER, server, tmp_path / "outbox", sorted(rng.sample(range(1, 950), 10)))
    application.live(rng)
    with connect(server.url) as kv:
        row = kv.get("k")
    assert row.value == "".join(f"[{number}]" for number in range(CALLS))
    assert row.version == CALLS
    assert application.kills == 10
    assert application.recovered, "no kill met a call under way: this run showed nothing"
    assert all(kind == "Ok" for kind, _ in application.recovered)


@pytest.mark.long
def test_a_client_of_many_threads_that_is_killed_makes_each_of_1000_calls_once(server, tmp_path, rng):
    """The same with eight threads on one session and one outbox: several calls are under way at each death."""
    application = Application(FROM_MANY_THREADS, server, tmp_path / "outbox", sorted(rng.sample(range(1, 950), 6)))
    application.live(rng)
    with connect(server.url) as kv:
        row = kv.get("k")
    assert (row.value, row.version) == (str(CALLS), CALLS)
    assert application.kills == 6
    assert len(application.recovered) > 6, "hardly a call was under way: this run showed nothing"
    assert all(kind == "Ok" for kind, _ in application.recovered)


def test_a_client_and_a_server_that_are_both_killed_make_each_of_1000_calls_once(server, tmp_path, rng):
    """Replies are swallowed after the commit, the server crashes around its commits, and the client dies too."""
    moments = sorted(rng.sample(range(1, 900), 6))
    application = Application(ONE_AFTER_THE_OTHER, server, tmp_path / "outbox", moments)
    crashes = 0
    with connect(server.url) as kv:
        kv.call("debug.failpoint", {"name": "after_commit", "action": "drop", "count": 300, "match": {"key": "k"}})
    watcher = application._watcher
    get = watcher.get

    def get_and_sometimes_crash(key):
        nonlocal crashes
        if rng.random() < 0.02 and crashes < 5:
            server.kill()
            server.start()
            crashes += 1
            arming = {"name": "after_commit", "action": "drop", "count": 50, "match": {"key": "k"}}
            watcher.call("debug.failpoint", arming)
        return get(key)

    watcher.get = get_and_sometimes_crash  # type: ignore[method-assign]
    application.live(rng)
    with connect(server.url) as kv:
        row = kv.get("k")
    assert row.value == "".join(f"[{number}]" for number in range(CALLS))
    assert (application.kills, crashes) == (6, 5)
    assert ["Ok", True] in application.recovered, "no resumed call was answered from its record"


def test_a_wrong_token_does_not_empty_the_outbox(tmp_path):
    """A call that may have run stays while the server refuses the token, and is finished with the right one, once."""
    (tmp_path / "tokens").write_text("sesame\n")
    choices: dict[str, Any] = {"semantics": "exactly-once", "outbox": tmp_path / "outbox"}
    arguments = ("--token-file", str(tmp_path / "tokens"))
    with LocalServer(tmp_path / "data", failpoints=True, extra_args=arguments) as server:
        with connect(server.url, token="sesame", retry=RetryPolicy(attempts_max=1), **choices) as kv:
            kv.call("debug.failpoint", {"name": "after_commit", "action": "drop"})
            assert isinstance(kv.outcome("kv.append", {"key": "k", "value": "x"}), Unknown)
        with connect(server.url, token="wrong", **choices) as kv:
            assert [one.outcome.kept for one in kv.recovered if isinstance(one.outcome, Unknown)] == [True]
        with connect(server.url, token="sesame", **choices) as kv:
            assert [type(one.outcome) for one in kv.recovered] == [Ok]
            assert kv.get("k").value == "x"


def test_an_outbox_is_finished_after_an_outage_that_outlived_its_client(server, tmp_path):
    """The server is away, the client's deadline passes, the client ends; the next one finishes the call, once."""
    server.kill()
    with connect(server.url, semantics="exactly-once", timeout_s=0.3, outbox=tmp_path / "outbox") as kv:
        outcome = kv.outcome("kv.append", {"key": "k", "value": "x"})
        assert "the outbox keeps the call" in str(outcome)
    server.start()
    with connect(server.url, semantics="exactly-once", outbox=tmp_path / "outbox") as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Ok]
        assert kv.get("k").value == "x"


def test_an_old_write_is_not_finished_after_newer_ones_were_acknowledged(server, tmp_path):
    """A put that was kept while the server swallowed it comes before the later appends, or none of them is sent."""
    with connect(server.url, semantics="exactly-once", outbox=tmp_path / "outbox") as kv:
        point = {"name": "before_execute", "action": "drop", "match": {"key": "k", "method": "kv.put"}}
        kv.call("debug.failpoint", {**point, "count": 1000})
        assert isinstance(kv.outcome("kv.put", {"key": "k", "value": "old"}, timeout_s=0.5), Unknown)
        assert isinstance(kv.outcome("kv.append", {"key": "k", "value": "+new"}, timeout_s=0.5), Unknown)
        kv.call("debug.failpoint", {**point, "count": 0})
        assert isinstance(kv.outcome("kv.append", {"key": "k", "value": "+newest"}), Ok)
        assert kv.get("k").value == "old+new+newest"
