"""docs/protocol.md, rules 1 to 7, over servers that share nothing but their store; any of them may die for good."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.support.caller import LOST
from tests.support.one_effect import assert_one_effect_for_one_identity
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import at_once, in_background, until

DUPLICATES = 12
HOLD_MS = 800


def test_one_identity_at_once_runs_once(store, serve):
    """Of all attempts at both servers one has the effect, and every other one waits and gets its reply as a replay."""
    assert_one_effect_for_one_identity([serve(store), serve(store)], DUPLICATES, 5)


def test_one_idempotency_key_at_once_runs_once(store, serve):
    """The same where no session stands between the two: a session is opened once, a value appended once."""
    nodes = [serve(store), serve(store)]
    callers = [node.kv for node in nodes for _ in range(DUPLICATES)]
    for _ in range(5):
        opening, appending, key = unique(), unique(), unique()
        opened = at_once([partial(kv.keyed, opening, "session.open") for kv in callers])
        assert len({answer.ok["session"] for answer in opened}) == 1
        answers = at_once([partial(kv.keyed, appending, "kv.append", key=key, value="x") for kv in callers])
        assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 2 * DUPLICATES


def test_calls_of_one_session_at_two_servers_keep_their_records(store, serve):
    """Many at once, each of its own key: none takes another one's place, and every retry elsewhere is a replay."""
    nodes = [serve(store), serve(store)]
    session = nodes[0].kv.open()
    keys = [unique() for _ in range(16)]
    for _ in range(3):
        session, answers = nodes[0].kv.open(), []
        for shift in (0, 1):
            calls = [
                partial(session.at(nodes[(n + shift) % 2].kv).do, n + 1, "kv.append", key=key, value="x")
                for n, key in enumerate(keys)
            ]
            answers.append(at_once(calls))
        assert [answer.bare for answer in answers[0]] == [answer.bare for answer in answers[1]]
        assert not any(answer.replayed for answer in answers[0])
        assert all(answer.replayed for answer in answers[1])


def test_a_duplicate_waits_for_the_first_at_another_server(store, serve):
    """Rule 3: while the first is held, its effect done and not committed, the retry elsewhere gets no other reply."""
    first, second = serve(store), serve(store)
    session, key = first.kv.open(), unique()
    first.arm("after_execute", f"sleep:{HOLD_MS}", match={"key": key})
    held = in_background(lambda: session.do(1, "kv.append", key=key, value="x"))
    first.when_fired("after_execute", 0)
    began_s = time.monotonic()
    retry = session.at(second.kv).do(1, "kv.append", key=key, value="x")
    assert held.result(60).bare == retry.bare == {"result": {"version": 1, "offset": 0}}
    assert {held.result().replayed, retry.replayed} == {False, True}
    assert time.monotonic() - began_s < 10
    assert second.kv.get(key) == ("x", 1)


def test_keys_that_appear_at_once_lose_no_change(store, serve):
    """Two servers make one key at the same moment, again and again: each change counts, none is taken for the first."""
    nodes = [serve(store), serve(store)]
    for _ in range(10):
        key = unique()
        values = at_once([partial(node.kv.ok, "kv.increment", key=key) for node in nodes for _ in range(4)])
        assert sorted(value["value"] for value in values) == list(range(1, 9))
        assert nodes[1].kv.get(key) == ("8", 8)


def test_two_transactions_that_check_each_others_key_do_not_both_pass(store, serve):
    """Each writes one key if the other one is absent: at most one may, whichever servers they are at."""
    nodes = [serve(store), serve(store)]
    for _ in range(15):
        keys = unique(), unique()
        calls = [
            partial(
                node.kv.call, "kv.txn", checks=[{"key": keys[1 - n], "version": 0}],
                ops=[{"op": "put", "key": keys[n], "value": "x"}],
            )
            for n, node in enumerate(nodes)
        ]  # fmt: skip
        answers = at_once(calls)
        assert sum(answer.error is None for answer in answers) == 1
        assert sum(nodes[0].kv.get(key)[1] for key in keys) == 1


def test_a_session_that_was_closed_elsewhere_is_gone(store, serve):
    """Also for the server that has just answered under it, and knows it."""
    first, second = serve(store), serve(store)
    session, key = first.kv.open(), unique()
    assert session.do(1, "kv.append", key=key, value="x").ok == {"version": 1, "offset": 0}
    session.at(second.kv).close()
    expect(session.do(2, "kv.append", key=key, value="x"), 1001)
    expect(session.do(1, "kv.append", key=key, value="x"), 1001)
    assert second.kv.get(key) == ("x", 1)


