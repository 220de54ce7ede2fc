"""The database goes away, and comes back: nothing is lost, nothing doubled, nobody is told what is not so."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.caller import LOST
from tests.support.seed import unique
from tests.support.waiting import in_background, until

READY_MAX_S = 3.0
CLIENTS = 4
LOAD_S = 4.0


def _status(node):
    return node.kv.fetch("GET", "/readyz").status


def _when(node, status: int, within_s: float) -> None:
    began_s = time.monotonic()
    until(lambda: _status(node) == status, within_s + 5, f"/readyz {status}")
    assert time.monotonic() - began_s < within_s


@pytest.mark.alone
@pytest.mark.parametrize("words", [["--writer", "thread"], ["--writer", "process"], ["--workers", "2"]], ids=" ".join)
def test_readiness_follows_the_database(own_postgres, postgres_url, serve, words):
    """503 within 3 s while it is away, 200 within 10 s of its return, by the same processes; health stays."""
    node = serve(postgres_url, *words)
    session, key = node.kv.open(), unique()
    assert session.do(1, "kv.append", key=key, value="a").ok == {"version": 1, "offset": 0}
    assert _status(node) == 200
    pid = node.server.pid
    own_postgres.stop()
    try:
        _when(node, 503, READY_MAX_S)
        assert node.kv.fetch("GET", "/healthz").status == 200
        for answer in (
            session.do(2, "kv.append", key=key, value="b"),
            session.do(1, "kv.append", key=key, value="a"),
            session.at(node.kv).call("session.renew"),
            node.kv.call("kv.get", key=key),
        ):
            assert (answer.error or {}).get("data", {}).get("name") in ("overloaded", "internal_error"), answer
    finally:
        own_postgres.start()
    _when(node, 200, 10)
    until(lambda: node.kv.call("kv.put", key=unique(), value="").error is None)
    assert session.do(2, "kv.append", key=key, value="b").bare == {"result": {"version": 2, "offset": 1}}
    assert node.kv.get(key) == ("ab", 2)
    assert node.server.pid == pid
    assert node.server.running


def test_a_database_that_stands_still_is_noticed(own_postgres, postgres_url, serve):
    """Its connections live and nothing comes: not ready within 3 s, no call is answered with a success, and back."""
    node = serve(postgres_url)
    key = unique()
    node.kv.ok("kv.put", key=key, value="x")
    assert _status(node) == 200
    processes = _family(own_postgres)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        _when(node, 503, READY_MAX_S)
        answer = node.kv.call("kv.get", key=key)
        assert (answer.error or {}).get("data", {}).get("name") in ("overloaded", "internal_error")
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    _when(node, 200, 10)
    until(lambda: node.kv.call("kv.get", key=key).error is None)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in-order", "as-a-crash"])
def test_it_is_restarted_under_load(own_postgres, postgres_url, serve, how):
    """Every call is retried with its identity, at two servers by turns: each has exactly one effect."""
    nodes = [serve(postgres_url), serve(postgres_url)]
    ends_s = time.monotonic() + LOAD_S
    clients = [in_background(partial(_log_until, ends_s, nodes, f"log-{number}")) for number in range(CLIENTS)]
    for _ in range(2):
        time.sleep(LOAD_S / 4)
        own_postgres.stop(how)
        own_postgres.start()
    assert min(client.result(60) for client in clients) > 10


def test_the_first_host_need_not_be_there(own_postgres, database, serve):
    """As libpq has it: the hosts in their order, until one can be written."""
    node = serve(f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{own_postgres.port}/{database}")
    assert node.kv.ok("kv.put", key="k", value="x") == {"version": 1}


def _log_until(ends_s, nodes, key):
    """One call after the other, each until it is answered; how many, when all are found in their order, once."""
    session, seq = nodes[0].kv.open(), 0
    while time.monotonic() < ends_s:
        seq += 1
        in_turn = nodes[seq % 2 :] + nodes[: seq % 2]
        until(partial(_is_logged, session, in_turn, key, seq), what=f"an answer to call {seq}")
    assert nodes[0].kv.get(key) == ("".join(f"{n}." for n in range(1, seq + 1)), seq)
    return seq


def _is_logged(session, nodes, key, seq):
    """Whether one of the servers has answered this call; any other answer is one that may come while it is away."""
    for node in nodes:
        meta = {"seq": seq, "acked": seq - 1}
        try:
            answer = session.at(node.kv).call("kv.append", meta=meta, key=key, value=f"{seq}.")
        except LOST:
            continue
        if answer.error is None:
            return True
        assert answer.error["data"]["name"] in ("overloaded", "internal_error"), answer.error
    return False


def _family(server) -> list[int]:
    """PostgreSQL's processes, its first one last: that would notice that one of the others is stopped."""
    first = server._process.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return [*map(int, children), first]
