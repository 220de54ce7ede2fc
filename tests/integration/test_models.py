"""The two server models side by side: who waits when a handler blocks, and what the watchdog says of it."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable
from functools import partial

import pytest

from chaos.runtime import base
from oncekv.server.http.models import models
from tests.support.raw_socket import connect, read_reply
from tests.support.sabotaged_server import spoilt
from tests.support.seed import unique
from tests.support.server import MODELS, Node
from tests.support.waiting import at_once, in_background, until

pytestmark = pytest.mark.parametrize("model", MODELS, indirect=True, scope="session")

BLOCK_S = 1.5
WATCH_MS = 300
IN_ONE = ("--writer", "thread")
"""One process, so that one watchdog sees all (the writer's own: `test_writer`)."""


def _dumps(node: Node) -> int:
    """How often the watchdog has barked; each time with the stacks of all threads."""
    log = node.server.log.read_text()
    count = log.count("a call has been stuck for over")
    assert log.count("Current thread") == count
    return count


def _has_barked(node: Node, times: int) -> bool:
    return _dumps(node) == times


def test_both_models_are_tested(model: str) -> None:
    """A model that is added is tested, and stormed at, and has the bugs planted in it."""
    assert sorted(MODELS) == sorted(base.MODELS) == models()


def test_a_handler_that_blocks(fresh: Callable[..., Node], model: str) -> None:
    """With threads only its own client waits; with the event loop everybody does. That is the price of one thread."""
    node = fresh(command=spoilt(f"block={BLOCK_S * 1000:.0f}"))
    node.kv.ok("kv.put", key="other", value="x")
    blocked = in_background(partial(node.kv.ok, "kv.get", key="block"))
    waits = []
    while not blocked.done():
        began_s = time.monotonic()
        node.kv.ok("kv.get", key="other")
        waits.append(time.monotonic() - began_s)
    if model == "threads":
        assert max(waits) < BLOCK_S / 2
        assert len(waits) > 3
    else:
        assert max(waits) > BLOCK_S / 2


def test_what_is_held_up_holds_up_no_other(fresh: Callable[..., Node], model: str) -> None:
    """Calls that are to be answered all at once, one of which takes long to: the others do not wait for it."""
    node = fresh(failpoints=True)
    node.arm("after_commit", "sleep:3000", match={"key": "slow"})
    node.server.pause()
    with contextlib.ExitStack() as stack:
        slow, *others = [stack.enter_context(_asking(node, key)) for key in ("slow", *"abcdefghi")]
        node.server.resume()
        replies = [read_reply(other) for other in others]
        assert [reply and reply.status for reply in replies] == [200] * len(others)
        assert select.select([slow], [], [], 0)[0] == []
        assert read_reply(slow) is not None


def _asking(node: Node, key: str) -> socket.socket:
    """A connection on which a write has been sent."""
    connection = connect(node.server.url)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "kv.put", "params": {"key": key, "value": "x"}})
    head = f"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(f"{head}{body}".encode())
    return connection


def test_the_watchdog_shows_who_stands(fresh: Callable[..., Node], model: str) -> None:
    """A call that stands for longer than the bound: all stacks in the log, once for each incident; the call goes on."""
    node = fresh(command=spoilt(f"watch={WATCH_MS}"), failpoints=True, extra_args=IN_ONE)
    for incident in (1, 2):
        key = unique()
        held = node.holding("after_execute", 5 * WATCH_MS, key, partial(node.kv.call, "kv.put", key=key, value="x"))
        assert held.result(60).ok == {"version": 1}
        until(partial(_has_barked, node, incident), what="one dump for each incident")
    assert "failpoints.py" in node.server.log.read_text(), "the dump shows what the call stands at"


def test_the_watchdog_sees_a_blocked_loop(fresh: Callable[..., Node], model: str) -> None:
    """A handler that blocks stands, too, and the dump has its line, on the loop as well as on a thread."""
    node = fresh(command=spoilt(f"watch={WATCH_MS}", f"block={5 * WATCH_MS}"))
    node.kv.ok("kv.get", key="block")
    assert _dumps(node) == 1
    assert "sabotaged_server.py" in node.server.log.read_text()


def test_the_watchdog_stays_quiet(fresh: Callable[..., Node], model: str) -> None:
    """Calls that come and go, and a server that was paused for longer than the bound, are no incident."""
    node = fresh(command=spoilt(f"watch={WATCH_MS}"))
    end_s = time.monotonic() + 3 * WATCH_MS / 1000
    while time.monotonic() < end_s:
        at_once([lambda: node.kv.ok("kv.increment", key="n")] * 4)
    sent = in_background(lambda: node.kv.ok("kv.increment", key="n"))
    node.server.pause()
    time.sleep(2 * WATCH_MS / 1000)  # nobody can be asked: the server stands still
    node.server.resume()
    sent.result(60)
    assert _dumps(node) == 0
