"""What every command does with an answer that cannot be written: no code of a verdict, one line, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oncekv.console import CRASHED, OUTPUT_LOST, UNAVAILABLE, USAGE
from tests.support.checking import sequence
from tests.support.repetitions import one_in

COMMANDS = [
    "-m chaos list",
    "-m chaos check --help",
    "-m chaos.runtime.toxiproxy",
    "-m tests.bugs --help",
    "-m bench --help",
    "-m oncekv.cli --version",
    "-m oncekv.cli call --help",
]
REDIRECTED = {"a full disk": ">/dev/full", "no reader": "| true", "no stdout": ">&-", "neither": ">&- 2>&-"}
HERE = Path(__file__).resolve().parents[2]
GOOD = sequence(("put", "k", "a", "a", {"version": 1}))
BAD = sequence(("put", "k", "a", "a", {"version": 1}), ("get", "k", None, "b", {"version": 1}))


def _shell(script: str, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in Bash with this Python as `$0`; its exit code is that of its first command, not of what reads that."""
    command = ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}", sys.executable, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=HERE, env={**os.environ, **environment}
    )


def _history(tmp_path: Path, events: list[dict[str, object]]) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
    return path


@pytest.mark.parametrize("where", REDIRECTED.values(), ids=REDIRECTED.keys())
@pytest.mark.parametrize("events", [GOOD, BAD], ids=["linearizable", "not linearizable"])
def test_a_verdict_that_nobody_got_is_none(tmp_path: Path, events: list[dict[str, object]], where: str) -> None:
    """Whatever the verdict would have been, `check` exits 74 where it cannot be written, and says so in one line."""
    done = _shell(f'"$0" -m chaos check "$1" {where}', _history(tmp_path, events))
    assert done.returncode == OUTPUT_LOST
    assert done.stderr.count("\n") == (0 if "2>" in where else 1)
    assert ("cannot write to stdout" in done.stderr) == bool(done.stderr)


@pytest.mark.parametrize("where", REDIRECTED.values(), ids=REDIRECTED.keys())
@pytest.mark.parametrize("words", one_in(3, COMMANDS, "commands whose answer is lost"))
def test_every_command_says_that_its_answer_is_lost(words: str, where: str) -> None:
    """The same of every command that we have, and of its --help."""
    done = _shell(f'"$0" {words} {where}')
    assert done.returncode == OUTPUT_LOST
    assert done.stderr.count("\n") == (0 if "2>" in where else 1)


@pytest.mark.parametrize("where", REDIRECTED.values(), ids=REDIRECTED.keys())
@pytest.mark.parametrize("options", ["--model threads", "--model event-loop", "--workers 2"])
def test_a_server_that_nobody_hears_of_ends(tmp_path: Path, options: str, where: str) -> None:
    """A ready line that cannot be written ends `oncekv serve`, under every model, and leaves no process."""
    store = f"sqlite:///{tmp_path}/kv.db"
    done = _shell(f'"$0" -m oncekv.cli serve --listen 127.0.0.1:0 --store "$1" {options} {where}', store)
    assert done.returncode == OUTPUT_LOST
    assert "Traceback" not in done.stderr
    assert ("oncekv serve: cannot write to stdout" in done.stderr) == ("2>" not in where)


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}], ids=str)
def test_what_a_terminal_cannot_show_is_escaped(tmp_path: Path, encoding: dict[str, str]) -> None:
    """A character that the encoding lacks costs no verdict: it is written escaped."""
    events = sequence(("put", "k", "ä", "ä", {"version": 1}), ("get", "k", None, "→", {"version": 1}))
    done = _shell('"$0" -m chaos check "$1"', _history(tmp_path, events), PYTHONCOERCECLOCALE="0", **encoding)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("not linearizable")
    assert "\\u2192" in done.stdout


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_a_lost_stderr_changes_nothing(tmp_path: Path, where: str) -> None:
    """What goes on is nobody's verdict: the answer is on stdout, alone, with the exit code that it has."""
    done = _shell(f'"$0" -m chaos check "$1" {where}', _history(tmp_path, BAD))
    assert done.returncode == 1
    assert done.stdout.startswith("not linearizable")
    done = _shell(f'"$0" -m chaos check "$1" {where}', tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_closed_stdout_is_nobodys_file(tmp_path: Path) -> None:
    """The number of a closed stdout is taken: a file that the command opens never gets what it prints."""
    path = tmp_path / "opened"
    script = (
        "import pathlib, sys; from oncekv import console\n"
        "def command():\n  file = open(sys.argv[1], 'w'); print(file.fileno(), file=sys.stderr); print('x')\n"
        "  return 0\nsys.exit(console.run('t', command))"
    )
    done = _shell('"$0" -c "$1" "$2" >&-', script, path)
    assert done.returncode == OUTPUT_LOST
    assert int(done.stderr.split()[0]) > 2
    assert path.read_text() == ""


def test_a_defect_is_no_verdict() -> None:
    """Python's own code for a traceback is 1, which says that a promise was broken; a command of ours exits 70."""
    done = _shell('"$0" -c "$1"', "import sys; from oncekv import console; sys.exit(console.run('t', lambda: 1 // 0))")
    assert done.returncode == CRASHED
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "-m chaos run healthy --semantics maybe --out",
        "-m chaos matrix --out",
        "-m tests.bugs no-dedup --out",
        "-m bench --only shapes --out",
        "-m chaos report",
        "-m chaos check",
    ],
)
def test_a_place_that_cannot_be_is_wrong_usage(words: str) -> None:
    """A path below a file is refused with 2 and a last line that names it: no verdict, no traceback."""
    done = _shell(f'"$0" {words} /dev/null/out')
    assert done.returncode == USAGE
    assert "/dev/null/out" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "http://", "http://:x", "nobody"])
def test_a_server_that_cannot_be_is_wrong_usage(url: str) -> None:
    """A URL or name that leads nowhere is one line and 2, of both commands that take one."""
    for words in (f"-m chaos client --servers {url}", f"-m oncekv.cli call kv.get key=k --server {url}"):
        done = _shell(f'"$0" {words}')
        assert (done.returncode, done.stderr.count("\n")) == (USAGE, 1), done.stderr


@pytest.mark.parametrize("words", ["-m bench --only nonsense", "-m tests.bugs --seed x", "-m chaos matrix --seed x"])
def test_wrong_words_are_one_line(words: str) -> None:
    """Every command says what is wrong in one line, and where more stands."""
    done = _shell(f'"$0" {words}')
    assert (done.returncode, done.stderr.count("\n")) == (USAGE, 1)
    assert "--help" in done.stderr


def test_what_cannot_be_measured_is_no_verdict(tmp_path: Path) -> None:
    """Without Toxiproxy nothing is measured: neither 0 nor 1, and one line says how to get it."""
    script = (
        "import sys; from pathlib import Path; import chaos.runtime.toxiproxy as t; from chaos.__main__ import main\n"
    )
    script += (
        "t.provision.__defaults__ = (Path(sys.argv[1]),)\nsys.exit(main(['run', 'healthy', '--out', sys.argv[2]]))"
    )
    done = _shell('"$0" -c "$1" "$2" "$3"', script, tmp_path, tmp_path / "out", PATH=_without_toxiproxy(tmp_path))
    assert done.returncode == UNAVAILABLE
    assert "Toxiproxy" in done.stderr.splitlines()[-1]


def _without_toxiproxy(folder: Path) -> str:
    bare = folder / "bin"
    bare.mkdir()
    (bare / "bash").symlink_to("/bin/bash")
    return str(bare)
