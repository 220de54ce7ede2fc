"""Members that die, are paused or are all away: no reply is wrong, nothing is lost, and the same servers go on."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from tests.support.caller import LOST
from tests.support.replies import expect
from tests.support.waiting import at_once, until

READY_S = 3.0  # what is promised, and measured where nothing else runs


@pytest.fixture
def node(etcd_of_three, serve):
    """A server on three healthy members."""
    return serve(etcd_of_three.url())


def is_ready(node) -> bool:
    """What /readyz says."""
    try:
        return bool(node.kv.fetch("GET", "/readyz").status == 200)
    except LOST:
        return False


class Appender(threading.Thread):
    """One client: appends its numbers in order to a key of its own, each until it is answered."""

    def __init__(self, node, name: str) -> None:
        super().__init__(daemon=True)
        self._session, self.key = node.kv.open(), name
        self.answered: list[tuple[int, int]] = []
        """Number, and the offset that it was given."""
        self.strange: list[object] = []
        self._ending = threading.Event()

    def run(self) -> None:
        seq = 0
        while not self._ending.is_set():
            seq += 1
            while (answer := self._attempt(seq)) is None:
                time.sleep(0.02)
            self.answered.append((seq, answer["offset"]))

    def _attempt(self, seq: int):
        try:
            answer = self._session.call("kv.append", meta={"seq": seq, "acked": seq - 1}, key=self.key, value="x")
        except LOST:
            return None
        if answer.error is None:
            return answer.ok
        if answer.code not in (11, -32603):
            self.strange.append(answer.error)
        return None

    def finish(self) -> None:
        self._ending.set()
        self.join(30)
        assert not self.is_alive()

    def check(self, node) -> None:
        """Every append once, in the order in which they were answered."""
        assert not self.strange
        assert [offset for _, offset in self.answered] == list(range(len(self.answered)))
        assert node.kv.get(self.key) == ("x" * len(self.answered), len(self.answered))


def under_load(node, disturb) -> int:
    """Four clients while something is disturbed, and for a while after; how many calls they made, each of them once."""
    clients = [Appender(node, f"load{n}-{time.monotonic_ns()}") for n in range(4)]
    for client in clients:
        client.start()
    disturb(clients)
    before = answered(clients)
    until(lambda: answered(clients) > before + 20, what="calls after the fault")
    for client in clients:
        client.finish()
    for client in clients:
        client.check(node)
    return answered(clients)


def answered(clients) -> int:
    """How many calls they have the replies to."""
    return sum(len(client.answered) for client in clients)


def test_a_member_that_is_asked_first_is_paused(etcd_of_three, node):
    """It keeps its connections and says nothing: the others are asked, and the transaction it holds is looked up."""

    def pause_first(clients):
        first = etcd_of_three.members[0]
        first.pause()
        try:
            before = answered(clients)
            until(lambda: answered(clients) > before + 100, what="calls past the one that is paused")
        finally:
            first.resume()

    assert under_load(node, pause_first) > 100


@pytest.mark.long
@pytest.mark.alone
def test_a_lost_majority_and_its_return(etcd_of_three, node):
    """No success without a majority, not ready within the time that is promised, and back by itself."""
    session = node.kv.open()
    assert session.do(1, "kv.append", key="majority", value="a").ok
    assert is_ready(node)
    followers = etcd_of_three.followers()
    for member in followers:
        member.kill()
    began_s = time.monotonic()
    until(lambda: not is_ready(node), READY_S, "503")
    assert time.monotonic() - began_s < READY_S
    assert node.kv.fetch("GET", "/healthz").status == 200
    attempts = [partial(session.do, 2, "kv.append", key="majority", value="b")] * 2 + [
        partial(node.kv.call, "kv.get", key="majority"),
        partial(node.kv.call, "session.open"),
    ]
    for answer in at_once(attempts):
        assert answer.error is not None, "a success without a majority"
        assert answer.code in (11, -32603), answer.error
    expect(session.do(2, "kv.append", key="majority", value="b"), 11, 503)
    etcd_of_three.restart(*followers)
    until(partial(is_ready, node), what="readiness after the return")
    answer = until(lambda: _result(session.do(2, "kv.append", key="majority", value="b")), what="the retry")
    assert {name: answer[name] for name in ("version", "offset")} == {"version": 2, "offset": 1}
    assert node.kv.get("majority") == ("ab", 2)
    assert session.do(1, "kv.append", key="majority", value="a").replayed


@pytest.mark.alone
def test_all_members_are_away_and_come_back(etcd_of_three, node):
    """The same processes go on."""
    session = node.kv.open()
    for member in etcd_of_three.members:
        member.kill()
    until(lambda: not is_ready(node), READY_S, "503")
    expect(node.kv.call("kv.get", key="k"), 11, 503)
    assert session.do(1, "kv.append", key="all", value="a").code in (11, -32603)
    etcd_of_three.restart()
    until(partial(is_ready, node), what="readiness after the return")
    until(lambda: _result(session.do(1, "kv.append", key="all", value="a")), what="the retry")
    assert node.kv.get("all") == ("a", 1)


def _result(answer):
    return answer.result
