"""`oncekv top` and `oncekv completion`, against real servers and a real shell."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator

import pytest
import requests

from oncekv.cli import main
from oncekv.terminal.figures import figures, look
from tests.support.server import Node, oncekv
from tests.support.waiting import in_background

BEFORE = """\
# TYPE oncekv_attempts_total counter
oncekv_attempts_total{method="kv.put"} 100.0
oncekv_commit_groups_total 50.0
oncekv_commit_group_calls_sum 90.0
oncekv_request_seconds_bucket{le="0.001"} 10.0
oncekv_request_seconds_bucket{le="0.002"} 10.0
oncekv_request_seconds_bucket{le="+Inf"} 10.0
oncekv_sessions 3.0
"""
AFTER = """\
# TYPE oncekv_attempts_total counter
oncekv_attempts_total{method="kv.put"} 120.0
oncekv_attempts_total{method="kv.get"} 6.0
oncekv_commit_groups_total 54.0
oncekv_commit_group_calls_sum 110.0
oncekv_request_seconds_bucket{le="0.001"} 10.0
oncekv_request_seconds_bucket{le="0.002"} 109.0
oncekv_request_seconds_bucket{le="+Inf"} 110.0
oncekv_sessions 4.0
"""


def test_rates_and_quantiles_are_of_what_happened_in_between() -> None:
    """Counters by their growth a second, a group's calls by its mean, quantiles linear within a bucket."""
    found = figures(look(BEFORE, 10.0), look(AFTER, 12.0))
    assert (found.calls_per_s, found.methods) == (13.0, {"kv.put": 10.0, "kv.get": 3.0})
    assert (found.calls_per_commit, found.sessions, found.records) == (5.0, 4, None)
    assert found.p50_ms == pytest.approx(1 + 50 / 99)
    assert found.p99_ms == pytest.approx(2.0)


def test_a_server_that_began_anew_counts_from_nothing() -> None:
    """A counter that has become smaller is no negative rate: all of it happened since."""
    found = figures(look(AFTER, 10.0), look(BEFORE, 12.0))
    assert found.methods == {"kv.put": 50.0}
    assert found.p50_ms == pytest.approx(0.5)


@pytest.fixture
def traffic(node: Node) -> Iterator[None]:
    """One call under one key, over and over, and one of a session that nobody has, as long as a test runs."""
    ended = threading.Event()
    body = {"jsonrpc": "2.0", "id": 1, "method": "kv.append", "params": {"key": "top", "value": "x"}}
    refused = {**body, "params": {"key": "top", "value": "x", "_meta": {"session": "nobody", "seq": 1}}}

    def send() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                session.post(f"{node.server.url}/rpc", json=body, headers={"Idempotency-Key": "top"}, timeout=10)
                session.post(f"{node.server.url}/rpc", json=refused, timeout=10)

    sending = in_background(send)
    yield
    ended.set()
    sending.result(60)


@pytest.mark.usefixtures("traffic")
def test_it_sees_calls_replays_and_refusals(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Under traffic its figures are those of the server; one that is not there is told, and makes it exit 1."""
    words = ["--server", f"kv={node.server.url}", "--server", "gone=http://127.0.0.1:9", "--interval", "0.5", "--once"]
    assert main(["top", *words, "--json"]) == 1
    up, gone = json.loads(capsys.readouterr().out)["servers"]
    assert (up["server"], up["up"], gone["up"], gone["why"]) == ("kv", True, False, "no connection")
    assert (list(up["methods"]), list(up["refusals"])) == (["kv.append"], ["session_unknown"])
    assert min(up["replays_per_s"], up["p50_ms"]) > 0
    assert up["sessions"] is not None
    assert main(["top", *words]) == 1
    table = capsys.readouterr().out
    assert "refused: session_unknown" in table
    assert "no connection" in table
    assert "\x1b" not in table


@pytest.mark.parametrize("words", [["--server", "ftp://h"], ["--server", "http://h", "--interval", "0"], []])
def test_wrong_words_are_one_line(words: list[str]) -> None:
    """Exit 2, and the line says why."""
    done = oncekv("top", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("oncekv co", "completion"),
        ("oncekv serve --deliv", "--delivery"),
        ("oncekv serve --delivery pers", "persisted"),
        ("oncekv call kv.app", "kv.append"),
        ("oncekv completion z", "zsh"),
    ],
)
def test_bash_completes(completion: str, line: str, found: str) -> None:
    """What bash offers for such a line, with the script that the command prints."""
    words = line.split(" ")
    script = f"{completion}\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n_shtab_oncekv\n"
    done = subprocess.run(
        ["bash", "-c", script + 'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, timeout=30, check=True
    )
    assert found in done.stdout.split(), done.stderr


@pytest.fixture(scope="module")
def completion() -> str:
    """The script for bash."""
    done = oncekv("completion", "bash")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_zsh_gets_its_own() -> None:
    """A function file for zsh, with every command in it; another shell's name is wrong usage."""
    done = oncekv("completion", "zsh")
    assert done.stdout.startswith("#compdef oncekv")
    assert all(name in done.stdout for name in ("serve", "call", "shell", "top", "completion"))
    assert oncekv("completion", "cmd").returncode == 2
