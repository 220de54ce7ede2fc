"""A scenario of the catalogue, started from the page: measured by the runner in a process of its own, then played.

What is played is read from the evidence that the runner has written, and from nothing else; the live world stands still
meanwhile, and comes back when it is over. Bound: MEASURE_MAX_S for the measurement.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chaos.live.from_evidence import EvidenceUnreadable, Recorded, read_recorded
from chaos.live.options import Options
from chaos.live.sentences import facts
from chaos.runtime.local_server import spawn
from chaos.scenarios import scenarios
from chaos.scenarios.base import Scenario
from chaos.services import services

if TYPE_CHECKING:
    from chaos.live.world import World

__all__ = ["Playback", "playable"]

CLIENTS, CALLS = 3, 10
CALLS_SHOWN = 8
MEASURE_MAX_S = 180.0
END_MAX_S = 60.0
OWNER = "scene"
READ_S = 4.0


def playable(store: str, runtime: str) -> dict[str, Scenario]:
    """The scenarios that can be had there with that store."""
    kv = services()["kv"]
    return {
        name: one for name, one in scenarios().items() if one.runs_on(runtime, store) and kv.can_have(name)
    }  # fmt: skip


class Playback:
    """One scenario against the semantics of the moment."""

    is_whole = False
    """The live world comes back as it was."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self._scenario, self._world = scenario, world
        self._is_ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def words(name: str, world: World) -> list[str]:
        """Of the command that measures it."""
        store = ["--store", world.options.store] if world.options.is_shared else []
        runtime = ["--runtime", world.options.runtime] if world.options.runtime != Options.runtime else []
        effort = ["--clients", str(CLIENTS), "--calls", str(CALLS)]
        return ["run", name, "--semantics", world.semantics, *runtime, *store, *effort]

    def play(self) -> None:
        """Measure, show, and let the live world come back."""
        journal, world = self._world.journal, self._world
        world.set_workload(running=False)
        self._tell("began")
        try:
            recorded = self._measure()
            if recorded is not None:
                journal.mute()
                self._show(recorded)
            self._tell("ended")
        except (EvidenceUnreadable, OSError) as error:
            journal.add("problem", text=str(error))
            self._tell("failed")
        finally:
            if journal.is_muted:
                journal.unmute()
                world.announce()

    def end(self) -> None:
        """As soon as it can."""
        self._is_ended.set()
        self._world.pace.cancel_of(OWNER)
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def _measure(self) -> Recorded | None:
        """Raises EvidenceUnreadable; None when it was ended."""
        world = self._world
        out = world.folder / f"scenario-{world.journal.last}"
        words = [sys.executable, "-m", "chaos", *self.words(self._scenario.name, world), "--out", str(out)]
        with (world.folder / "scenario.log").open("ab") as log:
            self._process = spawn(words, log.fileno(), {}, death=signal.SIGTERM)
        try:
            _, _ = self._process.communicate(timeout=MEASURE_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=END_MAX_S)
        if self._is_ended.is_set():
            return None
        cells = [cell.parent for cell in out.glob("*/cell.json")]
        if not cells:
            raise EvidenceUnreadable(f"{self._scenario.name} could not be measured; see {world.folder}/scenario.log")
        return read_recorded(cells[0], CALLS_SHOWN)

    def _show(self, recorded: Recorded) -> None:
        journal, pace = self._world.journal, self._world.pace
        at_ms = 0.0
        for number, event in enumerate(recorded.events):
            if not pace.wait((event["t"] - at_ms) / 1000, "what comes next in the recording", OWNER):
                return
            at_ms = event["t"]
            journal.take({**event, "t": journal.now_ms(), **self._as_live(event)})
            if number == 0:
                self._tell("step", recorded.teaches)
                pace.read(READ_S * self._world.options.reading, "the recording begins", OWNER)
        self._say(recorded.summary)

    def _as_live(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What a page must know of a recording that is played in the midst of a live run."""
        if event["type"] == "world":
            about = self._world.about
            return {
                "run": self._world.journal.run,
                "opened": False,
                "scenes": about["scenes"],
                "version": about["version"],
            }
        return {"travel_ms": event["travel_ms"]} if event["type"] == "message" else {}

    def _say(self, text: str) -> None:
        journal = self._world.journal
        journal.take({"t": journal.now_ms(), "type": "step", **facts(text)})
        self._world.pace.read(READ_S * self._world.options.reading, "the end of the recording", OWNER)

    def _tell(self, state: str, sentence: str = "") -> None:
        teaches = " ".join(self._scenario.teaches.split())
        self._world.journal.add(
            "scene", id=f"scenario:{self._scenario.name}", state=state, title=self._scenario.name,
            sentence=sentence or teaches, number=int(state != "began"), of=1,
        )  # fmt: skip
