"""What a process takes, as the kernel counts it: memory, processor time, threads. Linux."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["processor_us", "resident_bytes", "threads"]


def resident_bytes(pid: int) -> int:
    """The resident set."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def processor_us(pid: int) -> float:
    """User and system time since it began, in steps of a clock tick (10 ms)."""
    # The name in the file may hold spaces and parentheses, so what stands before the last parenthesis is cut off.
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def threads(pid: int) -> int:
    """How many threads it has."""
    return len(list(Path("/proc", str(pid), "task").iterdir()))
