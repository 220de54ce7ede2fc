"""The examples of the JSON-RPC 2.0 specification (its section 7), one by one.

`subtract` becomes kv.put and kv.get where the example shows a result; `foobar`, `sum` and the like stay as they are
where the example shows an error.
"""

from __future__ import annotations

import pytest

from tests.support.caller import request
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import until

pytestmark = pytest.mark.wire


def only_error(reply, code):
    """The reply is a single error object with a null id."""
    expect(reply.answer, code)
    assert reply.answer.id is None


def test_call_with_positional_parameters(kv):
    """rpc call with positional parameters: their order decides."""
    first, second = unique(), unique()
    assert kv.send(request("kv.put", [first, second], id=1)).json == {
        "jsonrpc": "2.0",
        "result": {"version": 1},
        "id": 1,
    }
    assert kv.send(request("kv.put", [second, first], id=2)).json == {
        "jsonrpc": "2.0",
        "result": {"version": 1},
        "id": 2,
    }
    assert (kv.get(first)[0], kv.get(second)[0]) == (second, first)


def test_call_with_named_parameters(kv):
    """rpc call with named parameters: their order does not matter."""
    first, second = unique(), unique()
    assert kv.send(request("kv.put", {"value": "a", "key": first}, id=3)).answer.ok == {"version": 1}
    assert kv.send(request("kv.put", {"key": second, "value": "b"}, id=4)).answer.ok == {"version": 1}
    assert (kv.get(first)[0], kv.get(second)[0]) == ("a", "b")


def test_a_notification(kv):
    """A notification runs and returns nothing, also one to a method that does not exist."""
    key = unique()
    reply = kv.send(request("kv.append", [key, "x"]))
    assert (reply.status, reply.body) == (204, b"")
    until(lambda: kv.get(key) == ("x", 1), what="the notification's effect")
    reply = kv.send(request("foobar"))
    assert (reply.status, reply.body) == (204, b"")


def test_call_of_a_method_that_does_not_exist(kv):
    """rpc call of non-existent method: -32601 under the call's id."""
    answer = kv.send(request("foobar", id="1")).answer
    expect(answer, -32601)
    assert answer.id == "1"


def test_call_with_invalid_json(kv):
    """rpc call with invalid JSON: -32700, id null."""
    only_error(kv.post(b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]'), -32700)


def test_call_with_an_invalid_request_object(kv):
    """rpc call with invalid Request object: -32600, id null."""
    only_error(kv.post(b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}'), -32600)


def test_batch_with_invalid_json(kv):
    """rpc call Batch, invalid JSON: one single -32700."""
    only_error(
        kv.post(b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]'),
        -32700,
    )


def test_an_empty_array(kv):
    """rpc call with an empty Array: one single -32600, no array."""
    only_error(kv.post(b"[]"), -32600)


@pytest.mark.parametrize("body", [b"[1]", b"[1,2,3]"])
def test_an_invalid_batch(kv, body):
    """rpc call with an invalid Batch: an array with one -32600 for each member, ids null."""
    answers = kv.post(body).answers
    assert len(answers) == body.count(b",") + 1
    for answer in answers:
        expect(answer, -32600)
        assert answer.id is None


def test_a_mixed_batch(kv):
    """rpc call Batch: results, a notification without a reply, and errors stand side by side in one array."""
    key, told = unique(), unique()
    reply = kv.send(
        [
            request("kv.put", [key, "x"], id="1"),
            request("kv.append", [told, "y"]),
            request("kv.increment", [unique(), 42], id="2"),
            {"foo": "boo"},
            request("foo.get", {"name": "myself"}, id="5"),
            request("server.info", id="9"),
        ]
    )
    assert reply.status == 200
    by_id = {answer.id: answer for answer in reply.answers}
    assert len(reply.answers) == 5
    assert by_id["1"].ok == {"version": 1}
    assert by_id["2"].ok == {"value": 42, "version": 1}
    expect(by_id[None], -32600)
    expect(by_id["5"], -32601)
    assert by_id["9"].ok["name"]
    until(lambda: kv.get(told) == ("y", 1), what="the notification's effect")


def test_a_batch_of_notifications(kv):
    """rpc call Batch (all notifications): nothing is returned, not even an empty array; all of them run."""
    first, second = unique(), unique()
    reply = kv.send([request("kv.append", [first, "x"]), request("kv.append", [second, "x"])])
    assert (reply.status, reply.body) == (204, b"")
    until(lambda: (kv.get(first), kv.get(second)) == (("x", 1), ("x", 1)), what="the notifications' effects")
