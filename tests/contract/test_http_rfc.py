"""Section 2: what RFC 9110 and 9112 say of a request, as bytes; the same status and effects however a server serves."""

from __future__ import annotations

import json

import pytest

from tests.support.caller import request
from tests.support.raw_socket import replies_to
from tests.support.replies import ERRORS, HttpReply
from tests.support.seed import unique

pytestmark = pytest.mark.wire

HOST = ("Host: t",)
LENGTH = "Content-Length: {length}"
KEY = "Idempotency-Key: {key}"


def call(*lines, line="POST /rpc HTTP/1.1", host=HOST, length=(LENGTH,), content=("Content-Type: application/json",)):
    """A request that appends; `{length}`, `{key}` and `{body}` are filled in."""
    return "\r\n".join([line, *host, *content, *length, *lines, "", "{body}"])


CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = "\r\n".join(["POST /rpc HTTP/1.1", *HOST, "Content-Type: application/json", CHUNKED, "", "{chunked}"])

CASES = {
    "plain": (call(), [200], 1),
    "plain-1.0": (call(line="POST /rpc HTTP/1.0", host=()), [200], 1),
    "pipelined": (call() + call() + call(), [200, 200, 200], 3),
    "pipelined-behind-a-refusal": (call(length=("Content-Length: x",)) + call(), [400], 0),
    "pipelined-behind-a-415": (call(content=("Content-Type: text/plain",)) + call(), [415, 200], 1),
    "pipelined-behind-close": (call("Connection: close") + call(), [200], 1),
    "host-missing": (call(host=()), [400], 0),
    "host-twice": (call(host=("Host: t", "Host: t")), [400], 0),
    "host-twice-one-empty": (call(host=("Host: t", "Host:")), [400], 0),
    "host-twice-1.0": (call(line="POST /rpc HTTP/1.0", host=("Host: t", "Host: u")), [400], 0),
    "host-with-a-path": (call(host=("Host: t/x",)), [400], 0),
    "host-with-a-space": (call(host=("Host: a b",)), [400], 0),
    "host-of-two": (call(host=("Host: a, b",)), [400], 0),
    "host-with-a-user": (call(host=("Host: u@t",)), [400], 0),
    "host-with-a-bad-port": (call(host=("Host: t:x",)), [400], 0),
    "host-ipv6": (call(host=("Host: [::1]:80",)), [200], 1),
    "host-empty": (call(host=("Host:",)), [200], 1),
    "host-misspelt": (call(host=("Host: t", "Content_Length: 3")), [400], 0),
    "expect-1.0": (call("Expect: 100-continue", line="POST /rpc HTTP/1.0"), [200], 1),
    "expect-unknown-1.0": (call("Expect: wonders", line="POST /rpc HTTP/1.0"), [200], 1),
    "expect": (call("Expect: 100-Continue"), [200], 1),
    "expect-unknown": (call("Expect: wonders"), [417], 0),
    "expect-both": (call("Expect: 100-continue", "Expect: wonders"), [417], 0),
    "length-twice": (call(length=(LENGTH, LENGTH)), [400], 0),
    "length-twice-different": (call(length=(LENGTH, "Content-Length: 3")), [400], 0),
    "length-list": (call(length=("Content-Length: {length}, {length}",)), [400], 0),
    "length-plus": (call(length=("Content-Length: +{length}",)), [400], 0),
    "length-negative": (call(length=("Content-Length: -1",)), [400], 0),
    "length-hex": (call(length=("Content-Length: 0x10",)), [400], 0),
    "length-empty": (call(length=("Content-Length:",)), [400], 0),
    "length-huge": (call(length=("Content-Length: 99999999999999999999999",)), [400], 0),
    "length-with-zeros": (call(length=("Content-Length: 000{length}",)), [200], 1),
    "length-missing": (call(length=()), [411], 0),
    "length-misspelt": (call(length=("Content_Length: {length}",)), [400], 0),
    "body-cut": (call(length=("Content-Length: 1000",)), [400], 0),
    "chunked": (IN_CHUNKS, [411], 0),
    "chunked-and-length": (call(CHUNKED), [400], 0),
    "chunked-1.0": (call(CHUNKED, line="POST /rpc HTTP/1.0", length=()), [400], 0),
    "coding-unknown": (call("Transfer-Encoding: gzip", length=()), [411], 0),
    "coding-misspelt": (call("Transfer_Encoding: chunked"), [400], 0),
    "obs-fold": (call("X-Folded: a", " b"), [400], 0),
    "obs-fold-in-a-key": (call(KEY, " b"), [400], 0),
    "absolute-form": (call(line="POST http://t/rpc HTTP/1.1"), [200], 1),
    "query": (call(line="POST /rpc?a=b HTTP/1.1"), [200], 1),
    "fragment": (call(line="POST /rpc#a HTTP/1.1"), [400], 0),
    "escaped-path": (call(line="POST /%72pc HTTP/1.1"), [200], 1),
    "another-path": (call(line="POST /nothing HTTP/1.1"), [404], 0),
    "another-verb": (call(line="PUT /rpc HTTP/1.1"), [405], 0),
    "a-verb-of-its-own": (call(line="BREW /rpc HTTP/1.1"), [405], 0),
    "another-verb-of-a-page": (call(line="POST /healthz HTTP/1.1"), [405], 0),
    "verb-in-lower-case": (call(line="post /rpc HTTP/1.1"), [405], 0),
    "no-version": (call(line="POST /rpc"), [400], 0),
    "version-0.9": (call(line="POST /rpc HTTP/0.9"), [400], 0),
    "version-2.0": (call(line="POST /rpc HTTP/2.0"), [505], 0),
    "version-1.2": (call(line="POST /rpc HTTP/1.2"), [400], 0),
    "another-protocol": (call(line="POST /rpc ICY/1.1"), [400], 0),
    "empty-lines-before": ("\r\n\r\n" + call(), [200], 1),
    "nul-in-a-value": (call("X-Odd: a\0b"), [400], 0),
    "cr-in-a-value": (call("X-Odd: a\rb"), [400], 0),
    "nul-in-a-name": (call("X\0Odd: a"), [400], 0),
    "space-before-colon": (call("Idempotency-Key : {key}"), [400], 0),
    "space-in-a-name": (call("X Odd: a"), [400], 0),
    "no-colon": (call("nothing"), [400], 0),
    "empty-name": (call(": a"), [400], 0),
    "type-twice": (call(content=("Content-Type: application/json",) * 2), [400], 0),
    "type-missing": (call(content=()), [415], 0),
    "authorization-twice": (call("Authorization: Bearer a", "Authorization: Bearer a"), [400], 0),
    "key": (call(KEY), [200], 1),
    "key-and-its-retry": (call(KEY) + call(KEY), [200, 200], 1),
    "key-twice": (call(KEY, KEY), [400], 0),
    "key-twice-then-once": (call(KEY, KEY) + call(KEY), [400, 200], 1),
    "key-twice-different": (call(KEY, "Idempotency-Key: other"), [400], 0),
    "key-twice-second-empty": (call(KEY, "Idempotency-Key:"), [400], 0),
    "key-twice-first-empty": (call("Idempotency-Key:", KEY), [400], 0),
    "key-twice-other-case": (call(KEY, "idempotency-KEY: {key}"), [400], 0),
    "key-and-misspelt": (call(KEY, "Idempotency_Key: {key}"), [400], 0),
    "key-misspelt": (call("Idempotency_Key: {key}"), [400], 0),
    "pipelined-behind-another-verb": (call() + call(line="BREW /rpc HTTP/1.1"), [200, 405], 1),
    "pipelined-behind-noise": (call() + "noise\r\n\r\n", [200, 400], 1),
    "head-too-long": (call("X-Long: " + "x" * 100_000), [431], 0),
}
"""Name: the request, the statuses of the replies, and how often it runs."""


