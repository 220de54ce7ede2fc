import pytest

from oncekv.kv.errors import VersionMismatch
from oncerpc.client.outcome import HttpRefused, UnlistedError
from oncerpc.client.transport.attempt_result import Answered, Errored, Lost, describe
from oncerpc.client.transport.reply import Received, read_batch, read_single
from oncerpc.wire.errors import REGISTRY, IdentityReused, InternalError, InvalidRequest, Overloaded, ParseError
from oncerpc.wire.jsonrpc import encode_batch, encode_reply, failure, mark_replayed, success


def single(body, status=200, **headers):
    """The result of call 7."""
    return read_single(Received(status, body, **headers), 7)


def error_body(error, request_id=7):
    """The server's own encoding of a failed call."""
    return encode_reply(request_id, failure(error))


def test_a_result_is_read_as_the_server_wrote_it():
    """What the server encodes, the client decodes to the same result, replayed or not."""
    reply = success({"version": 3})
    assert single(encode_reply(7, reply)) == Answered({"version": 3}, replayed=False)
    assert single(encode_reply(7, mark_replayed(reply))) == Answered({"version": 3}, replayed=True)


def test_an_idempotency_keys_replay_is_marked_by_its_header():
    """The header tells of a replay where the body has no mark."""
    assert single(b'{"jsonrpc":"2.0","id":7,"result":{}}', replayed="true") == Answered({}, replayed=True)


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)
def test_every_error_of_the_registry_survives_the_wire(kind):
    """Class, message and facts of an error arrive as they were sent, and a replay is told."""
    sent = kind("because", version=4)
    result = single(encode_reply(7, mark_replayed(failure(sent))))
    assert isinstance(result, Errored)
    assert type(result.error) is kind
    assert (result.error.message, result.error.facts, result.replayed) == ("because", {"version": 4}, True)


def test_an_unlisted_error_is_kept_with_its_code():
    """A code of a later release is an error that may mean anything."""
    result = single(b'{"jsonrpc":"2.0","id":7,"error":{"code":711,"message":"?"}}')
    assert isinstance(result, Errored)
    assert isinstance(result.error, UnlistedError)
    assert result.error.facts == {"code": 711}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"jsonrpc":"2.0","id":7,"result":{"version":1',
        b"\xff\xfe",
        b"<html>bad gateway</html>",
        b"null",
        b"[]",
        b"7",
        b'{"id":7,"result":{}}',
        b'{"jsonrpc":"1.0","id":7,"result":{}}',
        b'{"jsonrpc":"2.0","id":8,"result":{}}',
        b'{"jsonrpc":"2.0","id":"7","result":{}}',
        b'{"jsonrpc":"2.0","id":7.0,"result":{}}',
        b'{"jsonrpc":"2.0","id":7e0,"result":{}}',
        b'{"jsonrpc":"2.0","id":[7],"result":{}}',
        b'{"jsonrpc":"2.0","id":null,"result":{}}',
        b'{"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0","id":7}',
        b'{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":7,"error":"no"}',
        b'{"jsonrpc":"2.0","id":7,"error":{"code":"22"}}',
        b'{"jsonrpc":"2.0","id":7,"error":{"code":22.0}}',
        b'{"jsonrpc":"2.0","id":7,"error":{"code":true}}',
        b'{"jsonrpc":"2.0","id":8,"error":{"code":22,"message":"another call"}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":22,"message":"nobody"}}',
        b"[" * 100_000,
    ],
    ids=range(27),
)
def test_what_is_no_reply_to_this_call_is_lost(body):
    """Cut, empty, undecodable, somebody else's or not JSON-RPC: never a failure, never a result."""
    result = single(body)
    assert isinstance(result, Lost)
    assert describe(result).startswith("bad reply")


@pytest.mark.parametrize("other", [b"1.0", b"1e0", b"true", b'"1"', b"null", b"[1]", b'{"1":1}'])
def test_a_reply_belongs_to_the_request_whose_id_it_has_in_value_and_type(other):
    """1, 1.0, true and "1" are four ids: only the first was sent, alone or in a batch."""
    body = b'{"jsonrpc":"2.0","id":%b,"result":{}}' % other
    assert isinstance(read_single(Received(200, body), 1), Lost)
    results = read_batch(Received(200, b"[%b,%b]" % (body, encode_reply(2, success({})))), [1, 2])
    assert [type(result) for result in results] == [Lost, Answered]
    whole = read_batch(Received(200, b"[%b,%b]" % (body, encode_reply(1, success({"n": 1})))), [1])
    assert whole == [Answered({"n": 1})]


