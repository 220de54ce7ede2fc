"""JSON-RPC 2.0 beyond its examples: ids, versions, both kinds of params, and input from a hostile hand."""

from __future__ import annotations

import json

import pytest

from tests.support.caller import request
from tests.support.replies import Answer, expect
from tests.support.seed import randomness, unique

pytestmark = pytest.mark.wire

METHODS = ["kv.get", "kv.put", "kv.append", "kv.increment", "kv.delete", "kv.txn", "kv.list",
           "session.open", "session.renew", "session.close", "server.info", "rpc.discover"]  # fmt: skip
NAMES = ["key", "value", "by", "if_version", "checks", "ops", "op", "version", "prefix", "limit", "after",
         "lease_ms", "_meta", "session", "seq", "acked", "timeout_ms", "", "bogus"]  # fmt: skip


@pytest.mark.parametrize("identifier", ["abc", "", "é😀\0", 0, 7, -7, 1.5, 2**53 + 1, -(2**63), None])
@pytest.mark.parametrize("method", ["server.info", "no.such.method"])
def test_the_id_comes_back_as_it_was(kv, identifier, method):
    """The reply has the request's id, the same in type and value; a null id asks for a reply too."""
    answer = kv.send(request(method, id=identifier)).answer
    assert answer.id == identifier
    assert type(answer.id) is type(identifier)


NUMBERS = ["0", "-0", "1.0", "-0.0", "1e2", "1E-3", "1.10", "0.1", "0e5", "1.7976931348623157e308", "5e-324", "9" * 40]


def _append(identifier, key):
    """An append whose id is this text, `id` and all members between where it is more than one."""
    params = json.dumps({"key": key, "value": "x"})
    return f'{{"jsonrpc":"2.0","id":{identifier},"method":"kv.append","params":{params}}}'


@pytest.mark.parametrize("number", [*NUMBERS, '"a","id":2.50', '1e400,"id":7.0', '1.5,"id":"last"'])
@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
def test_a_number_comes_back_as_it_was_written(kv, number, batch):
    """1.0 is not answered as 1, nor -0 as 0: a number's text comes back; of two ids the last one counts."""
    text = _append(number, unique())
    body = kv.post(f"[{text}]".encode() if batch else text.encode()).body
    assert b'"result"' in body, body
    assert b'"id":' + number.rpartition('"id":')[2].encode() + b"," in body


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e-400", "9" * 5000, '1,"id":1e400', "true", "{}", "[1.5]"])
def test_an_id_that_cannot_come_back_runs_nothing(kv, number):
    """An id that no reply could carry is no id: the request is invalid, alone and in a batch, and nothing runs."""
    key = unique()
    text = _append(number, key)
    replies = [kv.post(text.encode()).answer, *_list(kv.post(f"[{text}]".encode()).json)]
    for reply in replies:
        assert reply.code in (-32600, -32700)
        assert reply.id is None
    assert kv.get(key) == (None, 0)


def _list(document):
    """A batch's answers, or the one answer to the whole body."""
    return [Answer.parse(member) for member in (document if isinstance(document, list) else [document])]


@pytest.mark.parametrize("identifier", [True, {}, {"a": 1}, [], [1]])
def test_an_id_is_a_string_a_number_or_null(kv, identifier):
    """An id of another type makes the request invalid; the reply's id is null."""
    answer = kv.send(request("server.info", id=identifier)).answer
    expect(answer, -32600)
    assert answer.id is None


@pytest.mark.parametrize(
    "document",
    [
        {"method": "server.info", "id": 1},
        {"jsonrpc": "1.0", "method": "server.info", "id": 1},
        {"jsonrpc": 2.0, "method": "server.info", "id": 1},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "method": None, "id": 1},
        {"jsonrpc": "2.0", "method": ["server.info"], "id": 1},
        {"jsonrpc": "2.0", "method": "server.info", "params": "bar", "id": 1},
        {"jsonrpc": "2.0", "method": "server.info", "params": 1, "id": 1},
        {"jsonrpc": "2.0", "method": "server.info", "params": True, "id": 1},
        {},
        1,
        "text",
        None,
        True,
        1.5,
    ],
    ids=json.dumps,
)
def test_an_invalid_request_is_refused(kv, document):
    """What is not a Request object is -32600, alone and in a batch, where it harms no neighbour."""
    expect(kv.send(document).answer, -32600)
    neighbour, refused = sorted(
        kv.send([document, request("server.info", id=99)]).answers, key=lambda a: a.code or -(10**9)
    )
    expect(refused, -32600)
    assert neighbour.id == 99


