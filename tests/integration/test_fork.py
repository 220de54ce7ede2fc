"""A client made before a fork, on both sides of it, against the real server: no effect and no reply goes astray."""

import json
import subprocess
import sys
from contextlib import closing

import pytest

from oncekv.client import connect
from oncerpc.client.session.outbox import Outbox
from tests.support.seed import unique

BEGIN = """
import json, multiprocessing, os, signal, sys, threading, time
from oncekv.client import OutboxError, RetryPolicy, connect
url, key, semantics, outbox = sys.argv[1:5]

def child(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        sys.stdout.flush()
    except BaseException as error:
        print(json.dumps([type(error).__name__, str(error)]), flush=True)
    os._exit(0)
"""

BOTH_SIDES = """
kv = connect(url, semantics=semantics)
kv.get(key + "p")
kv.increment(key)
kv.put(key + "p", "parent's"); kv.put(key + "c", "child's")
def work(mine):
    told = [[kv.increment(key).value, kv.get(key + mine[0]).value == mine + "'s"] for _ in range(5)]
    kv.close()
    os.write(1, b"".join(json.dumps(one).encode() + b"\\n" for one in told))
pids = [child(lambda: work("child")) for _ in range(3)]
work("parent")
for pid in pids: os.waitpid(pid, 0)
"""

OUTBOX_IN_CHILD = """
kv = connect(url, semantics=semantics, outbox=outbox)
kv.increment(key)
pid = os.fork()
if not pid:
    with kv.using():  # a view: entering it resumes nothing
        for call in (lambda: kv.increment(key), lambda: kv.get(key), lambda: kv.using(semantics="maybe").get(key),
                     lambda: kv.calls_begun, lambda: kv.resume(), kv.renew):
            try:
                call()
            except OutboxError as error:
                print(json.dumps(str(error)), flush=True)
    sys.exit(0)  # with all that Python tidies up at its end
os.waitpid(pid, 0)
identity = kv._core.session.plan(1)[0]
kv._core.outbox.put([("kv.increment", json.dumps({"key": key}).encode(), identity)])
os.kill(os.getpid(), signal.SIGKILL)
"""

BUSY_THREADS = """
kv = connect(url, semantics=semantics)
over = threading.Event()
def busy():
    while not over.is_set():
        with kv.batch() as batch:
            batch.increment(key + "b"), batch.increment(key + "b")
threads = [threading.Thread(target=busy) for _ in range(6)]
for thread in threads: thread.start()
def work():
    signal.alarm(20)  # a child that is stuck ends without a word
    print(json.dumps(kv.increment(key).value), flush=True)
for _ in range(25):
    os.waitpid(child(work), 0)
over.set()
for thread in threads: thread.join()
kv.close()
"""

SOCKETS = """
kv = connect(url, semantics=semantics)
kv.increment(key)
def sockets():
    names = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sum(os.readlink(name).startswith("socket:") for name in names if os.path.islink(name))
def work():
    print(json.dumps(sockets()), flush=True)
print(json.dumps(sockets()), flush=True)
os.waitpid(child(work), 0)
"""

IN_THE_MIDDLE = """
kv = connect(url, semantics=semantics, retry=RetryPolicy(attempt_timeout_s=8.0))
kv.call("debug.failpoint", {"name": "after_commit", "action": "sleep:1500", "match": {"key": key}})
pids = []
signal.signal(signal.SIGALRM, lambda *_: pids.append(os.fork()))
signal.setitimer(signal.ITIMER_REAL, 0.5)
outcome = kv.outcome("kv.increment", {"key": key})
print(json.dumps([pids != [0], type(outcome).__name__]), flush=True)
if pids == [0]: os._exit(0)
os.waitpid(pids[0], 0)
"""

POOL = """
kv = connect(url, semantics=semantics)
kv.increment(key)
def work(_):
    return kv.increment(key).value
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(4) as pool:
        for one in pool.map(work, range(20)): print(json.dumps(one))
    for method in ("spawn", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=print, args=(kv,))
        try:
            process.start()
        except TypeError as error:
            print(json.dumps(str(error)))
"""


@pytest.fixture
def run(armed, tmp_path):
    """Runs a program with a key of its own against the shared server: what it printed, and the key."""

    def run(program, semantics="at-most-once"):
        key = unique()
        (tmp_path / "program.py").write_text(BEGIN + program)
        words = [armed.server.url, key, semantics, str(tmp_path / "outbox")]
        command = [sys.executable, str(tmp_path / "program.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()], key

    return run


def value(armed, key):
    """What the key holds now."""
    with connect(armed.server.url) as kv:
        return kv.get(key).value


@pytest.mark.parametrize("semantics", ["maybe", "at-least-once", "at-most-once"])
def test_a_client_made_before_a_fork_is_four_clients_after_it(armed, run, semantics):
    """Every call that is told ok has its own effect, and every read is answered with its own key's value."""
    told, key = run(BOTH_SIDES, semantics)
    assert sorted(told) == [[number, True] for number in range(2, 22)]
    assert value(armed, key) == "21"


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_an_outbox_stays_with_the_parent(armed, run, tmp_path, semantics):
    """In the child each call is one clear error, and its end, tidy as it is, takes nothing from the parent's file."""
    told, key = run(OUTBOX_IN_CHILD, semantics)
    assert len(told) == 6
    assert all("make a client with an outbox of its own in each process" in line for line in told)
    assert value(armed, key) == "1"
    with closing(Outbox(tmp_path / "outbox")) as box:
        assert [entry.method for entry in box.entries()] == ["kv.increment"]


def test_no_child_waits_for_a_lock_of_the_parents_threads(armed, run):
    """Six threads call all the time while 25 children are forked: each child's call ends, with an effect of its own."""
    told, key = run(BUSY_THREADS)
    assert told == list(range(1, 26))
    assert value(armed, key) == "25"


def test_a_child_holds_no_socket_of_its_parents(run):
    """The server sees the parent's connections close when the parent closes them, however long the child lives."""
    told, _ = run(SOCKETS)
    assert told == [1, 0]


def test_a_fork_in_the_middle_of_a_call_leaves_the_call_to_the_parent(armed, run):
    """The parent gets its reply; the child's copy reads nothing of it, sends nothing more and knows nothing."""
    told, key = run(IN_THE_MIDDLE)
    assert sorted(told) == [[False, "Unknown"], [True, "Ok"]]
    assert value(armed, key) == "1"


def test_a_pool_of_forked_workers_may_use_a_client_and_a_spawned_one_is_refused(armed, run):
    """multiprocessing: `fork` gives each worker a client of its own, `spawn` and `forkserver` a clear TypeError."""
    told, key = run(POOL)
    assert sorted(told[:20]) == list(range(2, 22))
    assert [line.startswith("a KvClient can be neither copied nor pickled") for line in told[20:]] == [True, True]
    assert value(armed, key) == "21"
