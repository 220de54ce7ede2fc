"""The message proxy before a server of raw bytes, which can do what a real one never would."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from chaos.net.message_proxy import (
    DUPLICATE,
    HOLD,
    KEEP_COPY,
    LOSE_REPLY,
    LOSE_REQUEST,
    PASS,
    REFUSE_413,
    REFUSE_503,
    Delivered,
    MessageProxy,
    call_of,
)
from chaos.net.replies import ReplySummary, refusal
from tests.support.raw_socket import connect
from tests.support.waiting import until
from tests.unit.client.loopback import Loopback, ok, request_of, reset

REPLY = ok(b'{"jsonrpc":"2.0","id":1,"result":{"version":1}}')
Proxies = Callable[[Loopback], MessageProxy]


@pytest.fixture
def proxy_to() -> Iterator[Proxies]:
    """Makes message proxies; in the end none has a thread left."""
    made: list[MessageProxy] = []

    def make(server: Loopback) -> MessageProxy:
        made.append(MessageProxy(f"proxy{len(made)}", server.url))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()
        assert not [thread for thread in threading.enumerate() if thread.name == f"message-proxy-{proxy.name}"]


def _request(name: str = "c0-1") -> bytes:
    body = b'{"jsonrpc":"2.0","id":7,"method":"kv.append","params":{"key":"log/0","value":"%s;"}}' % name.encode()
    return b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _read(connection: socket.socket, size: int = len(REPLY)) -> bytes:
    data = b""
    while len(data) < size and (chunk := connection.recv(size - len(data))):
        data += chunk
    return data


def _serving(seen: list[bytes], reply: bytes = REPLY) -> Loopback:
    def script(connection: socket.socket, number: int) -> None:
        while request := request_of(connection):
            seen.append(request)
            connection.sendall(reply)

    return Loopback(script)


def _assert_silent(connection: socket.socket, for_s: float = 0.2) -> None:
    connection.settimeout(for_s)
    with pytest.raises(TimeoutError):
        connection.recv(1)


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (b'{"value":"c0-17;"}', "c0-17"),
        (b'{"key":"n/c3-4"}', "c3-4"),
        (b'{"key":"n/c12.1-40"}', "c12.1-40"),
        (b'{"method":"session.open","params":{}}', None),
        (b'{"session":"Abc3-4xyz","key":"n/c1-2"}', "c1-2"),
        (b'{"session":"_c3-4"}', None),
        (b"", None),
    ],
)
def test_a_call_is_known_by_its_name(body: bytes, call: str | None) -> None:
    """The name that the workload wrote is found; a session's random letters are no name."""
    assert call_of(body) == call


def test_bytes_pass_unchanged(proxy_to: Proxies) -> None:
    """Several requests in a row on one connection arrive byte for byte, and so do their replies."""
    seen: list[bytes] = []
    with _serving(seen) as server, connect(proxy_to(server).url) as client:
        requests = [_request(), b"GET /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n", _request("c0-2")]
        for request in requests:
            client.sendall(request)
            assert _read(client) == REPLY
        assert seen == requests
        assert len(server.connections) == 1


