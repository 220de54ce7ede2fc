"""What a message proxy makes of a reply, and what the client makes of the message proxy's."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.net.framing import Message
from chaos.net.replies import REFUSE_413, REFUSE_503, ReplySummary, read, refusal
from oncekv.kv.errors import VersionMismatch
from oncerpc.client.outcome import HttpRefused
from oncerpc.client.transport.attempt_result import Errored
from oncerpc.client.transport.reply import Received, read_single
from oncerpc.wire.errors import Overloaded, RpcError, StaleCall
from oncerpc.wire.jsonrpc import encode_reply, failure, mark_replayed, success
from tests.unit.client.loopback import ok


def _message(data: bytes) -> Message:
    message = Message(is_reply=True)
    message.feed(data)
    assert message.whole
    return message


@pytest.mark.parametrize(
    "reply", [success({"version": 1}), failure(VersionMismatch(version=3))], ids=["result", "error"]
)
def test_a_replay_has_the_content_of_the_first_reply(reply: Any) -> None:
    """The mark alone tells them apart, and both settle the call."""
    first = read(_message(ok(encode_reply(1, reply))))
    again = read(_message(ok(encode_reply(2, mark_replayed(reply)))))
    assert first.answer in ("ok", "version_mismatch")
    assert again == ReplySummary("replayed", first.content)
    assert first.settles
    assert again.settles


@pytest.mark.parametrize("error", [StaleCall(acked=3), Overloaded()], ids=lambda error: error.name)
def test_a_refusal_settles_nothing(error: RpcError) -> None:
    """It has a name, and is no reply of the call's."""
    said = read(_message(ok(encode_reply(1, failure(error)))))
    assert said.answer == error.name
    assert not said.settles


@pytest.mark.parametrize(
    "body", [b"[]", b"\xff", b"", b'{"result":1}', b'{"error":{"data":{}}}', b'{"result":{"_meta":1}}']
)
def test_what_is_no_reply_is_said_to_be_none(body: bytes) -> None:
    """Whatever a server may send, it is read without falling over."""
    assert read(_message(ok(body))) == ReplySummary("not JSON-RPC")


@pytest.mark.parametrize(("action", "error"), [(REFUSE_413, HttpRefused), (REFUSE_503, Overloaded)])
def test_the_couriers_refusals_are_definite_to_the_client(action: str, error: type[RpcError]) -> None:
    """They are what the server would have sent."""
    message = _message(refusal(action, b'{"jsonrpc":"2.0","id":7}'))
    ending = read_single(Received(message.status, message.body, "0"), 7)
    assert isinstance(ending, Errored)
    assert isinstance(ending.error, error)
    assert ending.error.definite
