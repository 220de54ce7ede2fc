"""A small disk of a test's own, as root: to fill it up is to fill up nobody else's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

__all__ = ["SmallDisk"]


class SmallDisk:
    """A tmpfs mounted on `folder`. Skips the test where this user may not mount."""

    def __init__(self, folder: Path, kib: int) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a disk")

    def fill(self) -> None:
        """Take all room that is left."""
        with self._ballast.open("wb", buffering=0) as file:
            space = os.statvfs(self.folder)
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize)

    def make_room(self) -> None:
        """Give it back."""
        self._ballast.unlink()

    def make_read_only(self) -> None:
        """Nothing may be written any more."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)

    def close(self) -> None:
        """Unmount it, whoever still uses it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)
