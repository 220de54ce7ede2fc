"""Real sockets: what each way of losing a request or a reply looks like from here."""

import socket
import threading
import time
from contextlib import closing

import pytest

from oncekv.client import transport as module
from oncekv.client.ending import Lost, NotSent
from oncekv.client.reply import Received, read_single
from oncekv.client.transport import HttpTransport

from .loopback import Loopback, ok, request_of, reset

REPLY = b'{"jsonrpc":"2.0","id":1,"result":{"version":1}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def http():
    """A transport of our own."""
    with closing(HttpTransport()) as transport:
        yield transport


def post(http, server, timeout_s=0.3):
    """One attempt, and how long it took."""
    began = time.monotonic()
    result = http.post(server if isinstance(server, str) else server.url, b"{}", {}, timeout_s)
    return result, time.monotonic() - began


def answering(data):
    """A server that reads the request, sends exactly `data` and closes."""

    def script(connection, number):
        if request_of(connection):
            connection.sendall(data)

    return Loopback(script)


def test_a_whole_reply_arrives(http):
    """Status, body and the two headers that matter come through as they are."""
    with answering(ok(REPLY, b"Retry-After: 3", b"Idempotent-Replayed: true")) as server:
        assert post(http, server)[0] == Received(200, REPLY, "3", "true")


def test_the_request_is_one_whole_post_with_its_headers(http):
    """The body goes out once, as JSON, to the link's path, with the caller's headers."""
    seen = []

    def script(connection, number):
        seen.append(request_of(connection))
        connection.sendall(ok(REPLY))

    with Loopback(script) as server:
        http.post(server.url, b'{"a":1}', {"Authorization": "Bearer t"}, 1.0)
    assert seen[0].startswith(b"POST /rpc HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in seen[0]
    assert b"Authorization: Bearer t\r\n" in seen[0]
    assert seen[0].endswith(b'\r\n\r\n{"a":1}')


def test_a_refused_connection_was_surely_not_sent(http):
    """Nobody listens: no byte left this machine."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    assert post(http, f"http://127.0.0.1:{port}/rpc")[0] == NotSent("connection refused")


def test_an_unknown_host_was_surely_not_sent(http):
    """A name that does not exist is no attempt that could have run."""
    assert isinstance(post(http, "http://no-such-host.invalid/rpc", 2.0)[0], NotSent)


def test_a_connect_timeout_was_surely_not_sent(http):
    """A host that does not answer the connect got no request."""
    with closing(socket.socket()) as listener, closing(socket.socket()) as first, closing(socket.socket()) as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        result, took_s = post(http, f"http://127.0.0.1:{listener.getsockname()[1]}/rpc", 0.2)
    assert result == NotSent("timed out")
    assert took_s < 0.5


def test_a_close_without_a_reply_is_lost(http):
    """The server took the request and closed: it may have run (a lost reply that shows)."""
    with answering(b"") as server:
        assert post(http, server)[0] == Lost("connection lost")


def test_a_reset_is_lost(http):
    """A reset after the request was written tells nothing about whether it ran."""

    def script(connection, number):
        request_of(connection)
        reset(connection)

    with Loopback(script) as server:
        assert isinstance(post(http, server)[0], Lost)


def test_silence_is_lost_at_the_deadline(http):
    """A swallowed reply ends when the attempt's time is over, and not much later."""
    with Loopback(lambda connection, number: server.hold()) as server:
        result, took_s = post(http, server, 0.2)
    assert result == Lost("timed out")
    assert 0.2 <= took_s < 0.4


def test_a_cut_header_is_an_empty_body_and_so_lost(http):
    """Toxiproxy's limit_data 20 leaves HTTP 200, no error and no body: never a result, never a failure."""
    with answering(ok(REPLY)[:20]) as server:
        received = post(http, server)[0]
    assert isinstance(received, Received)
    assert (received.status, received.body) == (200, b"")
    assert read_single(received, 1) == Lost("bad reply: empty")


@pytest.mark.parametrize("missing", [1, 20, len(REPLY)])
def test_a_body_shorter_than_announced_is_lost(http, missing):
    """Fewer bytes than Content-Length are no reply, even where they would decode."""
    with answering(ok(REPLY)[:-missing]) as server:
        assert post(http, server)[0] == Lost("bad reply: cut")


def test_a_chunked_reply_without_its_end_is_lost(http):
    """A chunked body that stops before its last chunk was cut."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    whole = head + b"%x\r\n%b\r\n" % (len(REPLY), REPLY)
    with answering(whole) as server:
        assert isinstance(post(http, server)[0], Lost)
    with answering(whole + b"0\r\n\r\n") as server:
        assert post(http, server)[0] == Received(200, REPLY)


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n"])
def test_garbage_is_lost(http, garbage):
    """Something that is not HTTP is no statement about the call."""
    with answering(garbage) as server:
        assert isinstance(post(http, server)[0], Lost)


@pytest.mark.parametrize("dripping", ["header", "body"])
def test_a_dripping_reply_does_not_outlive_the_deadline(http, dripping):
    """A byte every 50 ms restarts any read timeout, but not the attempt's own deadline."""

    def script(connection, number):
        request_of(connection)
        if dripping == "body":
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(REPLY))
        server.drip(connection, ok(REPLY) if dripping == "header" else REPLY, 0.05)

    with Loopback(script) as server:
        result, took_s = post(http, server, 0.3)
    assert result == Lost("timed out")
    assert 0.25 <= took_s < 0.5


