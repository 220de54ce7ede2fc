"""A clock of a server's own, which a fault can set: forward or back, in the middle of its life or while it is down.

The server's Python is started with this folder's `settable/sitecustomize.py` on its path, which Python imports before
anything else; it adds what stands in a file to what the clocks say. The wall clock follows the file at once, as when
an operator or NTP sets it. The monotonic clock follows at the next start alone, as after a reboot of the machine: a
kernel never sets it back while a process looks.

Guarantee: the server itself knows nothing of this. Limit: it is Python's view of the clocks, `time.time`,
`time.monotonic` and their kin; the kernel's timers and other libraries keep the true ones.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["ServerClock"]

SETTABLE = Path(__file__).with_name("settable") / "sitecustomize.py"


class ServerClock:
    """The clock of one server. Its folder holds the code and the offset, and is written to by the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir()
        self.folder.chmod(0o777)  # the server may be another user, in a container
        (self.folder / "settable").mkdir()
        shutil.copy(SETTABLE, self.folder / "settable")
        self.set(0)

    def set(self, offset_s: int) -> None:
        """From now on the clock differs by so many seconds from the true one."""
        new = self.folder / "offset.new"
        new.write_text(str(offset_s), encoding="ascii")
        new.replace(self.folder / "offset")

    def seen(self) -> list[str]:
        """Under which offsets the server has looked at its clocks, as "wall 3600" or "monotonic -3600", in order."""
        path = self.folder / "seen"
        return path.read_text(encoding="ascii").splitlines() if path.exists() else []

    def environment(self, mounted: Path | None = None) -> dict[str, str]:
        """What starts a server on this clock; `mounted`: where a container finds its folder.

        Here the code is taken from where it belongs: Python's path has no way to write a folder with a colon.
        """
        if mounted:
            return {"PYTHONPATH": str(mounted / "settable"), "SETTABLE_CLOCK": str(mounted)}
        path = filter(None, [str(SETTABLE.parent), os.environ.get("PYTHONPATH")])
        return {"PYTHONPATH": os.pathsep.join(path), "SETTABLE_CLOCK": str(self.folder)}
