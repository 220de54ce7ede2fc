from __future__ import annotations

import pytest

from chaos.net.framing import BODY_BYTES_MAX, HEAD_BYTES_MAX, Message, Unframed

REQUEST = b"POST /rpc HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:  4 \r\n\r\nbody"


@pytest.mark.parametrize("step", [1, 2, 3, 5, len(REQUEST)])
def test_a_message_ends_where_its_length_says(step: int) -> None:
    """However it is cut into pieces: whole with its last byte and not before, and nothing is changed."""
    message = Message()
    for at in range(0, len(REQUEST), step):
        assert not message.whole
        message.feed(REQUEST[at : at + step])
    assert message.whole
    assert bytes(message.data) == REQUEST
    assert message.body == b"body"


def test_a_body_may_look_like_a_head() -> None:
    """Blank lines and lengths inside a body are content."""
    body = b"\r\n\r\nContent-Length: 1\r\n\r\n"
    message = Message()
    message.feed(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert message.whole
    assert message.body == body


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9"])
def test_some_replies_have_no_body(head: bytes) -> None:
    """204 and 304 end with their head, whatever length they mention."""
    reply = Message(is_reply=True)
    reply.feed(head + b"\r\n\r\n")
    assert reply.whole
    assert reply.body == b""


def test_an_interim_reply_is_not_the_reply() -> None:
    """After 100 Continue the reply is still to come, and both belong to the message."""
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    reply = Message(is_reply=True)
    for at in range(len(data)):
        assert not reply.whole
        reply.feed(data[at : at + 1])
    assert reply.whole
    assert reply.status == 200
    assert reply.body == b"ok"
    assert bytes(reply.data) == data


def test_a_request_without_a_length_has_no_body() -> None:
    """GET /healthz ends with its head."""
    message = Message()
    message.feed(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert message.whole


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1),
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HEAD / HTTP/1.1\r\n\r\n",
        REQUEST + b"P",
        b"x" * (HEAD_BYTES_MAX + 1),
    ],
    ids=["chunked", "two-lengths", "negative", "too-long", "absurd", "head", "pipelined", "endless-head"],
)
def test_a_request_whose_end_is_unknown_is_refused(data: bytes) -> None:
    """What cannot be told apart surely is refused, and not guessed."""
    with pytest.raises(Unframed):
        Message().feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"SSH-2.0 hello\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n",
        b"\r\n\r\n",
    ],
    ids=["until-close", "chunked", "not-http", "no-status", "empty"],
)
def test_a_reply_whose_end_is_unknown_is_refused(data: bytes) -> None:
    """The same for replies, of which one may also end with its connection."""
    with pytest.raises(Unframed):
        Message(is_reply=True).feed(data)
