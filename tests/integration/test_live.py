"""The live page's world, without a browser: real clients, links and servers, broken by the actions of the page."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chaos.live.options import SEMANTICS
from chaos.live.scenes import tour
from tests.support.live import LiveProcess
from tests.support.live_run import LiveRun
from tests.support.postgres import skip_without
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("live")  # one world for all of them

ROOT = Path(__file__).resolve().parents[2]
SCENES = [scene.id for scene in tour(is_shared=False)]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProcess]:
    """Messages travel for a fifth of a second, and sentences are read at once."""
    with LiveProcess(tmp_path_factory.mktemp("live"), "--travel-ms", "200", "--reading", "0.02") as live:
        yield live


@pytest.fixture
def run(live: LiveProcess) -> Iterator[LiveRun]:
    """The page's view of it."""
    with contextlib.closing(LiveRun(live)) as run:
        yield run


def _lose(run: LiveRun, call: str, kind: str) -> None:
    message = run.message(call, kind)
    run.do("lose", message=message["id"])
    assert run.end_of(message) == "lost"


def _call_and_lose(run: LiveRun, kind: str) -> str:
    """In slow motion, for on a busy machine a message may have arrived before it is asked for; the call."""
    run.do("pace", mode="slow")
    call = run.call()
    _lose(run, call, kind)
    run.do("pace", mode="run")
    return call


def test_a_lost_reply_is_replayed_under_at_most_once(run: LiveRun) -> None:
    """Its record is hit by the retry; one effect, and the caller knows it."""
    run.begin("at-most-once")
    call = _call_and_lose(run, "reply")
    told = run.told(call)
    assert (told["told"], told["replayed"], told["attempts"]) == ("ok", True, 2)
    assert run.message(call, "reply", 2)["replayed"]
    rows = [event["change"] for event in run.events() if event["type"] == "record" and event["call"] == call]
    assert rows == ["added", "hit"]
    run.totals(done=1, effects=1, doubled=0)


def test_a_lost_reply_doubles_the_effect_under_at_least_once(run: LiveRun) -> None:
    """The caller is told ok, once; the store holds two effects."""
    run.begin("at-least-once")
    call = _call_and_lose(run, "reply")
    assert run.told(call)["told"] == "ok"
    run.totals(done=1, effects=2, doubled=1)


def test_a_lost_request_and_a_lost_reply_are_told_alike_under_maybe(run: LiveRun) -> None:
    """Unknown, both; and the store knows the difference."""
    run.begin("maybe")
    told = []
    for kind in ("request", "reply"):
        call = _call_and_lose(run, kind)
        told.append({name: run.told(call)[name] for name in ("told", "attempts", "error")})
    assert told[0] == told[1]
    assert told[0]["told"] == "unknown"
    run.totals(done=0, effects=1, unknown=2)


@pytest.mark.parametrize(
    ("state", "kind", "effects"), [("cut-up", "request", 0), ("cut-down", "reply", 1), ("cut", "request", 0)]
)
def test_a_cut_link_swallows_messages_one_way_or_both(run: LiveRun, state: str, kind: str, effects: int) -> None:
    """Seen from both of its ends: what went in did not come out; mended, the call comes through."""
    began = run.begin("exactly-once")
    run.do("link", link="c0", state=state)
    call = run.call()
    blocked = run.come(began, lambda event: event["type"] == "message-end" and event["end"] == "blocked")
    assert blocked["id"] == run.message(call, kind)["id"]
    assert blocked["by"] == "link"
    run.come(began, lambda event: event["type"] == "message" and event["attempt"] == 2)
    assert all(event["effects"] == effects for event in run.events(began) if event["type"] == "totals" and effects == 0)
    before = run.do("link", link="c0", state="open")
    assert run.told(call)["told"] == "ok"
    counts = run.come(before, lambda event: event["type"] == "link" and event["counts"]["down_out"] == 1)["counts"]
    way = "up" if kind == "request" else "down"
    assert counts[f"{way}_in"] > counts[f"{way}_out"]
    run.totals(done=1, effects=1)


def test_a_slow_link_is_late_and_loses_nothing(run: LiveRun) -> None:
    """Both ways."""
    run.begin("at-most-once")
    run.do("link", link="c0", state="slow")
    call = run.call()
    assert run.told(call)["told"] == "ok"
    request, reply = run.message(call, "request"), run.message(call, "reply")
    assert reply["t"] - request["t"] > 200 + 300
    run.totals(done=1, effects=1)


