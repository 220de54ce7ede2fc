"""Callers that mean no good, in numbers: refused within bounds, and honest callers are served all the while.

Each attack has a small size for `make test`, and its full one for `make test-long`; what honest callers got is printed.
"""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hard.honest import Honest, beside
from tests.hard.planted import command
from tests.support.caller import LOST, request
from tests.support.raw_socket import connect, exchange, read_reply
from tests.support.server import Node
from tests.support.waiting import in_background, until

MIB = 2**20
MEMORY_MAX = 512 * MIB
"""What the processes of a server may have resident together under any of these."""
HOLD_MS = 5000
QUEUE_MAX = 1024
SHARE_MIN = 0.95
"""Of honest calls, so many are served at the first attempt; the others are told `overloaded`, which is definite."""


def sizes(small: int, full: int) -> pytest.MarkDecorator:
    """The attack's size."""
    return pytest.mark.parametrize("size", [small, pytest.param(full, marks=pytest.mark.long)])


@pytest.fixture
def node(fresh: Callable[..., Node]) -> Node:
    """A server of this test's own, with failpoints."""
    return fresh(failpoints=True)


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many sockets for this process as the system gives it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _resident(node: Node) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in node.server.members())
    return pages * resource.getpagesize()


def _served(honest: Honest, node: Node, share: float = SHARE_MIN) -> None:
    assert honest.wrong == []
    assert honest.ok > 3
    assert honest.share >= share, str(honest)
    assert _resident(node) < MEMORY_MAX
    assert "Traceback" not in node.server.log.read_text()


@sizes(500, 10_000)
def test_idle_connections(node: Node, many_files: None, size: int) -> None:
    """They cost their objects, and nothing else."""
    with beside(node.server.url, "idle") as honest, contextlib.ExitStack() as stack:
        for _ in range(size):
            stack.enter_context(contextlib.closing(connect(node.server.url)))
        until(lambda: honest.ok > 20, what="20 calls beside them")
    _served(honest, node)


@sizes(30, 500)
def test_slow_senders(node: Node, many_files: None, size: int) -> None:
    """Byte by byte: each waits for itself."""
    head = b"POST /rpc HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with beside(node.server.url, "slow-senders") as honest, contextlib.ExitStack() as stack:
        senders = [stack.enter_context(contextlib.closing(connect(node.server.url))) for _ in range(size)]
        for at in range(40):
            for sender in senders:
                sender.sendall(head[at : at + 1])
        until(lambda: honest.ok > 20, what="20 calls beside them")
    _served(honest, node)


@sizes(10, 50)
def test_slow_readers_of_large_replies(node: Node, size: int) -> None:
    """Who does not fetch a reply is not read from either, so a connection holds one of them."""
    for number in range(3):
        node.kv.ok("kv.put", key=f"large{number}", value="x" * MIB)
    ask = json.dumps(request("kv.list", {"prefix": "large"}, id=1)).encode()
    head = f"POST /rpc HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(ask)}\r\n\r\n"
    with beside(node.server.url, "slow-readers") as honest, contextlib.ExitStack() as stack:
        for _ in range(size):
            reader = stack.enter_context(contextlib.closing(connect(node.server.url)))
            with contextlib.suppress(BlockingIOError, TimeoutError):
                reader.settimeout(0.5)
                reader.sendall((head.encode() + ask) * 20)
        until(lambda: honest.ok > 20, what="20 calls beside them")
    _served(honest, node)


