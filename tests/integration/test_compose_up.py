"""`docker compose up` as a person uses it: healthy, visible, hardened, and safe to send again after a kill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest
import requests

from chaos.runtime.docker import docker
from tests.support.caller import request
from tests.support.engine import ROOT, assert_hardened, is_healthy, need_images
from tests.support.waiting import until

PROJECT = f"oncekv-test-{os.getpid()}"
ENVIRONMENT = {
    "ONCEKV_LIVE_PORT": "28300",
    "COMPOSE_PROJECT_NAME": PROJECT,
    "ONCEKV_ADMIN_PORT": "28474",
    "ONCEKV_LINK_PORTS": "21001-21003",
}
LINK = "http://127.0.0.1:21001"


def _compose(*words: str) -> str:
    return docker("compose", *words, environment=ENVIRONMENT, timeout_s=240)


@pytest.fixture(scope="module")
def up() -> Iterator[list[str]]:
    """All of compose.yaml, in a project of its own; the names of its containers."""
    need_images()
    try:
        _compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180")
        yield _compose("ps", "--format", "{{.Name}}").split()
    finally:
        _compose("down", "--volumes", "--timeout", "2")


def _append(key: str) -> tuple[dict[str, str], dict[str, object]]:
    """The README's curl, as curl sends it: headers and result."""
    body = json.dumps(request("kv.append", {"key": "log", "value": "x"}, id=1))
    headers = ("-H", "Content-Type: application/json", "-H", f"Idempotency-Key: {key}")
    command = ["curl", "--silent", "--include", "--max-time", "5", *headers, "--data", body, f"{LINK}/rpc"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    head, _, reply = done.stdout.replace("\r\n", "\n").partition("\n\n")
    found = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
    result: dict[str, object] = json.loads(reply)["result"]
    return found, result


def test_compose_yaml_is_valid() -> None:
    """Docker Compose accepts the file."""
    need_images()
    assert _compose("config", "--quiet") == ""


def test_every_service_is_up_and_the_clients_call(up: list[str]) -> None:
    """Three stores, Toxiproxy, two clients, the live page; whoever follows the logs sees calls and their outcomes."""
    assert {name.removeprefix(f"{PROJECT}-") for name in up} == {
        "kv-1-1", "kv-2-1", "kv-3-1", "toxiproxy-1", "c1-1", "c2-1", "live-1",
    }  # fmt: skip
    until(lambda: ": ok, " in _compose("logs", "c1"), what="a call of c1")
    until(lambda: ": ok, " in _compose("logs", "c2"), what="a call of c2")


def test_the_live_page_shows_calls_and_answers_to_the_loopback_alone(up: list[str]) -> None:
    """Whatever port it is published at; another name that leads to it is refused."""
    page = "http://127.0.0.1:28300"
    assert "<svg" in requests.get(page, timeout=10).text
    assert requests.get(page, headers={"Host": "rebound.example"}, timeout=10).status_code == 421
    until(lambda: '"told":"ok"' in requests.get(f"{page}/journal", timeout=10).text, what="a call")


def test_no_service_runs_as_root_or_can_become_it(up: list[str]) -> None:
    """Non-root, read-only, without capabilities or new privileges; what is published stands on 127.0.0.1."""
    for name in up:
        assert_hardened(name)


def test_a_killed_server_answers_the_same_key_with_the_replay(up: list[str]) -> None:
    """SIGKILL to the container, start it again, send the same call again: the first reply, once in the store."""
    container = f"{PROJECT}-kv-1-1"
    headers, first = _append("order-17")
    assert "idempotent-replayed" not in headers
    docker("kill", "--signal", "KILL", container)
    docker("start", container)
    until(lambda: is_healthy(container), what="health")
    headers, again = _append("order-17")
    assert headers["idempotent-replayed"] == "true"
    assert again == {**first, "_meta": {"replayed": True}}


def test_a_second_up_is_harmless(up: list[str]) -> None:
    """Everything stays as it runs."""
    before = [docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name) for name in up]
    _compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "60")
    assert before == [docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name) for name in up]


def _script(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    everything = {**os.environ, **ENVIRONMENT, "COMPOSE_PROJECT_NAME": f"{PROJECT}-wrong", **environment}
    return subprocess.run(
        [f"scripts/{name}"], cwd=ROOT, env=everything, capture_output=True, text=True, timeout=240, check=False
    )


def test_a_taken_port_is_one_line_and_leaves_nothing_running() -> None:
    """The line names the port and the way out; no container of the project is left."""
    need_images()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _script(
            "compose-up", ONCEKV_ADMIN_PORT=str(port), ONCEKV_LINK_PORTS="28001-28003", ONCEKV_LIVE_PORT="28301"
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(port) in line
    assert "ONCEKV_ADMIN_PORT" in line
    label = f"label=com.docker.compose.project={PROJECT}-wrong"
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
    _script("clean-containers")


def test_no_engine_is_one_line() -> None:
    """Where no engine answers, the line says how to get one."""
    done = _script("compose-up", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "scripts/docker-up" in line


def test_the_image_is_small() -> None:
    """Under 250 MB, the base included."""
    need_images()
    assert int(docker("image", "inspect", "--format", "{{.Size}}", "oncekv:dev")) < 250e6


def test_the_makefile_goes_the_same_way() -> None:
    """`make up`, `down` and `clean` are the scripts that these tests stand for."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for script in ("scripts/images", "scripts/compose-up", "scripts/clean-containers"):
        assert script in text
        assert os.access(ROOT / script, os.X_OK)
