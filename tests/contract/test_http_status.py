"""Section 2: the HTTP statuses, path by path and header by header."""

from __future__ import annotations

import json

import pytest

from tests.support.caller import request
from tests.support.raw_socket import connect, exchange, read_reply
from tests.support.replies import expect
from tests.support.seed import unique

pytestmark = pytest.mark.wire

BODY_BYTES_MAX = 4 * 2**20


def put_body(key):
    """A call that leaves a trace if it runs."""
    return json.dumps(request("kv.put", {"key": key, "value": "x"}, id=1)).encode()


def test_a_result_is_200(kv):
    """A JSON-RPC result comes with HTTP 200, as JSON."""
    reply = kv.send(request("kv.get", {"key": unique()}, id=1))
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("application/json")


def test_an_error_is_200(kv):
    """A JSON-RPC error is an ordinary reply: HTTP 200."""
    expect(kv.call("no.such.method"), -32601, status=200)


@pytest.mark.parametrize(
    "document",
    [
        request("kv.get", {"key": "k"}),
        request("no.such.method"),
        [request("kv.get", {"key": "k"}), request("kv.get", {"key": "k"})],
    ],
    ids=["notification", "unknown-notification", "batch-of-notifications"],
)
def test_nothing_returned_is_204(kv, document):
    """Where the specification says that nothing is returned, the status is 204 and there is no body."""
    reply = kv.send(document)
    assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize(
    "body",
    [b'{"jsonrpc": "2.0", "id": 1', b"\xff\xfe", b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}', b""],
    ids=["cut", "not-utf8", "not-utf8-inside", "empty"],
)
def test_undecodable_bodies_are_200_with_parse_error(kv, body):
    """Undecodable UTF-8 or JSON is no framing error: 200 with -32700, and the id is null."""
    reply = kv.post(body)
    expect(reply.answer, -32700, status=200)
    assert reply.answer.id is None


@pytest.mark.parametrize(
    "head",
    [
        "this is not HTTP",
        "POST /rpc HTTP/1.1\nContent-Type: application/json\nContent-Length: many",
        "POST /rpc HTTP/1.1\nContent-Type: application/json\nContent-Length: -1",
        "POST /rpc HTTP/1.1\nno colon here\nContent-Length: 0",
    ],
    ids=["no-request-line", "length-no-number", "length-negative", "header-without-colon"],
)
def test_broken_framing_is_400(kv, head):
    """What is not HTTP is answered with 400."""
    reply = exchange(kv.url, head)
    assert reply is not None
    assert reply.status == 400


@pytest.mark.parametrize("verb", ["POST", "GET"])
@pytest.mark.parametrize("path", ["/", "/rpc/", "/rpc/more", "/nothing"])
def test_another_path_is_404(kv, verb, path):
    """Paths that are not listed do not exist, and nothing runs there."""
    key = unique()
    body = put_body(key) if verb == "POST" else None
    assert kv.fetch(verb, path, body, {"Content-Type": "application/json"}).status == 404
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_verb_is_405(kv, verb):
    """/rpc takes POST alone."""
    key = unique()
    assert kv.fetch(verb, "/rpc", put_body(key), {"Content-Type": "application/json"}).status == 405
    assert kv.get(key) == (None, 0)


def test_a_post_without_a_length_is_411(kv):
    """A request that does not say how long its body is gets 411."""
    reply = exchange(kv.url, "POST /rpc HTTP/1.1\nContent-Type: application/json")
    assert reply is not None
    assert reply.status == 411


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/html; a=application/json",
        "application/json, text/plain",
        "application/json; charset=latin-1",
        'application/json; a="charset=utf-8"; charset="UTF-16"',
        "application/json;;charset=us-ascii;",
        "",
    ],
)
def test_another_content_type_is_415(kv, content_type):
    """A body that is not said to be JSON is refused with 415, and nothing runs."""
    key = unique()
    assert kv.post(put_body(key), {"Content-Type": content_type}).status == 415
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/json;charset=UTF-8",
        "application/json; charset=utf-8;",
        'application/json; charset="UTF-8"; odata.metadata=minimal',
        "application/json; odata.metadata=minimal; Charset=utf8",
        'application/json; note="a; charset=latin-1"',
        "application/json-rpc ;",
    ],
)
def test_json_may_carry_parameters(kv, content_type):
    """A media type is compared without its parameters and without regard to case."""
    assert kv.post(put_body(unique()), {"Content-Type": content_type}).answer.ok == {"version": 1}


def test_the_longest_body_is_taken(kv):
    """A body of exactly 4 MiB is within the limit."""
    key = unique()
    body = put_body(key)
    assert kv.post(body + b" " * (BODY_BYTES_MAX - len(body))).answer.ok == {"version": 1}


def test_a_longer_body_is_413(kv):
    """One byte over 4 MiB is 413, and nothing runs."""
    key = unique()
    body = put_body(key)
    body += b" " * (BODY_BYTES_MAX + 1 - len(body))
    head = f"POST /rpc HTTP/1.1\nContent-Type: application/json\nContent-Length: {len(body)}"
    reply = exchange(kv.url, head, body)
    assert reply is not None
    assert reply.status == 413
    assert kv.get(key) == (None, 0)


def test_half_a_request_never_runs(kv):
    """A body that ends before its length is reached never runs, although what came of it is a whole call."""
    key = unique()
    body = put_body(key)
    head = f"POST /rpc HTTP/1.1\nContent-Type: application/json\nContent-Length: {len(body) + 100}"
    reply = exchange(kv.url, head, body, last=True)
    assert reply is None or reply.status >= 400
    kv.ok("kv.put", key=unique(), value="x")  # were the half call still on its way, it would have run before this
    assert kv.get(key) == (None, 0)


def test_half_a_chunked_request_never_runs(kv):
    """A chunked body whose last chunk never comes does not run either."""
    key = unique()
    body = put_body(key)
    head = "POST /rpc HTTP/1.1\nContent-Type: application/json\nTransfer-Encoding: chunked"
    reply = exchange(kv.url, head, b"%x\r\n%b\r\n" % (len(body), body), last=True)
    assert reply is None or reply.status >= 400
    kv.ok("kv.put", key=unique(), value="x")  # were the half call still on its way, it would have run before this
    assert kv.get(key) == (None, 0)


def test_connections_are_kept_alive(kv):
    """One HTTP/1.1 connection carries one request after another, errors and empty replies among them."""
    documents = [request("kv.get", {"key": "k"}, id=1), request("kv.get"), [], request("kv.get", {"key": "k"}, id=2)]
    statuses = []
    with connect(kv.url) as connection:
        for document in documents:
            body = json.dumps(document).encode()
            head = f"POST /rpc HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            reply = read_reply(connection)
            assert reply is not None
            statuses.append(reply.status)
    assert statuses == [200, 204, 200, 200]