BODIES = {
    "nested": lambda size: b"[" * size,
    "nested objects": lambda size: b'{"a":' * (size // 5),
    "repeated": lambda size: b"{" + b'"id":1,' * (size // 7) + b'"id":1}',
    "a huge number": lambda size: b'{"jsonrpc":"2.0","id":' + b"9" * size + b"}",
    "no UTF-8": lambda size: b'"' + b"\xff" * size + b'"',
    "an endless string": lambda size: b'{"jsonrpc":"2.0","method":"' + b"x" * size,
    "huge": lambda size: b" " * (size * 2),
}


@sizes(2, 25)
def test_bodies_from_hell(node: Node, size: int) -> None:
    """4 MB each, several times over: told what is wrong with them, at once, and definite."""
    with beside(node.server.url, "bodies") as honest:
        for _ in range(size):
            for name, body in BODIES.items():
                try:
                    reply = node.kv.post(body(4 * MIB - 64))
                except LOST:
                    assert name == "huge", name  # the refusal came while it was still being sent
                    continue
                assert reply.status in (200, 400, 413), name
                assert reply.json["error"]["data"]["definite"] is True, name
    _served(honest, node)


@sizes(20_000, 1_000_000)
def test_headers_without_end(node: Node, size: int) -> None:
    """Refused at the first 64 KiB of them."""
    with beside(node.server.url, "headers") as honest:
        reply = exchange(node.server.url, "POST /rpc HTTP/1.1\n" + "\n".join(f"X-{n}: {n}" for n in range(size)))
        assert reply is None or reply.status == 431
        until(lambda: honest.ok > 5, what="5 calls beside it")
    _served(honest, node)


@sizes(300, 5000)
def test_sessions_without_end(fresh: Callable[..., Node], size: int) -> None:
    """Over --sessions-max an opening is refused; who has a session goes on."""
    node = fresh(extra_args=["--sessions-max", str(size // 2)])
    with beside(node.server.url, "sessions") as honest:
        until(lambda: honest.ok > 1, what="their sessions")
        batch = [request("session.open", {}, id=n) for n in range(size)]
        codes = [answer.code for answer in node.kv.send(batch).answers]
        until(lambda: honest.ok > 20, what="20 calls beside it")
    assert {None, 1006} <= set(codes) <= {None, 1006, 11}  # the queue has a bound of its own
    assert codes.count(None) < size // 2
    _served(honest, node, share=0.5)


def _duplicates(node: Node, size: int) -> list[int | None]:
    """A call is held while `size` copies of it arrive, each on a connection of its own; their codes."""
    session = node.kv.open()
    call = {"key": "crowded", "value": "x", "_meta": {"session": session.name, "seq": 1}}
    body = json.dumps(request("kv.append", call, id=1)).encode()
    head = f"POST /rpc HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        copies = [stack.enter_context(contextlib.closing(connect(node.server.url, 60.0))) for _ in range(size)]
        held = node.holding("after_execute", HOLD_MS, "crowded", lambda: node.kv.call("kv.append", **call))
        for copy in copies:
            copy.sendall(head.encode() + body)
        replies = [read_reply(copy) for copy in copies]
    assert held.result(60).ok == {"version": 1, "offset": 0}
    assert node.kv.get("crowded") == ("x", 1)
    answers = [reply.answer for reply in replies if reply is not None]
    assert len(answers) == size
    assert all(answer.replayed for answer in answers if answer.error is None)
    return [answer.code for answer in answers]


@pytest.mark.alone
@sizes(1500, 10_000)
def test_a_key_with_waiting_duplicates(node: Node, many_files: None, size: int) -> None:
    """They fill half of the queue, the others are refused, definite; one effect, and every answer a replay."""
    with beside(node.server.url, "duplicates") as honest:
        codes = _duplicates(node, size)
        until(lambda: honest.ok > 5, what="5 calls beside them")
    assert codes.count(11) >= size - QUEUE_MAX // 2 - 8
    assert set(codes) <= {None, 11}
    _served(honest, node)


def test_a_forgotten_bound_is_caught(fresh: Callable[..., Node], many_files: None) -> None:
    """Planted: a queue without one takes them all."""
    node = fresh(failpoints=True, command=command("bound-forgotten"))
    assert _duplicates(node, QUEUE_MAX + 100).count(11) < 92


@sizes(8, 40)
def test_little_memory(node: Node, size: int) -> None:
    """256 MiB for each process: large values are refused or fail in words, and what is acknowledged stays."""
    for pid in node.server.members():
        resource.prlimit(pid, resource.RLIMIT_DATA, (256 * MIB, resource.RLIM_INFINITY))
    with beside(node.server.url, "little-memory") as honest:
        putting = [
            in_background(lambda n=n: node.kv.call("kv.put", key=f"large{n}", value="x" * MIB))  # type: ignore[misc]
            for n in range(size)
        ]
        for number, answer in enumerate(putting):
            try:
                told = answer.result(120)
            except LOST:
                continue
            if told.error is None:
                assert node.kv.ok("kv.get", key=f"large{number}")["version"] == 1
        until(lambda: honest.ok > 5, what="5 calls beside them")
    assert honest.wrong == []
    assert honest.share > 0.5, str(honest)
