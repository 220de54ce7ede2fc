"""Section 7: the deliveries that are there to be worse. `memory` forgets over a restart, `none` knows nothing."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_memory_forgets_records_and_keeps_sessions(fresh, end):
    """--delivery memory: replays until it is restarted; then the session lives, but all that came before runs again."""
    node = fresh(delivery="memory")
    kv, session = node.kv, node.kv.open()
    key, keyed, acked = unique(), unique(), unique()
    idempotency_key = unique()
    session.do(2, "kv.append", key=key, value="x")
    assert session.do(2, "kv.append", key=key, value="x").ok == {"version": 1, "offset": 0, "_meta": {"replayed": True}}
    expect(session.do(2, "kv.append", key=key, value="y"), 1002)
    kv.keyed(idempotency_key, "kv.append", key=keyed, value="x")
    assert kv.keyed(idempotency_key, "kv.append", key=keyed, value="x").headers["Idempotent-Replayed"] == "true"
    session.ack(1)
    expect(session.do(1, "kv.append", key=acked, value="x"), 1003)
    getattr(node.server, end)()
    node.server.start()
    again = [
        session.do(2, "kv.append", key=key, value="x"),
        kv.keyed(idempotency_key, "kv.append", key=keyed, value="x"),
        session.do(1, "kv.append", key=acked, value="x"),
    ]
    assert [answer.replayed for answer in again] == [False] * 3
    assert (kv.get(key), kv.get(keyed), kv.get(acked)) == (("xx", 2), ("xx", 2), ("x", 1))
    assert kv.ok("server.info")["delivery"] == "memory"


def test_none_ignores_identities(fresh):
    """--delivery none: every attempt runs, whatever identity it has, and no reply is marked."""
    kv = fresh(delivery="none").kv
    key, session, idempotency_key = unique(), kv.open(), unique()
    answers = [session.do(1, "kv.append", key=key, value="x") for _ in range(2)]
    answers += [kv.keyed(idempotency_key, "kv.append", key=key, value="x") for _ in range(2)]
    assert [answer.ok for answer in answers] == [{"version": n + 1, "offset": n} for n in range(4)]
    assert kv.get(key) == ("xxxx", 4)
    assert kv.ok("server.info")["delivery"] == "none"
