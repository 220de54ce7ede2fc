"""Each semantics against the real server, broken at each point of a call."""

import threading
from collections import Counter

import pytest

from chaos.runtime.local import LocalServer
from oncekv.client import Failed, Ok, RetryPolicy, Semantics, Unknown, connect
from oncekv.kv.errors import VersionMismatch
from tests.support.seed import unique

MAYBE, AT_LEAST, AT_MOST, EXACTLY = Semantics
PATIENT = RetryPolicy(first_delay_s=0.02, delay_max_s=0.2, attempt_timeout_s=5.0)


@pytest.fixture
def server(tmp_path):
    """A server with failpoints, for one test alone."""
    with LocalServer(tmp_path / "data", failpoints=True) as server:
        yield server


@pytest.fixture
def key():
    """A key that no other test uses."""
    return unique()


def client(url, tmp_path):
    """A client with an outbox, so that each of the four semantics can be chosen."""
    return connect(url, retry=PATIENT, timeout_s=15.0, outbox=tmp_path / "outbox")


@pytest.fixture
def kv(armed, tmp_path):
    """A client of the shared server with failpoints."""
    with client(armed.server.url, tmp_path) as kv:
        yield kv


def arm(kv, key, name, action, count=1):
    """Arms a failpoint for the writes of one key."""
    kv.call("debug.failpoint", {"name": name, "action": action, "count": count, "match": {"key": key}})


def fired(kv):
    """How often each failpoint has fired."""
    return Counter(kv.call("debug.failpoints")["failpoints"])


# Point, action → effects of one call in the end, and what its client is told, by semantics.
ENDINGS = [
    ("before_execute", "drop", {MAYBE: (Unknown, 0), AT_LEAST: (Ok, 1), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)}),
    ("after_execute", "drop", {MAYBE: (Unknown, 0), AT_LEAST: (Ok, 1), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)}),
    ("after_commit", "drop", {MAYBE: (Unknown, 1), AT_LEAST: (Ok, 2), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)}),
    ("before_execute", "error", {MAYBE: (Unknown, 0), AT_LEAST: (Ok, 1), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)}),
    ("after_commit", "error", {MAYBE: (Unknown, 1), AT_LEAST: (Ok, 2), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)}),
]


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize(("point", "action", "expected"), ENDINGS, ids=[f"{p}-{a}" for p, a, _ in ENDINGS])
def test_a_lost_reply_means_what_the_semantics_says(kv, key, semantics, point, action, expected):
    """Wherever the reply is lost, effects and outcome are those of docs/protocol.md, "Semantics"; the failpoint
    surely fired.
    """
    before = fired(kv)
    arm(kv, key, point, action)
    outcome = kv.outcome("kv.append", {"key": key, "value": "x"}, semantics=semantics)
    told, effects = expected[semantics]
    assert (type(outcome), kv.get(key).version) == (told, effects)
    assert fired(kv) - before == {point: 1}
    if semantics.identifies and point == "after_commit":
        assert isinstance(outcome, Ok)
        assert outcome.replayed


CRASHES = {
    "before_execute": {MAYBE: (Unknown, 0), AT_LEAST: (Ok, 1), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)},
    "after_execute": {MAYBE: (Unknown, 0), AT_LEAST: (Ok, 1), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)},
    "after_commit": {MAYBE: (Unknown, 1), AT_LEAST: (Ok, 2), AT_MOST: (Ok, 1), EXACTLY: (Ok, 1)},
}


@pytest.mark.parametrize("point", CRASHES)
def test_a_crash_in_the_middle_of_a_call_means_what_the_semantics_says(server, tmp_path, point):
    """The server kills itself at each point and starts again on its data while the client still tries."""
    with client(server.url, tmp_path) as kv:
        for boot, semantics in enumerate(Semantics, start=2):
            arm(kv, semantics, point, "crash")
            found = []
            params = {"key": semantics, "value": "x"}
            work = threading.Thread(target=lambda: found.append(kv.outcome("kv.append", params, semantics=semantics)))  # noqa: B023  (joined below)
            work.start()
            server.wait_dead()
            server.start()
            work.join(20)
            told, effects = CRASHES[point][semantics]
            assert (type(found[0]), kv.get(semantics).version) == (told, effects), semantics
            assert server.boot == boot