@pytest.fixture(scope="module")
def by_workers(kv, fresh_for_module):
    """A caller of a server with one worker, and one of a server with two."""
    return {1: kv, 2: fresh_for_module(workers=2).kv}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_every_server_takes_a_request_for_the_same(by_workers, workers, case):
    """Status and effects of a request are what HTTP says, on every model; a refusal has a JSON-RPC body."""
    kv, key = by_workers[workers], unique()
    template, statuses, effects = CASES[case]
    body = json.dumps(request("kv.append", {"key": key, "value": "x"}, id=1))
    chunked = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    for name, text in {"length": str(len(body)), "key": key, "chunked": chunked, "body": body}.items():
        template = template.replace("{" + name + "}", text)
    replies = replies_to(kv.url, template.encode("latin-1"))
    assert [reply.status for reply in replies] == statuses, replies
    for reply in replies:
        assert reply.status == 200 or is_definite_refusal(reply)
    assert kv.get(key) == ("x" * effects or None, effects)


def is_definite_refusal(reply: HttpReply) -> bool:
    """Whether it is the JSON-RPC error of a call that never ran."""
    assert reply.headers["Content-Type"] == "application/json"
    error = reply.answer.error
    assert error, reply
    return (error["data"]["name"], error["data"]["definite"]) == ERRORS[error["code"]] and error["data"]["definite"]
