"""Section 7: SIGTERM drains and exits 0; SIGKILL at any moment loses no reply that left."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from tests.support.caller import LOST
from tests.support.raw_socket import connect
from tests.support.seed import unique
from tests.support.waiting import in_background, until


def test_sigterm_finishes_what_runs(fresh):
    """A call that runs when SIGTERM comes gets its reply; an idle connection holds nobody up; the exit code is 0."""
    node = fresh(failpoints=True)
    session, key = node.kv.open(), unique()
    with connect(node.server.url):
        held = node.holding("after_execute", 700, key, lambda: session.do(1, "kv.append", key=key, value="x"))
        assert not held.done()
        assert node.server.stop() == 0
    assert held.result(60).ok == {"version": 1, "offset": 0}
    node.server.start()
    assert session.do(1, "kv.append", key=key, value="x").replayed
    assert node.kv.get(key) == ("x", 1)


@pytest.mark.parametrize("rest", ["", "P/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{"], ids=["head", "body"])
def test_half_a_request_does_not_hold_sigterm_up(fresh, rest):
    """A client that fell silent in the middle of a request is nothing to wait for: the server ends soon, with 0."""
    node = fresh()
    with connect(node.server.url) as silent:
        silent.sendall(b"POST /rpc HTT" + rest.encode())
        assert node.kv.ok("server.info")  # by now the half request has arrived, too
        assert node.server.stop(10) == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_reply_that_left_is_lost(fresh, end, workers):
    """Under load, whichever way the server ends: what was answered is there once, and retries make the rest."""
    node = fresh(workers=workers)
    sessions = [node.kv.open() for _ in range(8)]
    keys, replies, enough = [unique() for _ in sessions], [0] * len(sessions), threading.Event()

    def write(n):
        try:
            while True:
                answer = sessions[n].do(replies[n] + 1, "kv.append", key=keys[n], value="x")
                assert answer.ok == {"version": replies[n] + 1, "offset": replies[n]}
                replies[n] += 1
                if replies[n] >= 25:
                    enough.set()
        except LOST:
            return replies[n]

    writers = [in_background(partial(write, n)) for n in range(len(sessions))]
    until(enough.is_set, what="some load")
    code = getattr(node.server, end)()
    assert end == "kill" or code == 0
    answered = [writer.result(60) for writer in writers]
    node.server.start()
    for n, session in enumerate(sessions):
        assert session.do(answered[n] + 1, "kv.append", key=keys[n], value="x").bare == {
            "result": {"version": answered[n] + 1, "offset": answered[n]}
        }
        assert node.kv.get(keys[n]) == ("x" * (answered[n] + 1), answered[n] + 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_drain_owes_nobody_a_reply(fresh, workers):
    """SIGTERM under load: a call that runs is answered before its connection is closed; what ran is what was told."""
    node = fresh(workers=workers)
    keys, told, enough = [unique() for _ in range(16)], [0] * 16, threading.Event()

    def write(n):
        try:
            while True:
                node.kv.ok("kv.append", key=keys[n], value="x")
                told[n] += 1
                if told[n] >= 25:
                    enough.set()
        except LOST:
            return

    writers = [in_background(partial(write, n)) for n in range(len(keys))]
    until(enough.is_set, what="some load")
    assert node.server.stop() == 0
    for writer in writers:
        writer.result(60)
    node.server.start()
    assert [node.kv.get(key)[1] for key in keys] == told


def test_a_paused_server_goes_on(fresh):
    """A server that was stopped for a while (SIGSTOP) answers when it goes on, and has run each call once."""
    node = fresh()
    session, key = node.kv.open(), unique()
    node.server.pause()
    answers = [in_background(lambda: session.do(1, "kv.append", key=key, value="x")) for _ in range(2)]
    node.server.resume()
    assert {str(answer.result(60).bare) for answer in answers} == {str({"result": {"version": 1, "offset": 0}})}
    assert node.kv.get(key) == ("x", 1)
