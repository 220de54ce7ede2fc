"""Section 4: how far `seq` may lead: by the window, from the greater of this call's `acked` and the watermark."""

from __future__ import annotations

from tests.support.across_restarts import across_restarts
from tests.support.caller import request
from tests.support.replies import expect
from tests.support.seed import unique

WINDOW = 1024


@across_restarts
def test_the_window_is_measured_from_the_watermark(kv, other):
    """The watermark moves the window, also for calls that acknowledge nothing themselves."""
    session, key = kv.open(), unique()
    session.ack(10)
    yield
    expect(session.do(WINDOW + 11, "kv.append", key=key, value="x"), 1004)
    assert kv.get(key) == (None, 0)
    assert session.do(WINDOW + 10, "kv.append", key=key, value="x").ok == {"version": 1, "offset": 0}


def test_the_window_of_a_new_session(kv):
    """A new session has 1,024 calls ahead of it: the last of them runs, the next is window_exceeded and does not."""
    assert kv.ok("session.open")["window"] == WINDOW
    session, key = kv.open(), unique()
    expect(session.do(WINDOW + 1, "kv.append", key=key, value="x"), 1004)
    assert kv.get(key) == (None, 0)
    assert session.do(WINDOW, "kv.append", key=key, value="x").ok


def test_this_calls_own_acked_moves_the_window(kv):
    """The window is measured from this call's `acked` where that is greater than the watermark."""
    session, key = kv.open(), unique()
    assert session.call("kv.append", meta={"seq": WINDOW + 5, "acked": 5}, key=key, value="x").ok
    expect(session.call("kv.append", meta={"seq": WINDOW + 7, "acked": 6}, key=key, value="x"), 1004)
    assert kv.get(key) == ("x", 1)


def test_a_refusal_by_the_window_is_not_recorded(kv):
    """What the window refused runs once it has moved, with the payload that comes then."""
    session, key = kv.open(), unique()
    expect(session.do(WINDOW + 1, "kv.append", key=key, value="x"), 1004)
    session.ack(1)
    assert not session.do(WINDOW + 1, "kv.append", key=key, value="y").replayed
    assert kv.get(key) == ("y", 1)


def test_all_calls_of_a_window_may_be_outstanding(kv):
    """1,024 calls that nobody has acknowledged keep their records, all of them."""
    session, key = kv.open(), unique()
    metas = [{"session": session.name, "seq": seq} for seq in range(1, WINDOW + 1)]
    calls = [request("kv.increment", {"key": key, "_meta": meta}, id=meta["seq"]) for meta in metas]
    for start in range(0, WINDOW, 256):  # in portions that no sensible queue refuses
        assert all(answer.error is None for answer in kv.send(calls[start : start + 256]).answers)
    for seq in (1, 2, WINDOW // 2, WINDOW):
        assert session.do(seq, "kv.increment", key=key).replayed
    assert kv.get(key) == (str(WINDOW), WINDOW)


def test_absurd_seqs_are_refused(kv):
    """A seq or an acknowledgement out of all bounds is a definite refusal and never the server's failure."""
    session, key = kv.open(), unique()
    for seq in (2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30):
        answer = session.do(seq, "kv.append", key=key, value="x")
        assert answer.code in (1004, -32602)
        expect(answer, answer.code)
    assert kv.get(key) == (None, 0)
