"""Real sockets: what each way of losing a request or a reply looks like from here."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from oncerpc.client.transport import http as module
from oncerpc.client.transport.attempt_result import Lost, NotSent
from oncerpc.client.transport.http import HttpTransport
from oncerpc.client.transport.reply import Received, read_single

from .loopback import Loopback, ok, request_of, reset

REPLY = b'{"jsonrpc":"2.0","id":1,"result":{"version":1}}'
DATA_SEGMENTS_IN = 152  # where tcpi_data_segs_in, if below 256, stands in struct tcp_info of Linux
SOON_S = 20.0  # far above what a busy machine adds, and far below the end of what would otherwise be waited for
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def http():
    """A transport of our own."""
    with closing(HttpTransport()) as transport:
        yield transport


def post(http, server, timeout_s=60.0):
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
    assert took_s < SOON_S


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 102 P\r\n\r\n"


@pytest.mark.parametrize("interim", [INTERIM[0], INTERIM[1], b"".join(INTERIM * 3)], ids=["100", "103", "many"])
def test_interim_replies_are_passed_over(http, interim):
    """RFC 9110, 15.2: whatever comes with 1xx before the reply is not the reply, and none is left for the next call."""

    def script(connection, number):
        while request_of(connection):
            connection.sendall(interim)
            connection.sendall(ok(REPLY))

    with Loopback(script) as server:
        assert [post(http, server, 3.0)[0] for _ in range(2)] == [Received(200, REPLY)] * 2
        assert len(server.connections) == 1


def test_interim_replies_without_an_end_are_lost_at_the_deadline(http):
    """A server that goes on with 103 for ever has not replied."""

    def script(connection, number):
        request_of(connection)
        server.drip(connection, INTERIM[1] * 1000, 0.002)

    with Loopback(script) as server:
        result, took_s = post(http, server, 0.3)
    assert result == Lost("timed out")
    assert took_s < SOON_S


def test_switching_protocols_is_no_reply_and_ends_the_connection(http):
    """101 says that the connection speaks another language from now on: the call is lost, the next gets another one."""

    def script(connection, number):
        request_of(connection)
        if number == 1:
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            server.hold()
        connection.sendall(ok(REPLY))

    with Loopback(script) as server:
        assert [post(http, server, 3.0)[0] for _ in range(2)] == [Lost("bad reply: HTTP 101"), Received(200, REPLY)]
        assert len(server.connections) == 2


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
    assert 0.2 <= took_s < SOON_S


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
    assert 0.25 <= took_s < SOON_S


def test_a_request_that_nobody_reads_is_lost_at_the_deadline(http):
    """Writing more than the buffers hold ends with the deadline, too, and part of it was sent."""
    with Loopback(lambda connection, number: server.hold()) as server:
        began = time.monotonic()
        result = http.post(server.url, b"x" * 32_000_000, {}, 0.3)
    assert result == Lost("timed out")
    assert time.monotonic() - began < SOON_S


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


def many(threads, work):
    """What `work(number)` returns in each of so many threads; raises what one of them raised."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))


def test_32_threads_keep_32_connections(http):
    """A pool of fewer places would close what it has no room for, and open it again for the next call."""
    threads, rounds = 32, 4
    under_way, idle = threading.Barrier(threads), threading.Barrier(threads)

    def script(connection, number):
        while request_of(connection):
            under_way.wait(5)
            connection.sendall(ok(REPLY))

    def work(number):
        for _ in range(rounds):
            idle.wait(5)
            assert post(http, server, 10.0)[0] == Received(200, REPLY)

    with Loopback(script) as server:
        many(threads, work)
        assert len(server.connections) == threads


def test_more_threads_than_connections_wait_for_one():
    """Twelve threads on four connections: each call is answered, and no fifth connection is opened for any of them."""
    together = threading.Barrier(4)

    def script(connection, number):
        while request_of(connection):
            together.wait(5)  # so the four are always busy when a fifth thread comes
            connection.sendall(ok(REPLY))

    left = iter(range(60))
    with Loopback(script) as server, closing(HttpTransport(connections_max=4)) as http:
        answers = many(12, lambda number: [post(http, server, 10.0)[0] for _ in left])
        assert sorted(answer for part in answers for answer in part) == [Received(200, REPLY)] * 60
        assert len(server.connections) == 4