def test_a_killed_server_refuses_and_a_restarted_one_answers(run: LiveRun) -> None:
    """The call goes on until it is back."""
    began = run.begin("exactly-once")
    run.do("server", server="s0", do="kill")
    call = run.call()
    refused = run.come(began, lambda event: event["type"] == "message-end" and event["end"] == "refused")
    assert refused["by"] == "server"
    before = run.do("server", server="s0", do="restart")
    assert run.told(call)["told"] == "ok"
    states = [event["state"] for event in run.events(before) if event["type"] == "server"]
    assert list(dict.fromkeys(states)) == ["starting", "up"]
    run.totals(done=1, effects=1, doubled=0)


def test_a_paused_server_answers_late_and_once(run: LiveRun) -> None:
    """What it had received it runs when it goes on, and the retry is answered from its record."""
    began = run.begin("at-most-once")
    run.do("server", server="s0", do="pause")
    call = run.call()
    run.come(began, lambda event: event["type"] == "message" and event["attempt"] == 2)
    run.do("server", server="s0", do="resume")
    assert run.told(call)["told"] == "ok"
    run.totals(done=1, effects=1, doubled=0)


def test_a_lost_disk_takes_effects_and_records_with_it(run: LiveRun) -> None:
    """Done, and not there."""
    began = run.begin("at-most-once")
    call = run.call()
    assert run.told(call)["told"] == "ok"
    run.come(began, lambda event: event["type"] == "record" and event["change"] == "added")
    run.do("server", server="s0", do="lose-disk")
    gone = run.come(began, lambda event: event["type"] == "record" and event["change"] == "gone")
    assert gone["why"] == "lost with the disk"
    run.totals(done=1, effects=0, lost=1)


@pytest.mark.parametrize(("semantics", "effects"), [("at-least-once", 2), ("at-most-once", 1)])
def test_a_late_copy_runs_again_unless_it_is_remembered(run: LiveRun, semantics: str, effects: int) -> None:
    """An old request, out of the network."""
    began = run.begin(semantics)
    call = run.call()
    assert run.told(call)["told"] == "ok"
    run.do("late-copy", message=run.message(call, "request")["id"])
    copy = run.come(began, lambda event: event["type"] == "message" and event["kind"] == "reply" and event["copy"])
    assert copy["replayed"] == (effects == 1)
    assert run.end_of(copy) == "arrived"
    run.totals(done=1, effects=effects)


def test_step_by_step_one_thing_moves_and_is_told(run: LiveRun) -> None:
    """Nothing moves between two steps, not even patience; each step says what each side knows."""
    began = run.begin("at-most-once")
    run.do("pace", mode="step")
    call = run.call()
    run.come(began, lambda event: event["type"] == "pace" and bool(event["waiting"] and event["waiting"]["message"]))
    request = run.message(call, "request")
    threading.Event().wait(1.5)  # longer than its client would wait
    assert not [event for event in run.events(began) if event["type"] == "message-end"]
    run.do("step")
    assert run.end_of(request) == "arrived"
    reply = run.message(call, "reply")
    assert not [
        event for event in run.events(began) if event.get("id") == reply["id"] and event["type"] == "message-end"
    ]
    step = run.come(began, lambda event: event["type"] == "step")
    assert step["text"] == f"The request of {call}, attempt 1 has arrived; the server answers: ok."
    assert step["client_knows"] == "The client still waits; it knows nothing yet."
    run.do("step")
    assert run.told(call)["told"] == "ok"
    refused = run.post("step")
    assert refused.status_code == 409
    assert "nothing is on its way" in refused.json()["error"]


def test_a_message_that_was_lost_in_step_mode_ends_a_clients_patience_by_a_step(run: LiveRun) -> None:
    """And the next one sends again."""
    began = run.begin("at-most-once")
    run.do("pace", mode="step")
    call = run.call()
    _lose(run, call, "request")
    texts = []
    for _ in range(2):
        run.do("step")
        texts.append([event for event in run.events(began) if event["type"] == "step"][-1]["text"])
    assert texts[0] == f"C0 gives up waiting for a reply to attempt 1 of {call}."
    assert texts[1] == f"C0 sends again: attempt 2 of {call} sets out."
    run.do("pace", mode="run")
    assert run.told(call)["told"] == "ok"


def test_in_a_pause_nothing_moves_and_nobody_loses_patience(run: LiveRun) -> None:
    """Then it goes on as if nothing had been."""
    began = run.begin("maybe")
    run.do("pace", mode="pause")
    call = run.call()
    threading.Event().wait(1.5)
    assert not [event for event in run.events(began) if event["type"] == "message-end"]
    run.do("pace", mode="run")
    assert run.told(call)["told"] == "ok"


