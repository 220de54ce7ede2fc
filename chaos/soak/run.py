"""One soak, from a healthy start to its evidence: whatever goes wrong, nothing is left running and what was seen is
written.

    out/soak/soak.json        what was asked for, tallies by semantics, why it ended early if so
    out/soak/samples.jsonl    `sampler.Sample`, one a line, as they come
    out/soak/faults.jsonl     `nemesis.FaultRecord`, likewise
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

import oncekv.client as oncekv
from chaos.evidence import read_lines
from chaos.soak.lane import Lane, Tally
from chaos.soak.nemesis import FaultRecord, Nemesis
from chaos.soak.sampler import Sample, Sampler
from chaos.soak.world import World
from oncekv.client import Client, RetryPolicy, Semantics

__all__ = ["FAULT_FILE", "SAMPLE_FILE", "SUMMARY", "Soak", "SoakRecord", "read"]

SUMMARY, SAMPLE_FILE, FAULT_FILE = "soak.json", "samples.jsonl", "faults.jsonl"
SEMANTICS = tuple(semantics.value for semantics in Semantics)
CLIENTS_EACH = 2
ATTEMPT_MAX_S = 1.0
CALL_MAX_S = 60.0
COUNT_MAX_S = 600.0
CALM_S = 3.0
"""Before the last count: what was held back arrives."""
SAMPLES_MAX = 720
CLOSE_MAX_S = 90.0


class SoakRecord(Struct):
    """What was asked for, and what came out. problems: that it could not be measured to its end."""

    began: str
    minutes: float
    seed: int
    store: str
    rate: float
    pause_s: float
    ran_s: float = 0.0
    tallies: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    beside: str = ""
    """What else the machine did meanwhile, in the words of whoever ran it."""


class Soak:
    """`run` once."""

    def __init__(self, world: World, record: SoakRecord, folder: Path, say: Callable[[str], None]) -> None:
        self._world, self._record, self._folder, self._say = world, record, folder, say
        self._sampler = Sampler(world)
        self._stop = threading.Event()
        self._lanes: list[Lane] = []
        rng = random.Random(f"{record.seed}/nemesis")
        self._nemesis = Nemesis(world, rng, record.pause_s, lambda: self._sampler.unanswered, self._struck)
        self._failures: list[str] = []

    @staticmethod
    def clients() -> int:
        """How many clients, and so pairs of links, it has."""
        return len(SEMANTICS) * CLIENTS_EACH

    def run(self, interrupted: threading.Event) -> None:
        """The load and the faults, for as long as the record says or until interrupted."""
        began_s = time.monotonic()
        end_s = began_s + self._record.minutes * 60
        with contextlib.ExitStack() as stack:
            direct = stack.enter_context(
                _client("at-most-once", [it.url for it in self._world.servers], 10 * CALL_MAX_S)
            )
            threads = [threading.Thread(target=self._break, name="nemesis", daemon=True)]
            for number in range(self.clients()):
                lane = self._lane(number, direct)
                client = stack.enter_context(self._open(number, lane.semantics))
                threads.append(threading.Thread(target=self._live, args=(lane, client), name=lane.name, daemon=True))
            for thread in threads:
                thread.start()
            self._watch(end_s, interrupted)
            self._stop.set()
            for thread in threads:
                thread.join(CLOSE_MAX_S)
            self._failures += [f"{thread.name} does not end" for thread in threads if thread.is_alive()]
            if self._nemesis.failure:
                self._failures.append(f"the nemesis failed: {self._nemesis.failure!r}")
            time.sleep(CALM_S)
            self._count()
        self._record.ran_s = round(time.monotonic() - began_s, 1)
        self._record.problems = self._failures

    def write_record(self) -> None:
        """What there is of it so far."""
        (self._folder / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(self._record), indent=1) + b"\n")

    def _watch(self, end_s: float, interrupted: threading.Event) -> None:
        every_s = max(0.5, self._record.minutes * 60 / SAMPLES_MAX)
        told_s = time.monotonic()
        while time.monotonic() < end_s and not self._stop.is_set():
            if interrupted.wait(every_s):
                self._failures.append("interrupted")
                return
            sample = self._sampler.sample()
            self._write(SAMPLE_FILE, sample)
            if time.monotonic() - told_s > 60:
                told_s = time.monotonic()
                self._say(_in_words(sample))

    def _count(self) -> None:
        for lane in self._lanes:
            with contextlib.suppress(Exception):
                lane.count()
                continue
            self._failures.append(f"the log of {lane.name} could not be counted")
        for semantics in SEMANTICS:
            tally = Tally()
            for lane in self._lanes:
                if lane.semantics == semantics:
                    tally.add(lane.tally)
            self._record.tallies[semantics] = msgspec.to_builtins(tally)

    def _lane(self, number: int, direct: Client) -> Lane:
        semantics = SEMANTICS[number % len(SEMANTICS)]
        rng = random.Random(f"{self._record.seed}/lane-{number}")
        pause_s = self.clients() / self._record.rate
        lane = Lane(f"c{number}", semantics, rng, pause_s, direct, self._sampler.timed)
        self._lanes.append(lane)
        return lane

    def _open(self, number: int, semantics: str) -> Client:
        links = [link.url for link in self._world.links[number]]
        outbox = self._folder / f"client-{number}.outbox" if semantics == "exactly-once" else None
        return _client(semantics, links if number // len(SEMANTICS) % 2 else links[::-1], CALL_MAX_S, outbox)

    def _live(self, lane: Lane, client: Client) -> None:
        try:
            lane.run(client, self._stop)
        except BaseException as error:
            self._failures.append(f"{lane.name} failed: {error!r}")
            self._stop.set()

    def _break(self) -> None:
        self._nemesis.run(self._stop)

    def _struck(self, fault: FaultRecord) -> None:
        self._write(FAULT_FILE, fault)

    def _write(self, name: str, what: Struct) -> None:
        with (self._folder / name).open("ab") as file:
            file.write(msgspec.json.encode(what) + b"\n")


def read(folder: Path) -> tuple[SoakRecord, list[Sample], list[FaultRecord]]:
    """The evidence. Raises OSError, msgspec.DecodeError."""
    record = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=SoakRecord)
    samples, faults = folder / SAMPLE_FILE, folder / FAULT_FILE
    return (
        record,
        read_lines(samples, Sample) if samples.exists() else [],
        read_lines(faults, FaultRecord) if faults.exists() else [],
    )


def _client(semantics: str, links: list[str], timeout_s: float, outbox: Path | None = None) -> Client:
    return oncekv.connect(
        links,
        semantics=semantics,
        timeout_s=None if outbox else timeout_s,
        retry=RetryPolicy(attempt_timeout_s=ATTEMPT_MAX_S, delay_max_s=0.3),
        outbox=outbox,
        stays_on_good_link=False,
    )


def _in_words(sample: Sample) -> str:
    held = ", ".join("down" if it is None else f"{it.resident_bytes >> 20} MiB" for it in sample.servers)
    return f"{sample.at_s:.0f} s: servers {held}, store {sample.store_bytes >> 20} MiB, median {sample.p50_ms} ms"
