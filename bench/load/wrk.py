"""wrk, the load generator: found, run for a few seconds, and its one line read (lua/load.lua prints it)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bench.process import child

__all__ = ["LUA", "Load", "WrkFailed", "WrkMissing", "find_wrk", "load_of", "read_load", "run_wrk"]

LUA = Path(__file__).parent / "lua"
GRACE_S = 20.0


class WrkMissing(Exception):
    """There is no wrk; the message is one line with the way out."""


class WrkFailed(Exception):
    """wrk ran and gave no figure; the message is one line with what it said."""


class Load(msgspec.Struct, frozen=True):
    """What one run of wrk came to. good: calls answered as they should be. other: answered otherwise, and rightly so
    (a compare that did not hold). bad: replies that are not answers. lost: requests whose connection broke.
    """

    requests: int
    duration_us: int
    good: int
    other: int
    bad: int
    lost: int
    broken: int
    timeouts: int
    p50_us: int
    p99_us: int
    p999_us: int
    max_us: int
    sample: str
    """One of the bad replies."""

    @property
    def per_s(self) -> float:
        """Good calls a second."""
        return self.good * 1e6 / self.duration_us if self.duration_us else 0.0

    @property
    def others_per_s(self) -> float:
        return self.other * 1e6 / self.duration_us if self.duration_us else 0.0

    @property
    def faults(self) -> int:
        """How much went wrong; a figure with faults is shown with them."""
        return self.bad + self.lost + self.broken + self.timeouts


def find_wrk() -> str:
    """The path of wrk. Raises WrkMissing."""
    found = shutil.which("wrk")
    if found is None:
        raise WrkMissing("wrk, the load generator, is missing: apt-get install wrk (or https://github.com/wg/wrk)")
    return found


def run_wrk(url: str, plan: Path, shape: str, *, connections: int, threads: int, seconds: int) -> Load:
    """Load `url` with the shape. Raises WrkMissing or WrkFailed."""
    words = [find_wrk(), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    words += ["-s", str(LUA / "load.lua"), url, "--", str(plan), str(LUA / f"{shape}.lua")]
    with child(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            output, _ = process.communicate(timeout=seconds + GRACE_S)
        except subprocess.TimeoutExpired:
            raise WrkFailed(f"wrk did not end within {GRACE_S:g} s of its time") from None
    return read_load(output.decode(errors="replace"))


def read_load(output: str) -> Load:
    """The figures in what wrk printed. Raises WrkFailed."""
    lines = [line for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("{"):
            try:
                return msgspec.json.decode(line, type=Load)
            except msgspec.MsgspecError as error:
                raise WrkFailed(f"wrk's figures cannot be read: {error}") from None
    raise WrkFailed(f"wrk gave no figures: {lines[-1] if lines else 'it said nothing'}")


def load_of(latencies_us: Iterable[int], seconds: float) -> Load:
    """The figures of a load that had so many answers, all of them good."""
    ordered = sorted(latencies_us)
    count = len(ordered)
    p50_us, p99_us, p999_us = (
        ordered[min(count - 1, int(count * part))] if count else 0 for part in (0.5, 0.99, 0.999)
    )
    return Load(
        requests=count, duration_us=int(seconds * 1e6), good=count, other=0, bad=0, lost=0, broken=0, timeouts=0,
        p50_us=p50_us, p99_us=p99_us, p999_us=p999_us, max_us=ordered[-1] if ordered else 0, sample="",
    )  # fmt: skip