@pytest.mark.parametrize("scene", SCENES)
def test_each_scene_of_the_tour_comes_to_its_end(run: LiveRun, scene: str) -> None:
    """Its claims are measured by itself; here once more, and that what it did is listed with its commands."""
    began = run.begin("at-least-once")
    run.do("scene", id=scene)
    last = run.come(began, lambda event: event["type"] == "scene" and event["state"] in ("ended", "failed"))
    events = run.events(began)
    assert last["state"] == "ended", [event["text"] for event in events if event["type"] == "problem"]
    assert last["number"] == last["of"] == sum(event["type"] == "step" for event in events)
    assert any(event["type"] == "action" and event["by"] == "scene" and "curl" in event["command"] for event in events)
    losers = {event["by"] for event in events if event["type"] == "message-end" and event["end"] == "lost"}
    assert losers <= {"scene", "reset", "client"}, "nobody else did it"
    sums = [event for event in events if event["type"] == "totals"][-1]
    expected = {
        "nothing-comes-back": {"done": 0, "effects": 1, "unknown": 2},
        "send-it-again": {"done": 2, "effects": 3, "doubled": 1},
        "remember": {"done": 1, "effects": 1, "doubled": 0},
        "forget-safely": {"done": 2, "effects": 2, "doubled": 0},
        "crash": {"done": 1, "effects": 1, "doubled": 0},
        "never-comes-back": {"done": 2, "effects": 1, "lost": 1},
    }[scene]
    assert {name: sums[name] for name in expected} == expected
    if scene in ("remember", "crash"):
        assert [event for event in events if event["type"] == "message" and event.get("replayed")]


def test_a_scene_can_be_ended_and_another_begun(run: LiveRun) -> None:
    """Only one at a time: the other takes its place; what is there afterwards is healthy."""
    began = run.begin("at-least-once")
    run.do("pace", mode="step")
    run.do("scene", id="crash")
    run.come(began, lambda event: event["type"] == "scene" and event["state"] == "step")
    run.do("scene", id="remember")
    ended = run.come(began, lambda event: event["type"] == "scene" and event["state"] == "ended")
    assert ended["id"] == "crash"
    run.come(ended["n"], lambda event: event["type"] == "scene" and event["id"] == "remember")
    run.do("end-scene")
    run.come(ended["n"], lambda event: event["type"] == "scene" and event["state"] == "ended")
    run.do("pace", mode="run")
    assert run.told(run.call())["told"] == "ok"
    assert run.post("scene", id="no-such").status_code == 404


def test_a_scenario_of_the_catalogue_is_measured_and_played(run: LiveRun) -> None:
    """In a world of its own, from its evidence; then the live world comes back."""
    began = run.begin("at-least-once")
    run.do("pace", mode="run", travel_ms=200)
    run.do("scene", id="scenario:lost-reply")
    world = run.come(began, lambda event: event["type"] == "world", 120)
    assert world["played"] == "lost-reply × at-least-once"
    assert run.post("call", client="c0").status_code == 409
    run.do("end-scene")
    back = run.come(world["n"], lambda event: event["type"] == "world")
    assert "played" not in back
    told = [event for event in run.events(began) if event["type"] == "action" and "scenario" in event["text"]]
    assert told[0]["command"].startswith("python -m chaos run lost-reply --semantics at-least-once")
    assert run.told(run.call())["told"] == "ok"


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_clients_call_by_themselves_under_every_semantics(run: LiveRun, semantics: str) -> None:
    """In a healthy world each call is done once."""
    began = run.begin(semantics)
    run.do("workload", state="running", rate=5)
    run.come(began, lambda event: event["type"] == "totals" and event["done"] >= 6)
    run.do("workload", state="stopped", rate=0.5)
    sums = [event for event in run.events(began) if event["type"] == "totals"]
    assert all(event["doubled"] == event["lost"] == event["unknown"] == 0 for event in sums)