def test_a_definite_error_after_a_lost_reply_is_told_as_each_semantics_can(kv, key):
    """The put ran and its reply was lost: without a record the retry's version_mismatch says nothing about the call."""
    outcomes = {}
    for semantics in Semantics:
        version = kv.get(key).version
        arm(kv, key, "after_commit", "drop")
        params = {"key": key, "value": "x", "if_version": version}
        outcomes[semantics] = kv.outcome("kv.put", params, semantics=semantics)
        assert kv.get(key).version == version + 1
    assert [type(outcome) for outcome in outcomes.values()] == [Unknown, Unknown, Ok, Ok]


def test_a_recorded_error_is_replayed_as_a_definite_failure(kv, key):
    """A version_mismatch whose reply was lost is the same one again, and definite, under an identity."""
    arm(kv, key, "after_commit", "drop")
    outcome = kv.outcome("kv.put", {"key": key, "value": "x", "if_version": 9})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, VersionMismatch)
    assert outcome.replayed
    assert kv.get(key).version == 0


def test_a_batch_whose_reply_is_lost_runs_once(kv, key):
    """The whole batch goes out again under the same identities, and every call is answered from its record."""
    before = fired(kv)
    arm(kv, key, "after_commit", "drop")
    with kv.batch() as batch:
        later = [batch.append(key, value) for value in "abc"]
    assert [one.result().offset for one in later] == [0, 1, 2]
    assert kv.get(key).value == "abc"
    assert fired(kv) - before == {"after_commit": 1}


def test_threads_on_one_session_over_swallowed_replies(kv, key):
    """Sixteen threads, a hundred replies swallowed: each append is there once, at the offset that its caller holds."""
    before = fired(kv)
    arm(kv, key, "after_commit", "drop", count=100)
    found: dict[str, int] = {}

    def work(worker):
        for number in range(20):
            token = f"[{worker}.{number}]"
            found[token] = kv.append(key, token).offset

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    value = kv.get(key).value or ""
    assert len(found) == 320
    assert {token: value.find(token) for token in found} == found
    assert len(value) == sum(map(len, found))
    assert fired(kv) - before == {"after_commit": 100}


def test_an_unreachable_server_is_a_definite_failure(server, tmp_path):
    """Nobody listens: at the deadline the client knows that nothing ran; exactly-once keeps the call all the same."""
    server.kill()
    with client(server.url, tmp_path) as kv:
        outcomes = [
            kv.outcome("kv.append", {"key": "k", "value": "x"}, semantics=semantics, timeout_s=0.3)
            for semantics in Semantics
        ]
        assert [type(outcome) for outcome in outcomes] == [Failed, Failed, Failed, Unknown]
        server.start()
        assert [type(one.outcome) for one in kv.resume()] == [Ok]
        assert kv.get("k").version == 1


def test_a_session_whose_lease_ran_out_is_replaced(armed, key):
    """An idle client's session is gone; its next call, of which nothing was lost, gets another and succeeds."""
    with connect(armed.server.url, session_lease_ms=150, retry=PATIENT) as kv:
        results: list[str] = []
        for _ in range(20):
            outcome = kv.outcome("kv.append", {"key": key, "value": "x"})
            assert isinstance(outcome, Ok)
            results += [attempt.result for attempt in outcome.attempts]
            if "error: session_unknown" in results:
                break
            threading.Event().wait(0.3)
        assert results[-2:] == ["error: session_unknown", "ok"]


def test_the_session_is_closed_at_the_end(armed, key):
    """A client that ends leaves no session behind for the server to keep."""
    with connect(armed.server.url) as kv:
        kv.append(key, "x")
        epoch = kv._core.session.epoch
    assert epoch is not None
    with connect(armed.server.url, semantics="maybe") as kv:
        assert "session_unknown" in str(kv.outcome("session.renew", {"_meta": {"session": epoch.name}}))