def test_the_rule_is_asked_once_for_each_attempt(proxy_to: Proxies) -> None:
    """Attempts of a call are counted from 1, over connections; requests without a call are not asked about."""
    asked: list[tuple[str, int]] = []

    def rule(call: str, attempt: int) -> str:
        asked.append((call, attempt))
        return PASS

    with _serving([]) as server:
        proxy = proxy_to(server)
        proxy.rule = rule
        for request in (_request("c0-1"), _request("c0-2"), b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", _request()):
            with connect(proxy.url) as client:
                client.sendall(request)
                assert _read(client) == REPLY
    assert asked == [("c0-1", 1), ("c0-2", 1), ("c0-1", 2)]


def test_a_lost_request_arrives_nowhere(proxy_to: Proxies) -> None:
    """The server sees nothing of it, the client hears nothing, and its next attempt gets through."""
    seen: list[bytes] = []
    with _serving(seen) as server:
        proxy = proxy_to(server)
        proxy.rule = lambda call, attempt: LOSE_REQUEST if attempt == 1 else PASS
        with connect(proxy.url) as client:
            client.sendall(_request())
            _assert_silent(client)
            assert (seen, proxy.lost_requests) == ([], 1)
        with connect(proxy.url) as client:
            client.sendall(_request())
            assert _read(client) == REPLY
        assert (len(seen), proxy.lost_requests, proxy.lost_replies) == (1, 1, 0)


def test_a_lost_reply_is_lost_after_the_call_ran(proxy_to: Proxies) -> None:
    """The second reply of a call, and no other, stays away although the server sent it whole."""
    seen: list[bytes] = []
    with _serving(seen) as server:
        proxy = proxy_to(server)
        proxy.rule = lambda call, attempt: LOSE_REPLY if attempt == 2 else PASS
        with connect(proxy.url) as client:
            client.sendall(_request())
            assert _read(client) == REPLY
            client.sendall(_request())
            _assert_silent(client)
            assert (len(seen), proxy.lost_replies) == (2, 1)


def test_a_doubled_request_arrives_twice_at_once(proxy_to: Proxies) -> None:
    """Both are with the server before either is answered, on two connections; the client gets one reply."""
    both = threading.Barrier(2)
    numbers: list[int] = []

    def script(connection: socket.socket, number: int) -> None:
        while request_of(connection):
            both.wait(5)
            numbers.append(number)
            connection.sendall(REPLY)

    with Loopback(script) as server, connect((proxy := proxy_to(server)).url) as client:
        proxy.rule = lambda call, attempt: DUPLICATE
        client.sendall(_request())
        assert _read(client) == REPLY
        until(lambda: proxy.doubled == 1, what="the second reply")
        _assert_silent(client)
    assert sorted(numbers) == [1, 2]
    assert proxy.pairs() == [("c0-1", ReplySummary("ok", {"version": 1}), ReplySummary("ok", {"version": 1}))]


@pytest.mark.parametrize(("action", "status"), [(REFUSE_413, 413), (REFUSE_503, 503)])
def test_a_refused_request_arrives_nowhere(proxy_to: Proxies, action: str, status: int) -> None:
    """The client is answered at once, the server sees nothing, and the connection goes on."""
    seen: list[bytes] = []
    with _serving(seen) as server, connect((proxy := proxy_to(server)).url) as client:
        proxy.rule = lambda call, attempt: action if attempt == 2 else PASS
        client.sendall(_request())
        assert _read(client) == REPLY
        client.sendall(_request())
        assert _read(client, len(refusal(action, b'{"id":7}'))) == refusal(action, b'{"id":7}')
        client.sendall(_request())
        assert _read(client) == REPLY
        assert (len(seen), proxy.refused, proxy.refused_retries) == (2, 1, 1)


def test_kept_copies_are_delivered_as_often_as_asked(proxy_to: Proxies) -> None:
    """Each kept copy goes out once per delivery, byte for byte, until it is forgotten."""
    seen: list[bytes] = []
    with _serving(seen) as server, connect((proxy := proxy_to(server)).url) as client:
        proxy.rule = lambda call, attempt: KEEP_COPY if call == "c0-1" else PASS
        for request in (_request("c0-1"), _request("c0-2")):
            client.sendall(request)
            assert _read(client) == REPLY
        expected = [Delivered("c0-1", 1, 200, ReplySummary("ok", {"version": 1}), {"version": 1})]
        assert proxy.deliver_kept() == proxy.deliver_kept(forget=True) == expected
        assert proxy.deliver_kept() == []
        assert seen == [_request("c0-1"), _request("c0-2"), _request("c0-1"), _request("c0-1")]


def test_a_held_request_arrives_when_it_is_delivered(proxy_to: Proxies) -> None:
    """The client gets silence, the server nothing, until it is delivered, on a connection that waits for the reply."""
    seen: list[bytes] = []
    with _serving(seen) as server, connect((proxy := proxy_to(server)).url, 0.2) as client:
        proxy.rule = lambda call, attempt: HOLD
        client.sendall(_request("c0-1"))
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.close()
        assert (seen, proxy.lost_requests) == ([], 0)
        assert proxy.deliver_kept(forget=True) == [Delivered("c0-1", 1, 200, ReplySummary("ok", {"version": 1}))]
        assert seen == [_request("c0-1")]


def test_the_first_reply_that_a_client_was_sent_is_remembered(proxy_to: Proxies) -> None:
    """Neither a lost reply nor a refusal is one; a retry's counts as much as the kept attempt's own."""
    replies = iter([
        b'{"result":{"version":1}}',
        b'{"error":{"data":{"name":"overloaded"}}}',
        b'{"result":{"version":2}}',
        b'{"result":{"version":3}}',
    ])  # fmt: skip

    def script(connection: socket.socket, number: int) -> None:
        while request_of(connection):
            connection.sendall(ok(next(replies, b"[]")))

    actions = [LOSE_REPLY, KEEP_COPY, PASS, PASS]
    with Loopback(script) as server:
        proxy = proxy_to(server)
        proxy.rule = lambda call, attempt: actions[attempt - 1]
        for action in actions:
            with connect(proxy.url) as client:
                client.sendall(_request())
                if action == LOSE_REPLY:
                    _assert_silent(client)
                else:
                    said = b""
                    while not said.endswith(b"}}"):  # all of it: one that the client did not wait for was not sent
                        said += client.recv(4096)
        until(lambda: proxy.deliver_kept()[0].first == {"version": 2}, what="the reply is remembered")


@pytest.mark.parametrize(
    ("reply", "status", "answer"),
    [
        (ok(b'{"jsonrpc":"2.0","id":1,"result":{"_meta":{"replayed":true}}}'), 200, "replayed"),
        (ok(b'{"jsonrpc":"2.0","id":1,"error":{"data":{"name":"stale_call"}}}'), 200, "stale_call"),
        (ok(b"[]"), 200, "not JSON-RPC"),
        (ok(b"\xff"), 200, "not JSON-RPC"),
        (REPLY[:-1], 0, "no answer"),
        (b"nonsense\r\n\r\n", 0, "no answer"),
        (b"", 0, "no answer"),
    ],
    ids=["replayed", "refused", "other-json", "no-json", "cut", "no-http", "closed"],
)
def test_a_delivery_tells_the_answer(proxy_to: Proxies, reply: bytes, status: int, answer: str) -> None:
    """What the server said to a late copy, or that it said nothing."""

    def script(connection: socket.socket, number: int) -> None:
        if request_of(connection):
            connection.sendall(REPLY if number == 1 else reply)

    with Loopback(script) as server, connect((proxy := proxy_to(server)).url) as client:
        proxy.rule = lambda call, attempt: KEEP_COPY
        client.sendall(_request())
        assert _read(client) == REPLY
        (found,) = proxy.deliver_kept()
        assert (found.call, found.attempt, found.status, found.answer) == ("c0-1", 1, status, answer)


@pytest.mark.parametrize("action", [PASS, LOSE_REPLY, DUPLICATE, KEEP_COPY])
def test_a_cut_reply_is_cut_for_the_client(proxy_to: Proxies, action: str) -> None:
    """A server that dies in the middle of its reply: the client is told at once, and no lost reply is counted."""

    def script(connection: socket.socket, number: int) -> None:
        request_of(connection)
        connection.sendall(REPLY[:20])

    with Loopback(script) as server, connect((proxy := proxy_to(server)).url) as client:
        proxy.rule = lambda call, attempt: action
        client.sendall(_request())
        assert _read(client) == (b"" if action == LOSE_REPLY else REPLY[:20])
        assert (proxy.lost_replies, proxy.doubled) == (0, 0)


def test_a_reset_is_a_reset_for_the_client(proxy_to: Proxies) -> None:
    """The client sees the same end that the message proxy saw."""

    def script(connection: socket.socket, number: int) -> None:
        request_of(connection)
        reset(connection)

    with Loopback(script) as server, connect(proxy_to(server).url) as client:
        client.sendall(_request())
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_an_idle_connection_ends_with_the_servers(proxy_to: Proxies) -> None:
    """A kept-alive connection is not left standing over a server that has closed its own."""

    def script(connection: socket.socket, number: int) -> None:
        request_of(connection)
        connection.sendall(REPLY)

    with Loopback(script) as server, connect(proxy_to(server).url) as client:
        client.sendall(_request())
        assert _read(client, len(REPLY) + 1) == REPLY


def test_a_server_that_is_not_there_ends_the_connection() -> None:
    """Nobody listens behind: the client is told, and not left waiting."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    proxy = MessageProxy("alone", f"http://127.0.0.1:{port}")
    try:
        with connect(proxy.url) as client:
            assert client.recv(1) == b""
    finally:
        proxy.close()


def test_a_client_that_leaves_takes_its_connection_with_it(proxy_to: Proxies) -> None:
    """The server sees the end of a client that did not wait for the reply."""
    ended = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        request_of(connection)
        if connection.recv(1) == b"":
            ended.set()

    with Loopback(script) as server:
        with connect(proxy_to(server).url) as client:
            client.sendall(_request())
        assert ended.wait(5)


def test_pieces_of_one_byte_make_a_message(proxy_to: Proxies) -> None:
    """Neither request nor reply needs to come in one piece."""

    def script(connection: socket.socket, number: int) -> None:
        assert request_of(connection) == _request()
        server.drip(connection, REPLY, every_s=0)

    with Loopback(script) as server, connect(proxy_to(server).url) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _request():
            client.sendall(bytes([byte]))
        assert _read(client) == REPLY


@pytest.mark.parametrize(
    "request_bytes",
    [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", _request() + _request()],
    ids=["chunked", "pipelined"],
)
def test_what_cannot_be_told_apart_is_refused_in_words(proxy_to: Proxies, request_bytes: bytes) -> None:
    """The client gets a 501 that says why, and the server gets nothing."""
    seen: list[bytes] = []
    with _serving(seen) as server, connect(proxy_to(server).url) as client:
        client.sendall(request_bytes)
        answer = _read(client, 10_000)
        assert answer.startswith(b"HTTP/1.1 501 ")
        assert b"message proxy: " in answer
    assert seen == []


def test_a_chunked_reply_is_refused_in_words(proxy_to: Proxies) -> None:
    """A server that the message proxy cannot read is named, and not waited for."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with _serving([], chunked) as server, connect(proxy_to(server).url) as client:
        client.sendall(_request())
        assert b"Transfer-Encoding" in _read(client, 10_000)


@pytest.mark.parametrize("action", [PASS, LOSE_REQUEST, LOSE_REPLY, DUPLICATE])
def test_close_ends_whatever_is_under_way(proxy_to: Proxies, action: str) -> None:
    """Idle, silent, waiting for a mute server: `close` returns, the client is told, no thread is left."""

    def script(connection: socket.socket, number: int) -> None:
        request_of(connection)
        server.hold()

    with Loopback(script) as server:
        proxy = proxy_to(server)
        proxy.rule = lambda call, attempt: action
        with connect(proxy.url) as idle, connect(proxy.url) as waiting:
            waiting.sendall(_request())
            until(lambda: proxy.lost_requests or len(server.connections) >= 2 + (action == DUPLICATE))
            proxy.close()
            proxy.close()
            assert (idle.recv(1), waiting.recv(1)) == (b"", b"")
            with pytest.raises(OSError, match="refused"):
                connect(proxy.url)
