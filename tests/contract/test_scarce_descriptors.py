"""A server that has no more file descriptors to give."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pytest

from tests.support.raw_socket import connect, read_reply
from tests.support.waiting import until

pytestmark = pytest.mark.wire

SPARE = 3
CLIENTS = 12
LOOK = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"


def _processor_s(pids):
    """The processor time that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process, as Linux can")
def test_clients_wait_for_descriptors(fresh):
    """Without descriptors the server neither spins nor floods its log; who is in is served, who waits gets in later."""
    node = fresh()
    node.kv.ok("kv.put", key="k", value="x")
    members, logged = node.server.members(), len(node.server.log.read_text().splitlines())
    for pid in members:
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + SPARE, hard))
    clients = [connect(node.server.url) for _ in range(CLIENTS)]
    until(lambda: "new connections wait" in node.server.log_tail(), what="a line in the log")
    for client in clients:
        client.sendall(LOOK)
    used_s = _processor_s(members)
    last = clients[-1]
    last.settimeout(2.0)
    with pytest.raises(TimeoutError):
        last.recv(1)
    assert _processor_s(members) - used_s < 1.0
    assert len(node.server.log.read_text().splitlines()) == logged + 1, node.server.log_tail()
    assert node.kv.get("k") == ("x", 1)
    for client in clients[:-1]:
        client.close()
    last.settimeout(10.0)
    reply = read_reply(last)
    last.close()
    assert reply is not None
    assert reply.status == 200
