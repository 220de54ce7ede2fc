"""The fault library from Python: compile it, start a program under it, and say which operation fails."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAULTS", "KINDS", "Control", "Fault", "build", "environment", "has_compiler"]

SOURCE = Path(__file__).with_name("io_fault.c")
KINDS = ("open", "read", "write", "sync", "truncate")
_LAYOUT = struct.Struct("8I5I")
_ARMED, _COUNT, _FAILED = 0, 4, 28
"""Where these members of `struct control` stand, in bytes."""


@dataclass(frozen=True)
class Fault:
    """What fails: the Nth operation, or it and all that follow (`is_lasting`), with this errno.

    is_torn: half of the first write that fails is written, and the call says so. kinds: what can fail at all.
    """

    name: str
    error: int
    is_lasting: bool = False
    is_torn: bool = False
    kinds: tuple[str, ...] = KINDS


_GROWING = ("open", "write", "sync", "truncate")
FAULTS = {
    fault.name: fault
    for fault in (
        Fault("eio-once", errno.EIO),
        Fault("eio-lasting", errno.EIO, is_lasting=True),
        Fault("enospc-once", errno.ENOSPC, kinds=_GROWING),
        Fault("enospc-lasting", errno.ENOSPC, is_lasting=True, kinds=("write", "truncate")),  # it reads and syncs still
        Fault("short-once", errno.ENOSPC, is_torn=True, kinds=("write",)),
        Fault("short-lasting", errno.ENOSPC, is_lasting=True, is_torn=True, kinds=("write",)),
    )
}


def has_compiler() -> bool:
    """Whether `cc` is there."""
    return shutil.which("cc") is not None


def build(folder: Path) -> Path:
    """The compiled library, in that folder. Raises CalledProcessError when the compiler refuses."""
    library = folder / "io_fault.so"
    words = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run([*words, "-ldl", "-lpthread"], check=True)
    return library


def environment(library: Path, folder: Path, durable: Path, control: Path) -> dict[str, str]:
    """What a program is started with, so that its files below `folder` may fail; makes the control page."""
    control.write_bytes(bytes(_LAYOUT.size))
    return {
        "LD_PRELOAD": str(library),
        "IO_FAULT_FOLDER": str(folder),
        "IO_FAULT_DURABLE": str(durable),
        "IO_FAULT_CONTROL": str(control),
    }


class Control:
    """The page that this process shares with the library in it and in its children."""

    def __init__(self) -> None:
        """Of the environment that this process was started with."""
        self.folder = Path(os.environ["IO_FAULT_FOLDER"])
        self.durable = Path(os.environ["IO_FAULT_DURABLE"])
        with open(os.environ["IO_FAULT_CONTROL"], "r+b") as page:
            self._page = mmap.mmap(page.fileno(), _LAYOUT.size)

    def arm(self, fault: Fault, number: int) -> None:
        """From now on operations are counted, from 1, and this one fails; 0: none does."""
        kinds = sum(1 << KINDS.index(kind) for kind in fault.kinds)
        members = (0, 0, number, fault.is_lasting, fault.error, fault.is_torn, kinds, 0)
        self._page[:] = _LAYOUT.pack(*members, 0, 0, 0, 0, 0)
        self._page[_ARMED] = 1

    def disarm(self) -> None:
        """The disk is well again."""
        self._page[_ARMED] = 0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For the test's own operations on those files."""
        was, self._page[_ARMED] = self._page[_ARMED], 0
        yield
        self._page[_ARMED] = was

    @property
    def count(self) -> int:
        """Operations since it was armed."""
        return int.from_bytes(self._page[_COUNT : _COUNT + 4], "little")

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return int.from_bytes(self._page[_FAILED : _FAILED + 4], "little")

    @property
    def failed_kinds(self) -> dict[str, int]:
        """How many of each kind."""
        return dict(zip(KINDS, _LAYOUT.unpack(self._page[:])[8:], strict=True))
