"""Ports that are free, and ports that are kept: one that a server needs again after its death is nobody else's
meanwhile.

While a server is down, the kernel gives its port to whoever asks for a free one, and every connection that somebody
makes asks. A socket that is bound and does not listen keeps it out of that draw; a server binds beside it, because both
say SO_REUSEADDR. Limit: whoever names the port and says SO_REUSEADDR too gets it; Linux only.
"""

from __future__ import annotations

import os
import random
import socket
import weakref

from chaos.runtime.base import ServerError

__all__ = ["KeptPort", "free_ports"]


class KeptPort:
    """A free port of the loopback, kept until `release`, or until nobody knows this object any more."""

    def __init__(self) -> None:
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            self.number: int = holder.getsockname()[1]
            self._end = weakref.finalize(self, os.close, holder.detach())

    def release(self) -> None:
        """Anybody may have it. Harmless when released."""
        self._end()


def free_ports(count: int) -> range:
    """`count` free ports in a row; where to look first is drawn, for another run may be about to take its own. Raises
    ServerError.
    """
    firsts = range(23000, 32000, count)
    for first in random.Random(os.getpid()).sample(firsts, len(firsts)):
        sockets: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
        return range(first, first + count)
    raise ServerError(f"no {count} free ports in a row between 23000 and 32000")
