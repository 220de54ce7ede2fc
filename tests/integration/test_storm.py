"""A storm: sixteen clients that retry over flapping links, while the server is killed again and again."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import requests

from chaos.judge import Call, Judgement, judge
from chaos.links import Link
from chaos.runtime import open_runtime
from chaos.runtime.base import Server
from chaos.workload import Plan, Workload
from chaos.world import World
from oncekv.client import History
from tests.support.seed import SEED

CLIENTS = 16
KILLS = 20
FINISH_MAX_S = 60.0


def _flap(links: Sequence[Link], rng: random.Random, stop: threading.Event) -> None:
    """Silence a few links for a moment, in one direction or the other, until told to stop."""
    while not stop.wait(rng.uniform(0.02, 0.1)):
        broken = rng.sample(links, 4)
        for link in broken:
            link.add("timeout", rng.choice(["upstream", "downstream"]), timeout=0)
        stop.wait(rng.uniform(0.02, 0.2))
        for link in broken:
            link.heal()


@contextlib.contextmanager
def _flapping(links: Sequence[Link], rng: random.Random) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=_flap, args=(links, rng, stop), name="flap")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _kill_at_random(server: Server, rng: random.Random) -> None:
    """SIGKILL at a random moment of a life, many times; in the end it lives."""
    for _ in range(KILLS):
        end_s = time.monotonic() + rng.uniform(0.02, 0.5)
        while time.monotonic() < end_s:
            # Not a bare wait: load of another kind, so that the moment of the kill is one of work.
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{server.url}/metrics", timeout=1)
        server.kill()
        server.restart()


def _weather(semantics: str, folder: Path) -> tuple[Judgement, list[Call], int]:
    """The storm from a healthy start to the judged end: the verdict, the calls, and the server's start count."""
    rng = random.Random(f"{SEED}/{semantics}")
    with contextlib.ExitStack() as stack:
        runtime = stack.enter_context(contextlib.closing(open_runtime("local", folder)))
        server = runtime.server(folder / "data", "persisted")
        stack.callback(server.kill)
        links = [runtime.link(f"storm-c{number}", server) for number in range(CLIENTS)]
        world = World(server, links, [], threading.Event())
        stack.callback(world.close)
        history = stack.enter_context(History(folder / "history.jsonl"))
        plan = Plan(semantics, CLIENTS, 100_000, 0.5, 20.0, f"{SEED}/storm")
        workload = Workload(plan, [[link.url] for link in links], folder, history)
        stack.callback(workload.abandon)
        world.check_healthy()
        workload.start()
        with _flapping(links, rng):
            _kill_at_random(server, rng)
        _finish(workload, world)
        rows = world.rows()
        calls = [told.judged(rows) for told in workload.told]
        return judge(semantics, calls), calls, world.ask("server.info")["boot"]


def _finish(workload: Workload, world: World) -> None:
    workload.stop()
    world.wait_until(lambda: not workload.running(), FINISH_MAX_S, "all clients have finished")
    assert workload.failure is None, workload.failure
    world.wait_quiet()


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(semantics: str, tmp_path: Path) -> None:
    """Every acknowledged call is in the store once, none twice, none lost, every offset right."""
    judgement, calls, boot = _weather(semantics, tmp_path)
    assert judgement.kept, judgement.violations
    assert judgement.effects["2+"] == 0
    assert judgement.told["ok"] >= KILLS * CLIENTS / 2, "hardly a call got through: not much of a storm"
    assert max(call.attempts for call in calls) > 1, "no call was retried: not much of a storm"
    assert boot == KILLS + 1
