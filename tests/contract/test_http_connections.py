"""Section 2: what HTTP/1.1 lets a client do with a connection, and what a server owes it then."""

from __future__ import annotations

import json
import socket

import pytest

from tests.support.caller import request
from tests.support.raw_socket import connect, exchange, read_reply
from tests.support.seed import unique

pytestmark = pytest.mark.wire


def post(document, *more, version="1.1"):
    """A whole request as bytes; `more` are further header lines."""
    body = json.dumps(document).encode()
    lines = [f"POST /rpc HTTP/{version}", "Host: t", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *more, "", ""]).encode() + body


def test_requests_sent_ahead_are_answered_in_order(kv):
    """A client need not wait for a reply before it sends the next request: they run, and are answered, in order."""
    key = unique()
    appends = [request("kv.append", {"key": key, "value": str(n)}, id=n) for n in range(9)]
    documents = [*appends, request("kv.get", {"key": key}, id="last")]
    with connect(kv.url) as connection:
        connection.sendall(b"".join(post(document) for document in documents))
        received = b""
        while b'"last"' not in received:
            chunk = connection.recv(65536)
            assert chunk, received
            received += chunk
    assert received.count(b"HTTP/1.1 200") == len(documents)
    scheduler = [received.index(f'"id":{n},'.encode()) for n in range(9)]
    assert scheduler == sorted(scheduler)
    assert kv.get(key) == ("012345678", 9)


@pytest.mark.parametrize("cut", [1, 5, 17, 40, 120])
def test_a_request_may_come_in_pieces(kv, cut):
    """Wherever the network cuts a request, its pieces are one request."""
    key = unique()
    whole = post(request("kv.append", {"key": key, "value": "x"}, id=1))
    with connect(kv.url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(whole[:cut])
        assert kv.get(key) == (None, 0)
        connection.sendall(whole[cut:])
        reply = read_reply(connection)
    assert reply is not None
    assert reply.answer.ok == {"version": 1, "offset": 0}


def test_an_upgrade_is_passed_over(kv):
    """Some clients offer HTTP/2 with every first request; it is answered in HTTP/1.1, body and all."""
    key = unique()
    offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
    with connect(kv.url) as connection:
        connection.sendall(post(request("kv.append", {"key": key, "value": "x"}, id=1), *offer))
        reply = read_reply(connection)
    assert reply is not None
    assert reply.answer.ok == {"version": 1, "offset": 0}


def test_a_client_may_wait_for_100_continue(kv):
    """A client that asks first is told to go on, and its call runs when the body is there."""
    key = unique()
    head, _, body = post(request("kv.append", {"key": key, "value": "x"}, id=1), "Expect: 100-continue").partition(
        b"\r\n\r\n"
    )
    with connect(kv.url) as connection:
        connection.sendall(head + b"\r\n\r\n")
        told = connection.recv(65536)
        assert told.startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        reply = read_reply(connection)
    assert reply is not None
    assert reply.answer.ok == {"version": 1, "offset": 0}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_may_ask_for_the_end(kv, version):
    """With `Connection: close`, or HTTP/1.0, the reply is the connection's last."""
    more = ["Connection: close"] if version == "1.1" else []
    with connect(kv.url) as connection:
        connection.sendall(post(request("kv.get", {"key": unique()}, id=1), *more, version=version))
        reply = read_reply(connection)
        assert reply is not None
        assert reply.status == 200
        assert connection.recv(1) == b""


def test_an_endless_head_is_refused(kv):
    """A head without an end is read up to a bound, and refused."""
    reply = exchange(kv.url, "POST /rpc HTTP/1.1\nX: " + "x" * 2**20)
    assert reply is None or reply.status in (400, 431)
    with connect(kv.url) as connection:
        assert _takes_in(connection, b"POST /rpc HTTP/1.1\r\nX: ", 2**27) < 2**27
    assert kv.ok("server.info")


def _takes_in(connection, first, bytes_max):
    """How many bytes the server and the system between take before the connection is closed."""
    connection.sendall(first)
    taken = 0
    try:
        while taken < bytes_max:
            taken += connection.send(b"x" * 65536)
    except OSError:
        pass
    return taken
