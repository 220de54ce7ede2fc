"""The promise on real servers of several processes and threads: gunicorn, granian, Flask's own, on both databases."""

from __future__ import annotations

import http.client
import time
from typing import NamedTuple

import pytest

from tests.library.conftest import on_postgresql, open_place
from tests.support.caller import LOST, Caller
from tests.support.places import DATABASES, Place
from tests.support.replies import Answer, expect
from tests.support.seed import unique
from tests.support.waiting import at_once, until
from tests.support.wsgi_server import SERVERS, WsgiServer

MODULE = "tests.library.service"
COMBINATIONS = [
    pytest.param((name, kind), marks=pytest.mark.xdist_group(f"library-{name}-{kind}"), id=f"{name}-{kind}")
    for name in SERVERS for kind in DATABASES
]  # fmt: skip


class Running(NamedTuple):
    """A server and its database."""

    server: WsgiServer
    place: Place

    @property
    def url(self):
        return self.server.url


@pytest.fixture(scope="module", params=COMBINATIONS)
def running(request, tmp_path_factory):
    """A server of either kind on a database of either kind, shared by the tests of this file."""
    name, kind = request.param
    directory = tmp_path_factory.mktemp("running")
    for place in open_place(request, kind, directory):
        with WsgiServer(name, MODULE, {"DATABASE": place.url}, directory / "log") as server:
            yield Running(server, place)


