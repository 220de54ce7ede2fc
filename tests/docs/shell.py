"""One bash for one page: commands one after the other, as a person types them, what they say together with its end.

It keeps variables and background jobs from command to command, and `$?`. Guarantee: every wait has a deadline, and when
it is closed, everything that it started has ended. Limit: a command has no terminal and nothing to read.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Shell", "ShellStuck"]

ANSWER_MAX_S = 90.0
READY_MAX_S = 20.0
# Descriptor 3 has the commands, each ended by NUL. `set_code` gives the next command the `$?` of the one before.
LOOP = """
set_code() { return "$1"; }
code=0
while IFS= read -r -d '' -u 3 command; do
  set_code "$code"; eval "$command" </dev/null 3<&-
  code=$?; printf '\\n%s %d\\n' "$END_OF_COMMAND" "$code"
done
"""
# What a shell itself says of a job that was killed; each shell has words of its own for it.
KILLED = re.compile(r"^.*: line \d+: +\d+ Killed .*\n", re.MULTILINE)


class ShellStuck(Exception):
    """A command did not end in time, or the shell is gone; the message has what it said so far."""


class Shell:
    """A bash in `folder`. Use it as a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._end = f"end-of-command-{os.urandom(8).hex()}"
        told, self._commands = os.pipe()
        script = f"exec 3<&{told} {told}<&-\n{LOOP}" if told != 3 else LOOP
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", script],
            cwd=folder,
            env={**environment, "END_OF_COMMAND": self._end},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[told],
            start_new_session=True,
        )
        os.close(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the shell's whole group: servers in the background, too."""
        os.close(self._commands)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._bash.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        assert self._bash.stdout is not None
        self._bash.stdout.close()

    def run(self, command: str) -> tuple[str, int]:
        """What it says, and its exit code. One that ends with `&` is waited for until it says its first line."""
        os.write(self._commands, command.encode() + b"\0")
        said = self._read_until(f"\n{self._end} ", ANSWER_MAX_S)
        output, _, code = said.rpartition(f"\n{self._end} ")
        output = KILLED.sub("", f"{output}\n").strip("\n")
        while command.endswith("&") and not output:
            output = KILLED.sub("", self._read_until("\n", READY_MAX_S)).strip("\n")
        return output, int(code)

    def _read_until(self, mark: str, seconds: float) -> str:
        """Up to the mark and the end of its line."""
        assert self._bash.stdout is not None
        descriptor = self._bash.stdout.fileno()
        read, deadline = b"", time.monotonic() + seconds
        while not (mark.encode() in read and read.endswith(b"\n")):
            left = deadline - time.monotonic()
            ready = select.select([descriptor], [], [], max(left, 0))[0]
            part = os.read(descriptor, 65536) if ready else b""
            if not part:
                raise ShellStuck(f"no end within {seconds:.0f} s; so far: {read.decode(errors='replace')}")
            read += part
        return read.decode()