def test_a_body_that_the_server_could_not_read_is_refused_under_no_id():
    """parse_error has id null by the specification and still is our answer."""
    result = single(error_body(ParseError(), None))
    assert isinstance(result, Errored)
    assert isinstance(result.error, ParseError)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 411, 413, 415, 422])
def test_http_refusals_are_definite(status):
    """These statuses say that nothing ran, whatever their body is."""
    refused = error_body(InvalidRequest("a token is needed"), None)
    for body, says in ((b"", "empty"), (b"<p>", "not JSON, or cut"), (refused, "a token is needed")):
        result = single(body, status)
        assert isinstance(result, Errored)
        assert isinstance(result.error, HttpRefused)
        assert result.error.definite
        assert (result.error.message, result.error.facts) == (f"HTTP {status}: {says}", {"status": status})


@pytest.mark.parametrize("status", [100, 201, 204, 301, 307, 408, 409, 429, 500, 502, 503, 504])
def test_other_statuses_are_lost(status):
    """A server or proxy that fails may fail after the call ran."""
    assert single(b"", status) == Lost(f"bad reply: HTTP {status}")
    assert isinstance(single(error_body(VersionMismatch()), status), Lost)


def test_only_our_own_503_is_a_refusal():
    """503 is definite with the overloaded body, with its Retry-After; any other 503 is not."""
    result = single(error_body(Overloaded()), 503, retry_after="2")
    assert isinstance(result, Errored)
    assert isinstance(result.error, Overloaded)
    assert result.retry_after_s == 2.0
    assert isinstance(single(error_body(InternalError()), 503), Lost)


def test_422_carries_identity_reused():
    """A reused Idempotency-Key is told by its own error, not by the status alone."""
    result = single(error_body(IdentityReused()), 422)
    assert isinstance(result, Errored)
    assert isinstance(result.error, IdentityReused)


@pytest.mark.parametrize("retry_after_s", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "nan", ""])
def test_a_retry_after_that_is_no_seconds_is_passed_over(retry_after_s):
    """A wish that needs another clock, or has no sense, is no wish."""
    assert single(b"", 500, retry_after=retry_after_s) == Lost("bad reply: HTTP 500")


def test_a_batch_is_sorted_by_id_whatever_order_it_comes_in():
    """Each call gets its own reply; one that is left out or spoilt is lost, and lost alone."""
    replies = [encode_reply(3, success({"n": 3})), encode_reply(1, failure(VersionMismatch())), b'{"id":2}']
    results = read_batch(Received(200, encode_batch(replies)), [1, 2, 3, 4])
    assert [describe(result) for result in results] == [
        "error: version_mismatch",
        "bad reply: not a JSON-RPC response",
        "ok",
        "bad reply: left out of the batch's reply",
    ]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (error_body(Overloaded(), None), 503, "refused: overloaded"),
        (error_body(ParseError(), None), 200, "refused: parse_error"),
        (b"", 413, "refused: http_refused"),
        (b"", 200, "bad reply: empty"),
        (b"[{", 200, "bad reply: not JSON, or cut"),
        (error_body(VersionMismatch(), 1), 200, "bad reply: the id of another request"),
    ],
    ids=["overloaded", "parse_error", "too_big", "empty", "cut", "a_single_reply"],
)
def test_what_answers_a_batch_as_a_whole_answers_each_call(body, status, words):
    """A refusal of the whole batch is definite for each call; a spoilt reply loses each."""
    results = read_batch(Received(status, body), [1, 2])
    assert [describe(result) for result in results] == [words, words]


def test_a_batch_refused_for_load_is_refused_call_by_call():
    """HTTP 503 with an `overloaded` for each: definite, with the server's wish; anything else with a 503 is lost."""
    bodies = [error_body(Overloaded(), 7), error_body(InternalError(), 8), encode_reply(9, success({}))]
    results = read_batch(Received(503, encode_batch(bodies), "2"), [7, 8, 9, 10])
    assert isinstance(results[0], Errored)
    assert (type(results[0].error), results[0].retry_after_s) == (Overloaded, 2.0)
    assert [type(result) for result in results[1:]] == [Lost, Lost, Lost]
