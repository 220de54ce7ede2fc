"""What a figure needs beside it: the machine, the day, the versions, and how busy the machine was."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["facts", "load_average", "one_line"]

LIBRARIES = ("flask", "granian", "msgspec", "psycopg", "requests")


def facts(folder: Path) -> dict[str, Any]:
    """Of now; `folder` is where the stores will be."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": _processor(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release(),
            "filesystem": _filesystem(folder),
        },
        "versions": {
            "oncekv": version("oncekv"),
            "commit": _said("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "wrk": _said("wrk", "--version").partition(" [")[0].removeprefix("wrk "),
            **{name: version(name) for name in LIBRARIES},
        },
        "load_average": {"before": load_average()},
    }


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def one_line(found: dict[str, Any]) -> str:
    """The facts as the table's caption has them."""
    machine, versions = found["machine"], found["versions"]
    names = ("python", "sqlite", "granian", "wrk", "etcd", "postgresql", "psycopg")
    said = ", ".join(f"{name} {versions[name]}" for name in names if versions.get(name))
    load = " → ".join(str(values[0]) for values in found["load_average"].values())
    return (
        f"{found['date'][:10]}, {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']:.0f} GiB,"
        f" {machine['filesystem']}; oncekv {versions['oncekv']} ({versions['commit']}), {said};"
        f" load average {load}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    return _said("stat", "--file-system", "--format=%T", str(folder)) or "unknown"


def _said(*words: str) -> str:
    """The first line of what a command prints; nothing where there is no such command."""
    if shutil.which(words[0]) is None:
        return ""
    done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.partition("\n")[0].strip()