def test_an_invalid_request_without_an_id_still_gets_a_reply(kv):
    """Only a valid request can be a notification: an invalid one without an id is answered under null."""
    answer = kv.send({"jsonrpc": "2.0", "method": "server.info", "params": "bar"}).answer
    expect(answer, -32600)
    assert answer.id is None


@pytest.mark.parametrize("method", ["rpc.nothing", "KV.GET", "kv.", "kv", "", "kv.get ", "__class__", "debug.none"])
def test_unknown_methods_are_not_found(kv, method):
    """A method name is compared exactly, and unknown ones are -32601."""
    expect(kv.call(method), -32601)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("kv.list", None),
        ("kv.list", []),
        ("server.info", []),
        ("server.info", {}),
        ("rpc.discover", None),
        ("session.open", []),
    ],
)
def test_params_may_be_left_out_where_all_have_defaults(kv, method, params):
    """A method whose params are all optional is called without any, too."""
    assert kv.send(request(method, params, id=1)).answer.ok


def test_positional_params_follow_the_table(kv):
    """By-position params stand in the order of the table, optional ones last."""
    key = unique()

    def ask(method, *params):
        return kv.send(request(method, list(params), id=1)).answer.ok

    assert ask("kv.put", key, "1", 0) == {"version": 1}
    assert ask("kv.append", key, "2") == {"version": 2, "offset": 1}
    assert ask("kv.increment", key) == {"value": 13, "version": 3}
    assert ask("kv.increment", key, 7) == {"value": 20, "version": 4}
    assert ask("kv.get", key) == {"value": "20", "version": 4}
    assert ask("kv.list", key, 1, "")["items"] == [{"key": key, "value": "20", "version": 4}]
    assert ask("kv.list", key, 1, key) == {"items": [], "next": None}
    assert ask("kv.txn", [{"key": key, "version": 4}], [{"op": "delete", "key": key}]) == {
        "results": [{"deleted": True}]
    }
    assert ask("kv.delete", key, 0) == {"deleted": False}
    assert ask("session.open", 60_000)["lease_ms"] == 60_000


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("kv.get", []),
        ("kv.get", ["k", "k"]),
        ("kv.put", ["k"]),
        ("kv.put", ["k", "v", 0, 0]),
        ("kv.append", ["k", "v", 0]),
        ("kv.increment", ["k", 1, 1]),
        ("server.info", [1]),
        ("kv.txn", [[]]),
        ("kv.put", ["k", "v", {"session": "s", "seq": 1}]),
    ],
    ids=json.dumps,
)
def test_too_few_or_too_many_positional_params(kv, method, params):
    """A wrong number of by-position params is -32602; `_meta` cannot be given that way."""
    expect(kv.send(request(method, params, id=1)).answer, -32602)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"kv.get","params":{"key":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"kv.increment","params":{"key":"k","by":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"kv.increment","params":{"key":"k","by":1' + b"0" * 5000 + b"}}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"kv.get","params":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b"\0" * 100,
        b'{"jsonrpc":"2.0"}}',
        b'"',
        b"nul",
    ],
    ids=[
        "lone-surrogate",
        "nan",
        "huge-integer",
        "deep-array",
        "deep-object",
        "nul",
        "two-closings",
        "quote",
        "nul-word",
    ],
)
def test_hostile_json_is_refused_and_the_server_serves_on(kv, body):
    """Whatever comes, the answer is a definite error and never the server's own failure."""
    reply = kv.post(body)
    assert reply.status == 200
    for answer in reply.answers if body.startswith(b"[") and isinstance(reply.json, list) else [reply.answer]:
        assert answer.code in (-32700, -32600, -32602, 23)
        expect(answer, answer.code)
    assert kv.ok("server.info")


def test_random_params_never_break_the_server(kv):
    """No params at all, however wrong, bring internal_error or an HTTP 500."""
    draw = randomness("params")

    def value(depth=3):
        leaf = [None, True, False, -1, 0, 1, 7, 1024, 1025, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1,
                2**64, 1.5, 1e300, "", "x", "\0", "😀", "%", "op", "get", "put", unique(), "x" * 1025]  # fmt: skip
        if depth == 0 or draw.random() < 0.6:
            return draw.choice(leaf)
        if draw.random() < 0.4:
            return [value(depth - 1) for _ in range(draw.randrange(4))]
        return {name(): value(depth - 1) for _ in range(draw.randrange(4))}

    def name():
        return draw.choice(NAMES)

    for _ in range(600):
        params = (
            {name(): value() for _ in range(draw.randrange(5))} if draw.random() < 0.85 else [value() for _ in range(3)]
        )
        document = request(draw.choice(METHODS), params, id=1)
        reply = kv.send(document)
        assert reply.status == 200, document
        answer = reply.answer
        assert answer.error is None or answer.code != -32603, document
        if answer.code is not None:
            expect(answer, answer.code)
