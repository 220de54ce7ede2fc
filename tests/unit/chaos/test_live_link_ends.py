"""The ends of a link, when all ends."""

from __future__ import annotations

import socket
import threading

import pytest

from chaos.live.journal import Journal
from chaos.live.link_ends import ClientEnd
from chaos.live.links import LiveLink
from chaos.live.messages import Messages
from chaos.live.pace import PAUSE, Pace
from tests.support.waiting import until

BODY = b'{"jsonrpc":"2.0","id":1,"method":"kv.append","params":{"key":"k","value":"c0-1"}}'
REQUEST = b"POST /rpc HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


@pytest.mark.parametrize("late", [False, True])
def test_nobody_is_kept_waiting_once_all_has_ended(late: bool) -> None:
    """Neither who waited nor who comes later: nobody is left that would lose patience with it."""
    journal = Journal(None)
    pace = Pace(1000)
    pace.set(PAUSE)
    messages = Messages(journal, pace)
    link = LiveLink("c0", "c0", "s0", journal, lambda: None)
    end = ClientEnd(link, "http://127.0.0.1:9", messages)
    try:
        with socket.create_connection(("127.0.0.1", end.port), 10) as client:
            if not late:
                client.sendall(REQUEST)
                until(lambda: bool(messages.on_way()), what="the message on its way")
            threading.Thread(target=pace.close).start()
            until(lambda: pace.is_closed, what="the end of the pace")
            if late:
                client.sendall(REQUEST)
            assert client.recv(1) == b""
    finally:
        end.close()
