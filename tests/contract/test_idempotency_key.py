"""Section 4: the Idempotency-Key header: what it may look like, and where it may stand."""

from __future__ import annotations

import json
import string

import pytest

from tests.support.caller import request
from tests.support.raw_socket import exchange
from tests.support.replies import expect
from tests.support.seed import unique

VISIBLE = string.digits + string.ascii_letters + string.punctuation


@pytest.mark.parametrize("length", [1, 2, 255])
def test_keys_of_all_lengths(kv, length):
    """A key has 1 to 255 characters; a shorter or longer one is another."""
    target = unique()
    stem = unique()[::-1]  # its front differs from every other test's
    idempotency_key = "~" if length == 1 else "~!" if length == 2 else (stem * 255)[:length]
    assert kv.keyed(idempotency_key, "kv.append", key=target, value="x").ok == {"version": 1, "offset": 0}
    assert kv.keyed(idempotency_key, "kv.append", key=target, value="x").replayed


def test_every_visible_character_may_stand_in_a_key(kv):
    """All 94 visible ASCII characters are taken, and told apart: case matters."""
    target = unique()
    stem = unique()
    for character in (VISIBLE, "a", "A", "a,b", '"a"'):
        answer = kv.keyed(stem + character, "kv.append", key=target, value=".")
        assert not answer.replayed
        assert answer.ok
    assert kv.get(target) == ("." * 5, 5)


@pytest.mark.parametrize(
    "idempotency_key",
    [b"", b"x" * 256, b"y" * 5000, b"a b", b"a\tb", "é".encode(), "é".encode("latin-1"), b"\x7f", b"\x80x", b"a\x01"],
    ids=lambda raw: ascii(raw)[:16],
)
def test_malformed_keys_are_400(kv, idempotency_key):
    """An empty, over-long, spaced or non-ASCII key is HTTP 400, and nothing runs."""
    target = unique()
    body = json.dumps(request("kv.append", {"key": target, "value": "x"}, id=1)).encode()
    head = f"POST /rpc HTTP/1.1\nContent-Type: application/json\nContent-Length: {len(body)}\nIdempotency-Key: "
    reply = exchange(kv.url, head.replace("\n", "\r\n") + idempotency_key.decode("latin-1"), body)
    assert reply is not None
    assert reply.status == 400
    assert kv.get(target) == (None, 0)


def test_a_key_beside_a_session_is_400(kv):
    """A call has one identity: a key beside a session is HTTP 400, and nothing runs under either."""
    session, target, idempotency_key = kv.open(), unique(), unique()
    params = {"key": target, "value": "x", "_meta": {"session": session.name, "seq": 1}}
    assert kv.send(request("kv.append", params, id=1), {"Idempotency-Key": idempotency_key}).status == 400
    assert kv.get(target) == (None, 0)
    assert not session.do(1, "kv.append", key=target, value="y").replayed
    assert not kv.keyed(idempotency_key, "kv.append", key=target, value="z").replayed


@pytest.mark.parametrize("size", [1, 2])
def test_a_key_on_a_batch_is_400(kv, size):
    """A key belongs to a single request: on a batch, of one member even, it is HTTP 400, and nothing runs."""
    target = unique()
    batch = [request("kv.append", {"key": target, "value": "x"}, id=n) for n in range(size)]
    assert kv.send(batch, {"Idempotency-Key": unique()}).status == 400
    assert kv.get(target) == (None, 0)


def test_reads_are_never_recorded(kv):
    """A read under a key is read anew each time."""
    target, idempotency_key = unique(), unique()
    assert kv.keyed(idempotency_key, "kv.get", key=target).ok == {"value": None, "version": 0}
    kv.ok("kv.put", key=target, value="x")
    assert kv.keyed(idempotency_key, "kv.get", key=target).ok == {"value": "x", "version": 1}


def test_refusals_are_not_recorded(kv):
    """After a refused attempt the key is unused: the next payload runs."""
    target, idempotency_key = unique(), unique()
    expect(kv.keyed(idempotency_key, "kv.append", key=target, value=7), -32602)
    expect(kv.keyed(idempotency_key, "kv.nothing", key=target), -32601)
    expect(kv.keyed(idempotency_key, "kv.append", key=target, value="x", _meta={"timeout_ms": 0}), 1005)
    assert not kv.keyed(idempotency_key, "kv.append", key=target, value="y").replayed
    assert kv.get(target) == ("y", 1)


def test_the_replay_header_is_true_only_on_replays(kv):
    """`Idempotent-Replayed: true` stands on a replay, and on nothing else."""
    target, idempotency_key = unique(), unique()
    headers = [
        kv.keyed(idempotency_key, "kv.append", key=target, value="x").headers.get("Idempotent-Replayed")
        for _ in range(3)
    ]
    assert headers == [None, "true", "true"]
    assert kv.keyed(idempotency_key, "kv.append", key=target, value="y").headers.get("Idempotent-Replayed") is None
