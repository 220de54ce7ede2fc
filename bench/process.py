"""A child process that does not outlive us, however we end, and that Ctrl-C in our terminal does not reach.

It ends because we end it: Ctrl-C leaves by the `with` block, and the kernel sees to the rest (PR_SET_PDEATHSIG).
Limit: Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO

__all__ = ["child"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here, because between fork and exec nothing may be loaded
_STOP_MAX_S = 3.0


@contextlib.contextmanager
def child(
    words: Sequence[str], *, stdout: int | IO[bytes], stderr: int | IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the command for the length of the block, then SIGTERM, and SIGKILL when that is not enough."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, process_group=0, preexec_fn=die_with_parent
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
