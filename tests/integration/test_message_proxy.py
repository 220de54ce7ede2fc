"""The message proxy before a real server: what it does to exactly one message, and what the server makes of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

import oncekv.client as oncekv
from chaos.net.message_proxy import (
    DUPLICATE,
    KEEP_COPY,
    LOSE_REPLY,
    LOSE_REQUEST,
    PASS,
    REFUSE_413,
    REFUSE_503,
    Delivered,
    MessageProxy,
)
from chaos.net.replies import NO_ANSWER, ReplySummary
from oncekv.client import Ok, RetryPolicy, Unknown
from tests.support.caller import LOST, Caller
from tests.support.server import Node
from tests.support.waiting import in_background, until


@pytest.fixture
def proxy(node: Node) -> Iterator[MessageProxy]:
    """A message proxy to the shared server; in the end it leaves no thread."""
    with contextlib.closing(MessageProxy("c", node.server.url)) as proxy:
        yield proxy
    assert not [thread for thread in threading.enumerate() if thread.name == "message-proxy-c"]


@pytest.fixture
def through(proxy: MessageProxy) -> Iterator[Caller]:
    """A caller that goes through the message proxy."""
    with Caller(proxy.url, timeout_s=2.0) as caller:
        yield caller


def test_calls_pass_on_one_connection(through: Caller) -> None:
    """A keep-alive client notices nothing of the message proxy."""
    before = through.get("proxy/pass")
    for number in range(20):
        assert through.ok("kv.append", key="proxy/pass", value="x") == {"version": number + 1, "offset": number}
    assert (before, through.get("proxy/pass")) == ((None, 0), ("x" * 20, 20))


@pytest.fixture
def patient(proxy: MessageProxy) -> Iterator[Caller]:
    """The same, with time for messages that are large."""
    with Caller(proxy.url) as caller:
        yield caller


def test_large_messages_pass(patient: Caller) -> None:
    """A request and a reply of 3 MiB go through whole, and one over the server's limit is answered as without."""
    values = {f"proxy/large/{number}": str(number) * 2**20 for number in range(3)}
    ops = [{"op": "put", "key": key, "value": value} for key, value in values.items()]
    assert len(patient.ok("kv.txn", checks=[], ops=ops)["results"]) == 3
    items = patient.ok("kv.list", prefix="proxy/large/")["items"]
    assert {item["key"]: item["value"] for item in items} == values
    # A server that refuses by the head alone closes over what it did not read; then the refusal itself may be lost.
    with contextlib.suppress(*LOST):
        assert patient.post(b" " * (5 * 2**20)).status == 413
    assert patient.get("proxy/large/0")[1] == 1


@pytest.mark.parametrize(("action", "effects"), [(LOSE_REQUEST, 1), (LOSE_REPLY, 2)])
def test_a_retry_doubles_what_only_the_reply_was_lost_of(
    proxy: MessageProxy, through: Caller, action: str, effects: int
) -> None:
    """To the client both are the same silence; without an identity, the retry after a lost reply runs it again."""
    name = f"c0-{effects}"
    proxy.rule = lambda call, attempt: action if attempt == 1 else PASS
    with pytest.raises(TimeoutError):
        through.call("kv.increment", key=f"n/{name}")
    assert through.ok("kv.increment", key=f"n/{name}")["value"] == effects
    assert (proxy.lost_requests, proxy.lost_replies) == ((1, 0) if action == LOSE_REQUEST else (0, 1))


@pytest.mark.parametrize(("with_identity", "effects"), [(False, 2), (True, 1)])
def test_a_doubled_request_has_one_effect_with_an_identity(
    proxy: MessageProxy, through: Caller, with_identity: bool, effects: int
) -> None:
    """Two deliveries at once: without an identity both run; with one, the second gets the first one's reply."""
    session = through.open()
    proxy.rule = lambda call, attempt: DUPLICATE
    meta = {"_meta": {"session": session.name, "seq": 1}} if with_identity else {}
    key = f"n/c1-{effects}"
    through.ok("kv.increment", key=key, **meta)
    until(lambda: proxy.doubled == 1, what="the second delivery")
    assert through.get(key)[0] == str(effects)
    until(lambda: proxy.pairs(), what="both replies")
    _, *replies = proxy.pairs()[0]  # the read after it went out twice too
    values = [reply.content["value"] for reply in replies]
    assert sorted(values) == ([1, 1] if with_identity else [1, 2])


