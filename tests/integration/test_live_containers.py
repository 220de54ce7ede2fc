"""The live page over containers: the same actions, done to a server in a container and to the links before it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.runtime.docker import docker
from tests.support.engine import left_of, need_images
from tests.support.live import REPO, LiveProcess
from tests.support.live_run import Event, LiveRun

WORDS = ("--runtime", "compose", "--travel-ms", "800", "--reading", "0.02")
START_MAX_S = 180  # of an engine that others use too
END_MAX_S = 120


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProcess]:
    """One world for this module, in a Compose project of its own."""
    need_images()
    with LiveProcess(tmp_path_factory.mktemp("live"), *WORDS, start_max_s=START_MAX_S) as live:
        yield live


@pytest.fixture
def run(live: LiveProcess) -> Iterator[LiveRun]:
    """The page's view of it."""
    with contextlib.closing(LiveRun(live)) as run:
        yield run


def _project(live: LiveProcess) -> str:
    assert live.pid is not None
    return f"oncekv-chaos-{live.pid}"


def _state(live: LiveProcess) -> str:
    """Of the server's container, as Docker has it."""
    return docker("inspect", "--format", "{{.State.Status}}", f"{_project(live)}-kv-1-1")


def _is_down(event: Event) -> bool:
    return bool(event["type"] == "server" and event["state"] == "down")


def test_the_page_says_where_it_runs_and_its_command_does_the_same(run: LiveRun) -> None:
    """In its world event, which is what the page shows."""
    began = run.begin("at-least-once")
    (world,) = [event for event in run.events(began - 1) if event["type"] == "world"]
    assert world["runtime"] == "compose"
    assert "--runtime compose" in world["command"]


@pytest.mark.parametrize(("semantics", "effects"), [("at-least-once", 2), ("at-most-once", 1)])
def test_a_lost_reply_doubles_or_is_replayed(run: LiveRun, semantics: str, effects: int) -> None:
    """The message is taken away on this machine, the effects stand in the container."""
    run.begin(semantics)
    call = run.call()
    reply = run.message(call, "reply")
    run.do("lose", message=reply["id"])
    assert run.end_of(reply) == "lost"
    told = run.told(call)
    assert (told["told"], told["replayed"], told["attempts"]) == ("ok", effects == 1, 2)
    run.totals(done=1, effects=effects, doubled=effects - 1)


def test_what_was_committed_outlives_a_killed_container(live: LiveProcess, run: LiveRun) -> None:
    """Its reply is lost, then it is killed; the next life on the same volume answers the retry from the record."""
    began = run.begin("at-most-once")
    call = run.call()
    reply = run.message(call, "reply")
    run.do("lose", message=reply["id"])
    run.do("server", server="s0", do="kill")
    assert _state(live) == "exited"
    refused = run.come(began, lambda event: event["type"] == "message-end" and event["end"] == "refused")
    assert refused["n"] > reply["n"]
    run.do("server", server="s0", do="restart")
    assert _state(live) == "running"
    told = run.told(call)
    assert (told["told"], told["replayed"]) == ("ok", True)
    run.totals(done=1, effects=1, doubled=0)


def test_a_cut_link_swallows_requests_until_it_is_mended(run: LiveRun) -> None:
    """By the Toxiproxy of the project."""
    began = run.begin("at-most-once")
    run.do("link", link="c0", state="cut")
    call = run.call()
    run.come(began, lambda event: event["type"] == "message-end" and event["end"] == "blocked")
    run.do("link", link="c0", state="open")
    assert run.told(call)["told"] == "ok"
    run.totals(done=1, effects=1)


def test_a_paused_container_answers_when_it_goes_on(live: LiveProcess, run: LiveRun) -> None:
    """Its retries too, from the record; and one that is killed while it is paused comes back."""
    began = run.begin("at-most-once")
    run.do("server", server="s0", do="pause")
    assert _state(live) == "paused"
    call = run.call()
    run.come(began, lambda event: event["type"] == "message" and event["attempt"] == 2)
    run.do("server", server="s0", do="resume")
    assert run.told(call)["told"] == "ok"
    run.totals(done=1, effects=1, doubled=0)
    run.do("server", server="s0", do="pause")
    run.do("server", server="s0", do="kill")
    run.do("server", server="s0", do="restart")
    assert run.told(run.call())["told"] == "ok"


@pytest.mark.parametrize("scene", ["crash", "never-comes-back"])
def test_a_scene_comes_to_its_end(run: LiveRun, scene: str) -> None:
    """The first claims what the volume of the dead container holds, the second that a lost one holds nothing."""
    began = run.begin("at-least-once")
    run.do("scene", id=scene)
    last = run.come(began, lambda event: event["type"] == "scene" and event["state"] in ("ended", "failed"), 120)
    assert last["state"] == "ended", [event["text"] for event in run.events(began) if event["type"] == "problem"]
    assert any(_is_down(event) for event in run.events(began))


def test_without_its_images_it_says_how_to_build_them(tmp_path: Path) -> None:
    """In a line; what it had started is taken away."""
    need_images()
    command = [sys.executable, "-m", "chaos", "live", "--runtime", "compose", "--port", "0", "--out", str(tmp_path)]
    environment = {**os.environ, "ONCEKV_IMAGE": "oncekv-of-nobody:dev"}
    with subprocess.Popen(command, cwd=REPO, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _, said = process.communicate(timeout=END_MAX_S)
    assert process.returncode == 69
    assert said.count("\n") == 1
    assert "`make images`" in said
    assert left_of(f"oncekv-chaos-{process.pid}") == []


def test_ctrl_c_leaves_no_container(tmp_path: Path) -> None:
    """With messages on their way and a paused server: no container, network or volume of it is left."""
    need_images()
    process = LiveProcess(tmp_path, *WORDS, "--rate", "5", start_max_s=START_MAX_S)
    process.start()
    project = _project(process)
    assert left_of(project)
    run = LiveRun(process)
    run.do("server", server="s0", do="pause")
    run.come(0, lambda event: event["type"] == "message")
    run.close()
    assert process.end(signal.SIGINT, END_MAX_S) == 0
    assert left_of(project) == []
