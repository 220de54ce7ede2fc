"""Addresses: bind early and say what is wrong, and keep other servers off a port that our workers share."""

from __future__ import annotations

import socket
import sys

from oncekv.server.config import Config, StartupError

__all__ = ["Address", "free_address", "listen", "reserve"]

Address = tuple[str, int]

ADDRESSES_MAX = 5
BACKLOG = 1024


def reserve(config: Config) -> tuple[Address, socket.socket]:
    """The address, and what keeps other servers off it while this process lives. Raises StartupError.

    SO_REUSEPORT, which our workers need, would let two servers that start at the same moment share a port. A name in
    the kernel's table of abstract sockets belongs to one, and is free again however its owner ends.
    """
    for _ in range(ADDRESSES_MAX):
        address = free_address(config.host, config.port)
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if sys.platform == "linux":  # other kernels have no such table
                guard.bind(f"\0oncekv-{address[0]}-{address[1]}")
        except OSError:
            guard.close()
            if config.port:
                break
        else:
            return address, guard
    raise StartupError(
        f"cannot listen on {config.host}:{config.port}: another server starts on it;"
        " name another --listen address, port 0 takes a free one"
    )


def free_address(host: str, port: int) -> Address:
    """The address to serve on. Raises StartupError when it is taken; the bind says so before a store is made."""
    with listen((host, port), shared=False) as probe:
        bound_host, bound_port = probe.getsockname()[:2]
    return bound_host, bound_port


def listen(address: Address, *, shared: bool) -> socket.socket:
    """A socket that listens; `shared` with the other workers. Raises StartupError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error};"
            " name another --listen address, port 0 takes a free one"
        ) from None
    return listener