def test_a_request_that_nobody_reads_is_lost_at_the_deadline(http):
    """Writing more than the buffers hold ends with the deadline, too, and part of it was sent."""
    with Loopback(lambda connection, number: server.hold()) as server:
        began = time.monotonic()
        result = http.post(server.url, b"x" * 32_000_000, {}, 0.3)
    assert result == Lost("timed out")
    assert time.monotonic() - began < 1.0


def test_a_flood_is_cut_off(http, monkeypatch):
    """A reply without end takes neither the memory nor the time of the client."""
    monkeypatch.setattr(module, "REPLY_BYTES_MAX", 100_000)

    def script(connection, number):
        request_of(connection)
        connection.sendall(HEAD + b"\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with Loopback(script) as server:
        assert post(http, server, 2.0)[0] == Lost("bad reply: over 100000 bytes")


def test_a_connection_is_kept_and_used_again(http):
    """Two attempts, one connection."""

    def script(connection, number):
        while request_of(connection):
            connection.sendall(ok(REPLY))

    with Loopback(script) as server:
        assert [type(post(http, server)[0]) for _ in range(3)] == [Received] * 3
        assert len(server.connections) == 1


def test_a_kept_connection_that_breaks_on_the_next_request_is_lost(http):
    """On a used connection nobody can tell a close that crossed the request from one that answered it."""

    def script(connection, number):
        request_of(connection)
        connection.sendall(ok(REPLY))
        request_of(connection)

    with Loopback(script) as server:
        assert isinstance(post(http, server)[0], Received)
        assert isinstance(post(http, server)[0], Lost)
        assert len(server.connections) == 1


def test_a_lost_attempt_leaves_no_reply_behind_for_the_next(http):
    """A late reply on a connection that was given up can never be taken for the next attempt's."""

    def script(connection, number):
        request_of(connection)
        if number == 1:
            time.sleep(0.3)
        connection.sendall(ok(b'{"connection":%d}' % number))

    with Loopback(script) as server:
        assert post(http, server, 0.1)[0] == Lost("timed out")
        assert post(http, server, 1.0)[0] == Received(200, b'{"connection":2}')


def test_a_redirect_is_not_followed(http):
    """Sending the call again elsewhere would be an attempt that nobody counts."""

    def script(connection, number):
        if request_of(connection):
            connection.sendall(b"HTTP/1.1 307 T\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    with Loopback(script) as server:
        received = post(http, server)[0]
        assert isinstance(received, Received)
        assert received.status == 307
        assert len(server.connections) == 1


def test_proxies_of_the_environment_are_not_used(http, monkeypatch):
    """Whatever HTTP_PROXY says, the link is what the caller named."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with answering(ok(REPLY)) as server:
        assert post(http, server)[0] == Received(200, REPLY)


def test_threads_share_one_transport(http):
    """Each thread has its own deadline and its own reply."""

    def script(connection, number):
        while request := request_of(connection):
            connection.sendall(ok(request.partition(b"\r\n\r\n")[2]))

    answers: dict[int, bool] = {}

    def work(mine):
        body = b'{"thread":%d}' % mine
        answers[mine] = {http.post(server.url, body, {}, 5.0) for _ in range(20)} == {Received(200, body)}

    with Loopback(script) as server:
        threads = [threading.Thread(target=work, args=(mine,)) for mine in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert answers == dict.fromkeys(range(8), True)


@pytest.mark.parametrize("chunk", [b"-5\r\nab", b"ZZ\r\n", b"5\r\nab"])
def test_a_malformed_chunk_is_a_lost_attempt(http, chunk):
    """Whatever urllib3 raises for it: the request was sent, so the call may have run."""
    with answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk) as server:
        assert isinstance(post(http, server)[0], Lost)


def test_an_exception_before_the_first_byte_is_an_attempt_not_sent(http):
    """A header that cannot be encoded, say: no byte left this machine."""
    with answering(ok(REPLY)) as server:
        assert isinstance(http.post(server.url, b"{}", {"X": "\u2603"}, 1.0), NotSent)
