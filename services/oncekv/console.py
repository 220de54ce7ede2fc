r"""What a command says, said for certain: its exit code speaks of the matter only if its answer could be written.

    raise SystemExit(console.run("oncekv", main))

Around every command, ours and the harness's: stdout carries the answer, stderr what goes on. An answer that cannot be
written (a full disk, a reader that is gone, no stdout at all) ends the command with OUTPUT_LOST and one line; a defect
of ours ends it with CRASHED and its traceback, and not with Python's 1, which is somebody's verdict. What the encoding
of a terminal lacks is written escaped (`\u2013`). Nobody is stopped by a stderr that cannot be written.

Limit: what a pipe has taken counts as written, whoever reads it or not.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO, NoReturn, TextIO

__all__ = ["CRASHED", "INTERRUPTED", "OUTPUT_LOST", "UNAVAILABLE", "USAGE", "OutputLost", "Parser", "announce", "run"]

USAGE = 2
"""Wrong words, a path among them that cannot be used; what argparse says too."""
UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h: what the command needs is not there, so nothing was done."""
CRASHED = 70
"""EX_SOFTWARE of sysexits.h."""
OUTPUT_LOST = 74
"""EX_IOERR of sysexits.h."""
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


class OutputLost(Exception):
    """The answer could not be written; the message says why. No OSError: whoever prints might take it for another."""


def run(program: str, command: Callable[[], int]) -> int:
    """Run a command as the whole of this process; the exit code."""
    _prepare()
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()  # here, where it can still be told; SystemExit, as of --help, comes this way too
    except OutputLost as lost:
        return _lost(program, lost)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return CRASHED


def announce(program: str, line: str) -> None:
    """Write a line for whoever waits for it, from any thread; where it cannot be written, end the process at once.

    Nobody would ever learn that there is a server, and where; and a server may end at any moment.
    """
    try:
        print(line, flush=True)
    except (OutputLost, OSError) as error:
        os._exit(_lost(program, error))


def _lost(program: str, error: Exception) -> int:
    # What is left in the buffer would fail once more when Python ends, with an exit code of its own.
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 1)
    os.close(void)
    print(f"{program}: cannot write to stdout: {error}", file=sys.stderr, flush=True)
    return OUTPUT_LOST


def _prepare() -> None:
    _take_the_first_three()
    answers, asides, lacks = _encoding(sys.stdout), _encoding(sys.stderr), "backslashreplace"
    by_line = sys.stdout is not None and sys.stdout.isatty()
    sys.stdout = _Answers(_bytes(sys.stdout, 1), encoding=answers, errors=lacks, line_buffering=by_line)
    sys.stderr = _Asides(_bytes(sys.stderr, 2), encoding=asides, errors=lacks, line_buffering=True)


def _take_the_first_three() -> None:
    """A closed stdin, stdout or stderr leaves its number to the next file or socket that is opened, a store, say.

    So the numbers are taken. stdout is taken to read, so that writing fails as it would have done; nobody waits for
    stderr.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # the lowest free number, and that is this one


def _bytes(stream: TextIO | None, number: int) -> BinaryIO:
    """What is below the stream, taken over from it."""
    if isinstance(stream, io.TextIOWrapper):
        below: BinaryIO = stream.detach()
        return below
    return open(number, "wb", closefd=False)


def _encoding(stream: TextIO | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


class _Answers(io.TextIOWrapper):
    """stdout; what cannot be written is OutputLost."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputLost(error.strerror or str(error)) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputLost(error.strerror or str(error)) from None


class _Asides(io.TextIOWrapper):
    """stderr; what cannot be written is not."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            return