@pytest.fixture
def own(request, place, tmp_path):
    """Starts a server of one test's own, with failpoints."""
    servers = []

    def start(name="gunicorn", **options):
        environment = {"DATABASE": place.url, "ONCERPC_FAILPOINTS": str(tmp_path / "failpoints")}
        servers.append(WsgiServer(name, MODULE, environment, tmp_path / "log", **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def post(url, word, key, headers=()):
    """One request to the view, on a connection of its own."""
    with Caller(url) as caller:
        return caller.fetch(
            "POST", f"/notes/{word}", b"", {"Idempotency-Key": key, "Content-Length": "0", **dict(headers)}
        )


def call(url, method, /, key=None, **params) -> Answer:
    """One call, on a connection of its own."""
    with Caller(url) as caller:
        return caller.call(method, **params) if key is None else caller.keyed(key, method, **params)


@pytest.mark.parametrize("kind", ["view", "key", "session"])
def test_the_same_identity_from_many_threads(running, kind):
    """Twelve at once: one effect, one unmarked reply, the others replays equal to it, whichever process has them."""
    session = call(running.url, "session.open").ok["session"]
    for seq in range(1, 4):
        word = unique()

        def send(word=word, seq=seq):
            if kind == "view":
                reply = post(running.url, word, word)
                assert reply.status == 201, reply.body
                return reply.headers.get("Idempotent-Replayed") == "true", reply.json
            if kind == "key":
                answer = call(running.url, "note.write", key=word, word=word)
            else:
                answer = call(running.url, "note.write", word=word, _meta={"session": session, "seq": seq})
            assert answer.error is None, answer.error
            return answer.replayed, answer.bare

        answers = at_once([send] * 12)
        assert sorted(marked for marked, _ in answers) == [False] + [True] * 11
        assert all(body == answers[0][1] for _, body in answers)
        assert running.place.notes.count(word) == 1


def test_other_keys_run_side_by_side(running):
    """On PostgreSQL two calls overlap in time; on SQLite, which has one writer, they never do."""
    words = [unique() for _ in range(2)]
    at_once([lambda word=word: call(running.url, "note.write", key=word, word=word, wait_ms=700).ok for word in words])
    times = dict(running.place.run("SELECT text, at FROM note"))
    overlap = min(times[f"{word} ended"] for word in words) - max(times[word] for word in words)
    assert (overlap > 0) is (running.place.kind == "postgresql")


def test_a_late_duplicate_races_with_the_acknowledgement(running):
    """It is a replay or stale_call, and never runs again."""
    session = call(running.url, "session.open").ok["session"]
    first = unique()

    def send(seq, **meta):
        word = f"{first}.{seq}"
        return call(running.url, "note.write", word=word, _meta={"session": session, "seq": seq, **meta})

    send(1)
    for seq in range(2, 12):
        acknowledging, *late = at_once([lambda seq=seq: send(seq, acked=seq - 1)] + [lambda seq=seq: send(seq - 1)] * 3)
        assert acknowledging.ok["word"] == f"{first}.{seq}"
        assert all(answer.code == 1003 or answer.replayed for answer in late)
    notes = running.place.notes
    assert [notes.count(f"{first}.{seq}") for seq in range(1, 12)] == [1] * 11


@pytest.mark.parametrize("values", [("a", "a"), ("a", "b")])
def test_a_key_that_is_sent_twice(running, values):
    """Two headers are refused with 400 by the view and at /rpc, whichever server has joined them."""
    word = unique()
    for path, body in ((f"/notes/{word}", b""), ("/rpc", b'{"jsonrpc":"2.0","id":1,"method":"note.write"}')):
        connection = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=10)
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        for value in values:
            connection.putheader("Idempotency-Key", value)
        connection.endheaders(body)
        status = connection.getresponse().status
        connection.close()
        assert status == 400
    assert word not in running.place.notes


def patiently(send):
    """What a client does that got no reply: the same again, until there is one."""
    for _ in range(200):
        try:
            return send()
        except LOST:
            time.sleep(0.1)
    raise AssertionError("no reply in 20 s")


@pytest.mark.parametrize("kind", ["session", "key"])
@pytest.mark.parametrize("point", ["before_execute", "after_execute", "after_commit"])
def test_a_worker_dies(own, place, point, kind):
    """SIGKILL before the handler, before the commit or after it: the retry brings one effect, and the reply of it."""
    server = own()
    word = unique()
    session = call(server.url, "session.open").ok["session"]
    identity = {"_meta": {"session": session, "seq": 1}} if kind == "session" else {"key": word}
    call(server.url, "debug.failpoint", name=point, action="crash", match={"method": "note.write"})
    with pytest.raises(LOST):
        call(server.url, "note.write", word=word, **identity)
    answer = patiently(lambda: call(server.url, "note.write", word=word, **identity))
    assert answer.replayed is (point == "after_commit")
    assert answer.ok["word"] == word
    assert place.notes.count(word) == 1


@pytest.mark.parametrize("point", ["before_execute", "after_execute", "after_commit"])
def test_the_whole_server_dies(own, place, point):
    """Flask's own server is killed and started again: the retry, a minute late as far as it knows, has one effect."""
    server = own("flask")
    word = unique()
    session = call(server.url, "session.open").ok["session"]
    meta = {"session": session, "seq": 1}
    call(server.url, "debug.failpoint", name=point, action="crash")
    with pytest.raises(LOST):
        call(server.url, "note.write", word=word, _meta=meta)
    server.kill()
    server.start()
    assert call(server.url, "note.write", word=word, _meta=meta).replayed is (point == "after_commit")
    assert call(server.url, "note.write", word="next", _meta={**meta, "seq": 2, "acked": 1}).ok
    expect(call(server.url, "note.write", word=word, _meta=meta), 1003)
    assert place.notes.count(word) == 1


@on_postgresql
def test_a_duplicate_waits_at_another_process_for_one_that_dies(own, place):
    """The one that holds the claim is killed: the claim goes with it, and the duplicate that waited runs."""
    server = own(workers=3)
    word = unique()
    call(server.url, "debug.failpoint", name="after_execute", action="sleep:1500", match={"method": "note.write"})

    def first():
        try:
            return call(server.url, "note.write", key=word, word=word, wait_ms=0)
        except LOST:
            return None

    def kill():
        until(lambda: call(server.url, "debug.failpoints").ok["failpoints"]["after_execute"], what="the failpoint")
        for number in range(3):
            server.kill_worker(number)

    at_once([first, kill])
    answer = patiently(lambda: call(server.url, "note.write", key=word, word=word))
    assert answer.ok["word"] == word
    assert place.notes.count(word) == 1


def test_two_servers_on_one_database(own, place):
    """A call that ran at one is a replay at the other, after the first is gone too."""
    here, there = own("gunicorn", workers=2), own("flask")
    word = unique()
    session = call(here.url, "session.open").ok["session"]
    meta = {"session": session, "seq": 1}
    first = call(here.url, "note.write", word=word, _meta=meta)
    assert call(there.url, "note.write", word=word, _meta=meta).replayed
    here.kill()
    again = call(there.url, "note.write", word=word, _meta=meta)
    assert (again.replayed, again.bare) == (True, first.bare)
    assert place.notes.count(word) == 1