def test_what_was_acknowledged_elsewhere_is_stale(store, serve):
    """The watermark is the store's, though the first server has made the record and still knew its place."""
    first, second = serve(store), serve(store)
    session, key = first.kv.open(), unique()
    for seq in (1, 2):
        session.do(seq, "kv.append", key=key, value="x")
    answer = session.at(second.kv).call("kv.append", meta={"seq": 3, "acked": 2}, key=key, value="x")
    assert answer.ok == {"version": 3, "offset": 2}
    expect(session.do(2, "kv.append", key=key, value="x"), 1003)
    assert session.do(3, "kv.append", key=key, value="x").replayed
    assert first.kv.get(key) == ("xxx", 3)


@pytest.mark.parametrize("moment", ["before_execute", "after_execute", "after_commit"])
def test_a_server_dies_for_good_and_the_retry_is_answered_by_another(store, serve, moment):
    """A replay where it had committed, else the first run; and nobody waits for the dead."""
    first, second = serve(store), serve(store)
    session, key = first.kv.open(), unique()
    first.arm(moment, "crash", match={"key": key})
    with pytest.raises(LOST):
        session.do(1, "kv.append", key=key, value="x")
    began_s = time.monotonic()
    retry = session.at(second.kv).do(1, "kv.append", key=key, value="x")
    assert time.monotonic() - began_s < 10
    assert retry.bare == {"result": {"version": 1, "offset": 0}}
    assert retry.replayed is (moment == "after_commit")
    assert second.kv.get(key) == ("x", 1)


def test_a_server_that_stands_still_holds_nobody_up(store, serve):
    """Stopped in the middle of a call, with its locks: another one answers within 10 s; later it gives that reply."""
    first, second = serve(store), serve(store)
    session, key = first.kv.open(), unique()
    first.arm("after_execute", f"sleep:{HOLD_MS}", match={"key": key})
    held = in_background(lambda: session.do(1, "kv.append", key=key, value="x"))
    first.when_fired("after_execute", 0)
    first.server.pause()
    began_s = time.monotonic()
    retry = session.at(second.kv).do(1, "kv.append", key=key, value="x")
    assert time.monotonic() - began_s < 10
    first.server.resume()
    assert (retry.bare, retry.replayed) == ({"result": {"version": 1, "offset": 0}}, False)
    assert (held.result(60).bare, held.result().replayed) == (retry.bare, True)
    assert first.kv.get(key) == ("x", 1)


def test_servers_start_at_once_on_an_empty_store(store, serve):
    """None of them finds half a store, and each start has a number of its own."""
    nodes = at_once([partial(serve, store) for _ in range(3)], timeout_s=60)
    assert sorted(node.server.boot for node in nodes) == [1, 2, 3]
    nodes[0].kv.ok("kv.put", key="k", value="x")
    assert [node.kv.get("k") for node in nodes] == [("x", 1)] * 3


def test_all_servers_count_what_the_store_holds(store, serve):
    """Sessions and records are the store's, whoever opened or ended them; numbers are never given out twice."""
    first, second = serve(store), serve(store)
    sessions = [node.kv.open() for node in (first, second) * 3]
    for session in sessions:
        session.do(1, "kv.put", key=unique(), value="x")
    sessions[0].at(second.kv).close()
    sessions[1].at(first.kv).close()
    for node in (first, second):
        text = node.kv.fetch("GET", "/metrics").body.decode()
        assert "\noncekv_sessions 4.0" in text
        assert "\noncekv_records 4.0" in text
    for session in sessions[2:]:
        assert session.at(first.kv).do(1, "kv.put", key="other", value="x").code == 1002


def test_a_lease_runs_by_one_clock_and_stands_still_with_no_server(store, serve):
    """What one server has renewed another one does not end early; time in which none runs does not count."""
    first, second = serve(store, workers=2), serve(store)
    session = first.kv.open(lease_ms=4000)  # a busy machine is late, but not by three seconds
    for n in range(1, 7):
        at = session.at((first if n % 2 else second).kv)
        assert at.call("kv.put", meta={"seq": n, "acked": n - 1}, key="k", value="x").ok == {"version": n}
        time.sleep(0.8)
    for node in (first, second):
        node.server.kill()
    time.sleep(4.5)
    third = serve(store)
    assert session.at(third.kv).do(7, "kv.put", key="k", value="x").ok == {"version": 7}
    until(lambda: third.kv.ok("server.info")["uptime_ms"] > 0)
    time.sleep(4 + 1)
    expect(session.at(third.kv).do(8, "kv.put", key="k", value="x"), 1001)


def test_keys_are_in_byte_order_and_values_are_any_text(store, serve):
    """Whatever the database would sort by; NUL is a character like others."""
    node = serve(store)
    keys = ["b", "a\0b", "a", "é", "Z", "\U0001f600", "\uffff", "ab"]
    for key in keys:
        node.kv.ok("kv.put", key=key, value=f"{key}\0{key}")
    items = serve(store).kv.ok("kv.list")["items"]
    assert [item["key"] for item in items] == sorted(keys, key=str.encode)
    assert all(item["value"] == f"{item['key']}\0{item['key']}" for item in items)
