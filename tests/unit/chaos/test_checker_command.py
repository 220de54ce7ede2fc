"""`python -m chaos check`: verdicts as words and exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.__main__ import main
from chaos.judging import check_command as command
from oncekv.client import History, Ok
from tests.support.checking import event, sequence

Write = Callable[..., str]
GOOD = sequence(("put", "k", "a", "a", {"version": 1}), ("append", "k", "b", "info"), ("get", "k", None, "ab"))
BAD = [*GOOD, *sequence(("get", "k", None, "a", {"version": 1}), process=1)]
HARD = [
    *(event(number, "invoke", "append", "k", "ab"[number % 2] * (number + 1)) for number in range(20)),
    *sequence(("put", "k", "", ""), ("get", "k", None, "c" * 40), process=20),
]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes events to a file, and gives its name."""

    def write(*events: Any) -> str:
        path = tmp_path / "history.jsonl"
        path.write_text("".join(f"{json.dumps(each)}\n" for each in events), encoding="utf-8")
        return str(path)

    return write


def test_a_linearizable_history_exits_0(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict is on stdout, with what was checked."""
    assert main(["check", write(*GOOD)]) == 0
    said = capsys.readouterr()
    assert said.out == "linearizable: 3 operations (1 of unknown outcome, 0 failed) on 1 key, model kv\n"
    assert said.err == ""


def test_another_history_exits_1_and_says_why(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The reader gets the line that cannot be, the order up to it, the state then, and the reason."""
    assert main(["check", write(*BAD)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("not linearizable: 4 operations")
    assert 'key "k": no order of its operations fits' in out
    assert "the shortest wrong beginning ends with line 8" in out
    assert 'it read "a", but the key is "ab", version 2' in out


FAULT = {"process": "nemesis", "type": "info", "f": "begin", "value": "partition"}
FAILED = sequence(("put", "k", "a", "fail"), ("append", "k", "b", "info"))
OPEN = sequence(("put", "k", "a", "a"))[:1]


@pytest.mark.parametrize("events", [[], [FAULT], FAILED, [FAULT, *OPEN]], ids=["empty", "faults", "failed", "open"])
def test_nothing_to_judge_exits_4(events: list[Any], write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no operation was told ok, any order explains every reply; that is no pass, and has a word of its own."""
    assert main(["check", write(*events)]) == 4
    assert capsys.readouterr().out.startswith("nothing to judge: ")


@pytest.mark.parametrize("bound", [["--configurations-max", "100"], ["--timeout", "0.1"]])
def test_what_runs_out_exits_3(bound: list[str], write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown is never shown as passed."""
    assert main(["check", write(*HARD), *bound]) == 3
    assert capsys.readouterr().out.startswith("unknown: 22 operations")


@pytest.mark.parametrize("text", ["not JSON\n", '{"process": 0, "type": "ok", "f": "get", "key": "k"}\n', "[]\n"])
def test_a_malformed_file_exits_2_with_one_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout, and on stderr the file, the line and the trouble."""
    path = tmp_path / "broken.jsonl"
    path.write_text(text, encoding="utf-8")
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"check: {path}: line 1: ")
    assert said.err.count("\n") == 1


def test_an_unreadable_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, or a folder, is one line on stderr."""
    for path in (tmp_path / "nowhere", tmp_path):
        assert main(["check", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_history_of_the_other_model_is_recognised(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Who forgets --model is told which one it is."""
    path = write(*sequence(("write", None, 1, 1), ("read", None, None, 1)))
    assert main(["check", path]) == 2
    assert "--model register" in capsys.readouterr().err
    assert main(["check", path, "--model", "register"]) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--model", "queue"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "x"],
        ["--configurations-max", "-1"],
    ],
)
def test_wrong_usage_exits_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr."""
    with pytest.raises(SystemExit) as exited:
        main(["check", *(["history.jsonl"] if wrong else []), *wrong])
    assert exited.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_exits_130(write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops it gets one line and no verdict."""

    def interrupted(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "check", interrupted)
    assert main(["check", write(*GOOD)]) == 130
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "check: interrupted; no verdict\n")


def test_a_full_memory_exits_3(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that runs out before its bound is no verdict either; a traceback's exit code would be one."""

    def full(*args: Any, **more: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(command, "check", full)
    assert main(["check", write(*GOOD)]) == 3
    assert capsys.readouterr().out.startswith("unknown: the memory is full")


def test_progress_is_shown_on_a_terminal(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who watches a long search sees that it goes on; the line is gone when the verdict comes."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", screen := Terminal())
    monkeypatch.setattr(command, "PROGRESS_EVERY_S", 0.0)
    assert main(["check", write(*GOOD)]) == 0
    assert "check: 0 of 1 keys" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_reads_what_the_client_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A history that the client's recorder wrote, faults and open calls in it, is checked as it is."""
    with History(tmp_path / "history.jsonl", workers=2) as history:
        first = history.invoke(0, "append", "k", "x", call="c0-0")
        history.nemesis("cut", "c0-kv")
        first.complete(Ok({"version": 1, "offset": 0}))
        history.invoke(1, "put", "k", "y").info("no answer")
        history.invoke(1, "delete", "k")
    assert main(["check", str(tmp_path / "history.jsonl")]) == 0
    assert "3 operations (2 of unknown outcome" in capsys.readouterr().out
