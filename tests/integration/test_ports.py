"""The port of a local server: it keeps it over its deaths, whatever else on the machine asks for ports."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer
from chaos.runtime.ports import KeptPort
from tests.support.server import MODELS


def _is_free(port: int) -> bool:
    """Whether somebody who names no port could be given this one: the draw asks the same, without SO_REUSEADDR."""
    with socket.socket() as stranger:
        try:
            stranger.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("model", MODELS)
def test_a_dead_servers_port_is_kept_for_it(tmp_path: Path, model: str, workers: str) -> None:
    """While a server is down nobody is given its port, and it comes back on it."""
    with LocalServer(tmp_path / "data", extra_args=["--model", model, "--workers", workers]) as server:
        url = server.url
        server.kill()
        assert not _is_free(server.port)
        assert server.restart().url == url


def test_a_kept_port_is_given_back() -> None:
    """Released, or forgotten with its owner, the port is anybody's."""
    for end in (KeptPort.release, lambda _port: None):
        port = KeptPort()
        number = port.number
        assert not _is_free(number)
        end(port)
        del port
        assert _is_free(number)
