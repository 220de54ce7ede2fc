"""The envelope, apart from any server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncekv.kv.errors import VersionMismatch
from oncerpc.wire.errors import REGISTRY, InvalidRequest, ParseError
from oncerpc.wire.jsonrpc import decode, encode_batch, encode_reply, failure, mark_replayed, success

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    """Whatever arrives, the envelope answers with a refusal or with requests, never with another exception."""
    try:
        _, requests = decode(body, 10)
    except (ParseError, InvalidRequest):
        return
    assert requests


@given(JSON)
def test_every_json_value_becomes_requests_or_a_refusal(value: object) -> None:
    """A body that is JSON is never a parse error."""
    try:
        is_batch, requests = decode(json.dumps(value).encode(), 10)
    except InvalidRequest:
        assert value == [] or (isinstance(value, list) and len(value) > 10)
        return
    assert is_batch == isinstance(value, list)
    assert len(requests) == (len(value) if isinstance(value, list) else 1)


@pytest.mark.parametrize("request_id", ["a", 7, -1, 1.5, None, "é"])
def test_a_reply_has_the_attempts_own_id(request_id: object) -> None:
    """The id comes back as the JSON value that was sent."""
    reply = json.loads(encode_reply(request_id, success({"version": 1})))
    assert reply == {"jsonrpc": "2.0", "id": request_id, "result": {"version": 1}}


def test_a_replayed_result_differs_by_its_mark_alone() -> None:
    """Taking the mark away gives the first reply."""
    first = success({"version": 3, "offset": 9})
    replayed = json.loads(mark_replayed(first).body)
    assert replayed.pop("_meta") == {"replayed": True}
    assert replayed == json.loads(first.body)


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)
def test_a_replayed_error_carries_its_mark_in_data(kind: type) -> None:
    """Of every error of the registry, the mark stands in `data._meta`, and the rest is as it was."""
    first = failure(kind("why", extra=[1, {"a": "}"}]))
    replayed = json.loads(mark_replayed(first).body)
    assert replayed["data"].pop("_meta") == {"replayed": True}
    assert replayed == json.loads(first.body)


def test_a_batch_is_an_array_of_replies() -> None:
    """Replies stand in the array as they were encoded alone."""
    one, two = encode_reply(1, success({"a": 1})), encode_reply(2, failure(VersionMismatch(version=4)))
    assert json.loads(encode_batch([one, two])) == [json.loads(one), json.loads(two)]


def test_a_batch_over_its_bound_is_refused_whole() -> None:
    """A batch has a bound, and one over it runs nothing."""
    with pytest.raises(InvalidRequest):
        decode(b"[1,2,3]", 2)


def test_json_knows_one_kind_of_number() -> None:
    """1.0 and 1e2 are integers wherever an integer is asked for."""
    _, (request,) = decode(b'{"jsonrpc":"2.0","method":"m","id":1.0,"params":[1e2, 1.5]}', 1)
    assert bytes(request.id) == b"1.0"  # the id goes back as it came
    assert request.params == [100, 1.5]