def test_the_command_of_an_action_does_the_same(run: LiveRun) -> None:
    """As it is listed, in a shell."""
    began = run.begin("maybe")
    run.do("semantics", semantics="at-most-once")
    action = run.come(began, lambda event: event["type"] == "action" and "are at-most-once" in event["text"])
    run.do("semantics", semantics="maybe")
    before = run.last
    done = subprocess.run(
        ["bash", "-c", action["command"]], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert json.loads(done.stdout) == {"ok": True}
    assert run.come(before, lambda event: event["type"] == "semantics")["semantics"] == "at-most-once"


def test_strange_requests_do_it_no_harm(run: LiveRun) -> None:
    """Whatever is sent to its port, it answers the next one."""
    port = run.live.port
    heads = (
        b"GET / HTTP/9.9",
        b"POST /actions HTTP/1.1\r\nContent-Length: 9999999",
        b"GET /%b HTTP/1.1" % (b"x" * 100_000),
    )
    for data in (b"\x00\xff" * 500, *(head + b"\r\n\r\n" for head in heads), b""):
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(data)
    streams = [requests.get(f"{run.live.origin}/events", stream=True, timeout=10) for _ in range(5)]
    for stream in streams:
        stream.close()
    assert run.told(run.call())["told"] == "ok"


def _live(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", "live", "--out", str(folder), *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_a_busy_port_is_said_in_a_line(run: LiveRun, tmp_path: Path) -> None:
    """With the way out, and nothing is started."""
    done = _live(tmp_path / "out", "--port", str(run.live.port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"live: port {run.live.port} cannot be had (Address already in use);"
        " choose another: --port 0 takes a free one\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clients", "0"], "1 to 6"), (["--servers", "2"], "with --store postgres or etcd"),
        (["--runtime", "compose", "--store", "etcd"], "local processes alone"),
        (["--travel-ms", "-1"], "0 to 10000"), (["--port", "0", "--open", "/no/such/file"], "No such file"),
        (["--port", "0", "--open", str(ROOT / "README.md")], "no saved run"), (["--port", "99999"], "0 to 65535"),
    ],
)  # fmt: skip
def test_wrong_words_are_said_in_a_line(tmp_path: Path, words: list[str], said: str) -> None:
    """And the exit code is that of wrong usage."""
    done = _live(tmp_path / "out", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_docker_it_says_how_to_get_it(tmp_path: Path) -> None:
    """In a line, as `run` does."""
    done = _live(tmp_path / "out", "--port", "0", "--runtime", "compose", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        69, "live: there is no docker command; scripts/docker-up installs an engine\n",
    )  # fmt: skip


def test_without_toxiproxy_it_says_how_to_get_it(tmp_path: Path) -> None:
    """The runtime cannot be had; nothing is left running."""
    program = (
        "import sys, chaos.runtime.toxiproxy as t, chaos.__main__ as m\n"
        "def missing(*_): raise t.ToxiproxyMissing('Toxiproxy is missing: get it so')\n"
        "t.provision = missing\n"
        "sys.exit(m.main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", program, "live", "--port", "0", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stderr) == (69, "live: Toxiproxy is missing: get it so\n")


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    """With messages on their way and a server that is paused: nothing is left, and what happened is in the file."""
    process = LiveProcess(tmp_path, "--rate", "5")
    process.start()
    run = LiveRun(process)
    run.do("server", server="s0", do="pause")
    run.come(0, lambda event: event["type"] == "message")
    run.close()
    assert process._process is not None
    children = _children(process._process.pid)
    assert len(children) >= 2
    process._process.send_signal(number)
    assert process._process.wait(30) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), what="the end of its processes")
    folder = tmp_path / "out-1"
    assert not (folder / "token").exists()
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["type"] == "world"
    assert json.loads(lines[-1])["n"] == len(lines)
    process._process = None


def test_a_saved_run_is_opened_and_nothing_can_be_done_in_it(run: LiveRun, tmp_path: Path) -> None:
    """The same events; actions are refused in words."""
    run.begin("at-most-once")
    assert run.told(run.call())["told"] == "ok"
    saved = tmp_path / "saved.jsonl"
    saved.write_bytes(requests.get(f"{run.live.origin}/journal", timeout=30).content)
    process = LiveProcess(tmp_path, "--open", str(saved))
    process.start()
    try:
        opened = LiveRun(process)
        events = opened.events()
        assert events[0]["opened"] is True
        assert [event["type"] for event in events] == [
            json.loads(line)["type"] for line in saved.read_text().splitlines()
        ]
        refused = opened.post("step")
        assert refused.status_code == 409
        assert "opened file" in refused.json()["error"]
        opened.close()
    finally:
        process.stop()


def test_on_a_shared_store_another_server_goes_on(tmp_path: Path) -> None:
    """Two servers on one PostgreSQL: one dies for good after its commit, and the other answers from the record."""
    skip_without()
    process = LiveProcess(tmp_path, "--store", "postgres", "--travel-ms", "200", "--reading", "0.02")
    process.start()
    try:
        run = LiveRun(process)
        for scene, last_server in (("crash", "s0"), ("never-comes-back", "s1")):
            began = run.begin("at-most-once") if scene == "crash" else run.do("workload", state="stopped")
            run.do("scene", id=scene)
            last = run.come(began, lambda event: event["type"] == "scene" and event["state"] in ("ended", "failed"))
            assert last["state"] == "ended", [event for event in run.events(began) if event["type"] == "problem"]
            replays = [event for event in run.events(began) if event["type"] == "message" and event.get("replayed")]
            assert replays[-1]["server"] == last_server
        run.close()
    finally:
        process.stop()


def test_whether_clients_call_by_themselves_is_told(run: LiveRun) -> None:
    """The page's button says what it would do."""
    run.begin("at-most-once")
    for state in ("running", "stopped"):
        before = run.do("workload", state=state)
        assert run.come(before - 5, lambda event: event["type"] == "workload")["state"] in ("running", "stopped")
        assert [event["state"] for event in run.events() if event["type"] == "workload"][-1] == state