def test_an_attempt_for_which_no_connection_came_free_was_surely_not_sent():
    """It waits until its own deadline, while another thread has the only connection."""
    with closing(HttpTransport(connections_max=1)) as http, ThreadPoolExecutor() as pool:
        busy, free = threading.Event(), threading.Event()

        def script(connection, number):
            while request_of(connection):
                busy.set()
                free.wait(5)
                connection.sendall(ok(REPLY))

        with Loopback(script) as server:
            first = pool.submit(post, http, server, 10.0)
            assert busy.wait(5)
            assert post(http, server, 0.1)[0] == NotSent("no connection came free")
            free.set()
            assert first.result()[0] == Received(200, REPLY)


def test_a_lost_attempt_gives_its_connection_back(monkeypatch):
    """However the one before ended, the next attempt gets the only place there is."""
    monkeypatch.setattr(module, "REPLY_BYTES_MAX", 1000)
    spoilt = [b"", ok(REPLY)[:20], ok(REPLY)[:-5], b"\x00\x01\r\n\r\n", HEAD + b"\r\n" + b" " * 2000]
    spoilt.append(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nab")

    def script(connection, number):
        if request_of(connection):
            connection.sendall(spoilt[number - 1] if number <= len(spoilt) else ok(REPLY))

    with Loopback(script) as server, closing(HttpTransport(connections_max=1)) as http:
        results = [post(http, server)[0] for _ in range(len(spoilt) + 1)]
    assert [read_single(one, 1) if isinstance(one, Received) else one for one in results[:-1]] == [
        Lost("connection lost"), Lost("bad reply: empty"), Lost("bad reply: cut"), Lost("bad reply: not HTTP"),
        Lost("bad reply: over 1000 bytes"), Lost("bad reply: not HTTP"),
    ]  # fmt: skip
    assert results[-1] == Received(200, REPLY)


def test_header_and_body_leave_together(http):
    """A server that is woken by the header alone finds nothing to do."""
    segments = []

    def script(connection, number):
        request_of(connection)
        segments.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)[DATA_SEGMENTS_IN])
        connection.sendall(ok(REPLY))

    with Loopback(script) as server:
        post(http, server)
    assert segments == [1]


@pytest.mark.parametrize("size", [65536, 65537, 3_000_000])
def test_a_large_body_arrives_whole(http, size):
    """Whether header and body leave together or one after the other."""

    def script(connection, number):
        while request := request_of(connection):
            connection.sendall(ok(b"%d" % len(request.partition(b"\r\n\r\n")[2])))

    with Loopback(script) as server:
        for _ in range(2):
            assert http.post(server.url, b"x" * size, {}, 5.0) == Received(200, b"%d" % size)


def test_each_link_gets_its_own_request():
    """What is prepared once for one link is not sent to another."""

    def script(connection, number):
        while request := request_of(connection):
            lines = request.split(b"\r\n")
            connection.sendall(ok(lines[0] + b"|" + lines[1]))

    with Loopback(script) as one, Loopback(script) as two, closing(HttpTransport(links=3)) as http:
        urls = [one.url, two.url, one.url.replace("/rpc", "/other?a=1")]
        for _ in range(2):
            for url in urls:
                host, _, target = url.removeprefix("http://").partition("/")
                said = f"POST /{target} HTTP/1.1|Host: {host}".encode()
                assert http.post(url, b"{}", {}, 1.0) == Received(200, said)


def test_closing_closes_the_idle_connections(http):
    """And none is opened afterwards: nobody would close it."""
    ended = threading.Event()

    def script(connection, number):
        while request_of(connection):
            connection.sendall(ok(REPLY))
        ended.set()

    with Loopback(script) as server:
        post(http, server)
        http.close()
        assert ended.wait(5)
        assert post(http, server)[0] == NotSent("the client was closed")
