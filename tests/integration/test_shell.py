"""`oncekv shell`: from a pipe as a script uses it, and on a real terminal as a person does."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime.local import oncekv_command
from oncekv.cli import main
from tests.support.server import Node
from tests.support.waiting import until

Piped = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Piped:
    """Runs it with these lines on stdin: exit code, what it said of each call, and stderr."""

    def run(url: str, *lines: str, words: Sequence[str] = ("--json",)) -> tuple[int, list[dict[str, Any]], str]:
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
        code = main(["shell", "--server", url, *words])
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def test_retry_is_the_same_call(piped: Piped, armed: Node) -> None:
    """A lost reply shows as two attempts; `retry` sends the last one again, which is answered from the record."""
    armed.arm("after_commit", "drop", match={"key": "shell lost"})
    call = "kv.append key='shell lost' value=x"
    code, shown, err = piped(armed.server.url, call, "retry", "retry  # once more", "kv.get key='shell lost'", "retry")
    assert (code, err) == (0, "")
    first, again, third, read, reread = shown
    assert [one["result"] for one in first["attempts"]] == ["connection lost", "ok (replayed)"]
    for retried, number in ((again, 3), (third, 4)):
        assert (retried["retry"], retried["replayed"], retried["result"]) == (True, True, first["result"])
        assert [one["number"] for one in retried["attempts"]] == [number]
    assert read["result"] == reread["result"] == {"value": "x", "version": 1}


def test_without_identity_a_retry_runs_again(node: Node) -> None:
    """Under maybe the same bytes are one more call: the shell says so, and the effect is there twice."""
    command = [*oncekv_command(), "shell", "--server", node.server.url, "--semantics", "maybe"]
    lines = "kv.append key=shell-maybe value=x\nretry\nkv.get key=shell-maybe\n"
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    assert "it has no identity" in done.stdout
    assert '"value":"xx"' in done.stdout
    assert "\x1b" not in done.stdout, "no colours in a pipe"


def test_a_recorded_error_is_replayed_too(piped: Piped, node: Node) -> None:
    """A definite error is exit 1 at the end, and its retry gets the same error from the record."""
    call = "kv.put key=shell-error value=x if_version=7"
    code, shown, _ = piped(node.server.url, call, "kv.get key=other", call, "retry")
    assert code == 1
    assert [one["outcome"] for one in shown] == ["failed", "ok", "failed", "failed"]
    assert shown[3]["replayed"]
    assert shown[3]["error"] == shown[2]["error"]


def test_an_unknown_outcome_is_exit_3(piped: Piped, armed: Node) -> None:
    """Under maybe a lost reply is unknown, and the worst of all; what came later does not mend the exit code."""
    armed.arm("after_commit", "drop", match={"key": "shell unknown"})
    lines = ["semantics maybe", "kv.put key='shell unknown' value=x", "kv.get key='shell unknown'", "semantics"]
    code, shown, _ = piped(armed.server.url, *lines)
    assert code == 3
    assert (shown[0], shown[1]["outcome"], shown[2]["outcome"]) == ({"semantics": "maybe"}, "unknown", "ok")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kv.bogus key=k", "no method kv.bogus"),
        ("kv.get key", "not key=value"),
        ("kv.increment key=k by=many", "not JSON"),
        ("kv.get key='open", "No closing quotation"),
        ("semantics twice", "not a semantics"),
        ("semantics exactly-once", "--session-file"),
        ("retry", "no call to retry"),
        ("retry now", "not followed by"),
    ],
)
def test_a_wrong_line_ends_a_script(piped: Piped, node: Node, line: str, says: str) -> None:
    """One line on stderr, exit 2, and nothing that follows is done."""
    code, shown, err = piped(node.server.url, line, "kv.append key=shell-after value=x")
    assert (code, shown, err.count("\n")) == (2, [], 1)
    assert says in err
    assert node.kv.ok("kv.get", key="shell-after")["version"] == 0


def test_a_server_that_is_not_there_is_a_definite_error(piped: Piped) -> None:
    """Nothing could be sent: exit 1; and what cannot be a server, or an outbox, is told at once."""
    code, shown, err = piped("http://127.0.0.1:9", "kv.get key=k", words=("--timeout", "0.3"))
    assert (code, shown, err.count("\n")) == (1, [], 1)
    assert "connection refused" in err
    assert piped("ftp://h", "kv.get key=k")[0] == 2
    assert piped("http://h", "kv.get key=k", words=("--semantics", "exactly-once"))[0] == 2


def test_a_session_file_makes_it_exactly_once(piped: Piped, node: Node, tmp_path: Path) -> None:
    """With an outbox the promise can be chosen, and nothing is left in it afterwards."""
    words = ("--json", "--session-file", str(tmp_path / "outbox"))
    code, shown, err = piped(
        node.server.url, "semantics exactly-once", "kv.append key=sx value=x", "retry", words=words
    )
    assert (code, err) == (0, "")
    assert shown[2]["replayed"]


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, controller: int, process: subprocess.Popen[bytes]) -> None:
        self._controller = controller
        self._process = process
        self.seen = ""

    def interrupt(self, then: str) -> str:
        """Ctrl-C, as the terminal says it to whoever is in front.

        Again when it was not heard: CPython's `input` hears of a signal that comes while it takes a key with the next
        key, or signal, alone.
        """
        begun, said_s = len(self.seen), -math.inf

        def is_heard() -> bool:
            nonlocal said_s
            if time.monotonic() - said_s > 5.0:
                until(self._waits, what="it waits for a key, or for a reply")
                self._process.send_signal(signal.SIGINT)
                said_s = time.monotonic()
            return self._has_come(then, begun)

        until(is_heard, what=f"{then!r} after Ctrl-C")
        return self.seen[begun:]

    def type(self, text: str, then: str) -> str:
        """Type, and wait for what must come after it; what came in between."""
        begun = len(self.seen)
        os.write(self._controller, text.encode())
        until(lambda: self._has_come(then, begun), what=f"{then!r} after {text!r}")
        return self.seen[begun:]

    def _has_come(self, then: str, begun: int) -> bool:
        self._read()
        return re.search(then, self.seen[begun:]) is not None

    def _waits(self) -> bool:
        state = Path("/proc", str(self._process.pid), "stat").read_text().rpartition(")")[2].split()[0]
        return state == "S"

    def _read(self) -> None:
        while select.select([self._controller], [], [], 0)[0]:
            try:
                self.seen += os.read(self._controller, 65536).decode()
            except OSError:  # the other end is closed
                break


@contextmanager
def terminal(url: str, history: Path, **environment: str) -> Iterator[Terminal]:
    """`oncekv shell` on a pseudo-terminal, at its prompt; ended with Ctrl-D, which is exit 0."""
    controller, end = pty.openpty()
    command = [*oncekv_command(), "shell", "--server", url, "--history", str(history)]
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "INPUTRC")}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script that starts it beside others has it
    process = subprocess.Popen(
        command, stdin=end, stdout=end, stderr=end, env={**kept, "TERM": "xterm", **environment}, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    os.close(end)
    try:
        found = Terminal(controller, process)
        found.type("", "oncekv> ")
        yield found
        os.write(controller, b"\x04")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def test_a_person_has_completion_history_and_colours(node: Node, tmp_path: Path) -> None:
    """Tab completes methods and params from rpc.discover; an arrow brings back what was typed before."""
    history = tmp_path / "history"
    with terminal(node.server.url, history) as shell:
        shell.type("kv.app\t", r"kv\.append ")
        shell.type("ke\t", "key=")
        answer = shell.type("shell-tty val\tx\n", r"1\. http\S+ ok[^\n]*\n")
        assert '\x1b[32m{"version":1,"offset":0}\x1b[0m' in answer
        assert "\x1b[36m" in shell.type("retry\n", r"2\. http\S+ ok \(replayed\)[^\n]*\n")
        shell.type("kv.bogus\n", "no method kv.bogus")  # a person may go on
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with terminal(node.server.url, history, NO_COLOR="1") as shell:
        answer = shell.type("\x1b[A\x1b[A\x1b[A\n", r"1\. http\S+ ok[^\n]*\n")
        assert '{"version":2,"offset":1}' in answer
        assert "\x1b[32m" not in answer


def test_ctrl_c_gives_up_the_line_or_the_call(armed: Node, tmp_path: Path) -> None:
    """At the prompt the line is gone; in a call nobody can tell, and `retry` learns it under the same identity."""
    armed.arm("after_commit", "sleep:3000", match={"key": "shell ctrl-c"})
    fired = armed.fired("after_commit")
    with terminal(armed.server.url, tmp_path / "history") as shell:
        shell.type("kv.get key=nothing", "nothing")
        shell.interrupt(r"\n[^\n]*oncekv> ")
        os.write(shell._controller, b"kv.append key='shell ctrl-c' value=x\n")
        armed.when_fired("after_commit", fired)
        time.sleep(0.1)  # the reply is held for three seconds: this is in the middle
        shell.interrupt("nobody can tell")
        assert '{"version":1,"offset":0}' in shell.type("retry\n", r"\(replayed\)")