def test_late_copies_are_told_apart(proxy: MessageProxy, through: Caller) -> None:
    """A copy is replayed while its record is kept, stale once it is acknowledged, and lost with its session."""
    proxy.rule = lambda call, attempt: KEEP_COPY
    session = through.open()
    for seq in (1, 2):
        session.call("kv.increment", meta={"seq": seq, "acked": seq - 1}, key=f"n/c2-{seq}")
    until(lambda: proxy.deliver_kept()[1].first, what="the reply that passed is remembered")
    stale, replayed = proxy.deliver_kept()
    assert (stale.answer, replayed.answer) == ("stale_call", "replayed")
    assert replayed.said.content == replayed.first == {"value": 1, "version": 1}
    session.ack(2)
    assert [copy.answer for copy in proxy.deliver_kept()] == ["stale_call", "stale_call"]
    session.close()
    assert [copy.answer for copy in proxy.deliver_kept()] == ["session_unknown", "session_unknown"]
    assert (through.get("n/c2-1")[0], through.get("n/c2-2")[0]) == ("1", "1")


def test_a_server_that_dies_in_a_call_is_seen_to(fresh: Callable[..., Node]) -> None:
    """The client is told at once, not at its deadline; and the message proxy carries on when the server is back."""
    node = fresh(failpoints=True)
    with contextlib.closing(MessageProxy("dying", node.server.url)) as proxy:
        proxy.rule = lambda call, attempt: KEEP_COPY
        with Caller(proxy.url, timeout_s=10) as caller:
            node.arm("after_commit", "sleep:9000")
            lost = in_background(lambda: caller.call("kv.increment", key="n/c3-1"))
            node.when_fired("after_commit", 0)
            node.server.kill()
            with pytest.raises(LOST):
                lost.result(60)
        assert proxy.deliver_kept() == [Delivered("c3-1", 1, 0, NO_ANSWER)]
        node.server.start()
        assert proxy.deliver_kept() == [Delivered("c3-1", 1, 200, ReplySummary("ok", {"value": 2, "version": 2}))]
        with Caller(proxy.url) as caller:
            assert caller.get("n/c3-1")[0] == "2"


def test_the_projects_own_client_gets_a_lost_call_done_once(proxy: MessageProxy) -> None:
    """The request of the first attempt and the reply of the second are lost; the third has the reply of the second."""
    plan = {1: LOSE_REQUEST, 2: LOSE_REPLY}
    proxy.rule = lambda call, attempt: plan.get(attempt, PASS)
    policy = RetryPolicy(first_delay_s=0.01, delay_max_s=0.02, attempt_timeout_s=1.0)
    with oncekv.connect([proxy.url], semantics="at-most-once", timeout_s=10.0, retry=policy) as client:
        outcome = client.outcome("kv.increment", {"key": "n/c4-1"})
    assert isinstance(outcome, Ok)
    assert outcome.result["value"] == 1
    assert [attempt.result for attempt in outcome.attempts][2:] == ["ok (replayed)"]
    assert (proxy.lost_requests, proxy.lost_replies) == (1, 1)


@pytest.mark.parametrize("action", [REFUSE_413, REFUSE_503])
def test_a_refusal_reads_as_the_servers_own(proxy: MessageProxy, action: str) -> None:
    """Both are definite of an attempt; after a lost reply only the one that may pass ends well, by another attempt."""
    plan = {1: LOSE_REPLY, 2: action}
    proxy.rule = lambda call, attempt: plan.get(attempt, PASS)
    policy = RetryPolicy(first_delay_s=0.01, delay_max_s=0.02, attempt_timeout_s=1.0)
    with oncekv.connect([proxy.url], semantics="at-most-once", timeout_s=10.0, retry=policy) as client:
        outcome = client.outcome("kv.increment", {"key": f"n/c5-{action[-1]}"})
    endings = [attempt.result for attempt in outcome.attempts]
    if action == REFUSE_503:
        assert isinstance(outcome, Ok)
        assert endings[1:] == ["refused: overloaded", "ok (replayed)"]
    else:
        assert isinstance(outcome, Unknown)
        assert endings[1:] == ["refused: http_refused"]
    assert proxy.refused_retries == 1
