"""What `make docs-check` notices, and what it lets pass, on small pages of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docs import __main__ as command
from tests.docs.check import Found, run_page
from tests.docs.page import PageError, steps_of
from tests.docs.rules import RULES, UnknownRule, comparable
from tests.docs.shell import Shell

TABLE = "| fault | 2+ | unknown |\n| lost | {} | {} |"


def _run(folder: Path, text: str) -> Found:
    page, scratch = folder / "page.md", folder / "scratch"
    page.write_text(text, encoding="utf-8")
    scratch.mkdir()
    return run_page(page, scratch)


def _block(body: str, *comments: str) -> str:
    return "".join(f"<!-- {comment} -->\n" for comment in comments) + f"```console\n{body}\n```\n"


def test_a_page_that_is_true_passes(tmp_path: Path) -> None:
    """Exact outputs, several lines, none, an exit code, a variable and a file that live on, what stderr says."""
    text = "<!-- file: two.txt -->\n```text\na\nb\n```\n" + _block(
        "$ X=1\n$ cat two.txt\na\nb\n$ (exit 7)\n$ echo $?\n7\n$ echo $X \\\n    2 >&2\n1 2"
    )
    found = _run(tmp_path, text)
    assert (found.drifts, found.failures, found.text) == ([], [], text)


@pytest.mark.parametrize("shown", ["milk", "tea,", "tea\nmilk", ""])
def test_a_changed_output_is_noticed(tmp_path: Path, shown: str) -> None:
    """Another word, one letter more, a line more, nothing: each gives a diff, and the text that is right."""
    found = _run(tmp_path, _block("$ echo tea" + (f"\n{shown}" if shown else "")))
    assert len(found.drifts) == 1
    assert "--- the page\n+++ this run" in found.drifts[0]
    assert found.text == _block("$ echo tea\ntea")


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    """Even where its output is right, unless the page shows the code; no update of the page hides it."""
    found = _run(tmp_path, _block("$ echo tea; false\ntea"))
    assert (len(found.failures), found.drifts) == (1, [])


@pytest.mark.parametrize("name", RULES)
def test_a_rule_covers_what_it_names_and_nothing_else(name: str) -> None:
    """Two runs are the same under it; another word is not."""
    runs = {
        "ms": ("lost after 12 ms, 3.1 s", "lost after 7.5 ms, 2.0 s"),
        "pid": ('{"pid": 17}', '{"pid": 4711}'),
        "date": ("Date: Fri, 27 Nov 2026 09:01:08 GMT", "Date: Sat, 28 Nov 2026 10:02:09 GMT"),
        "count": ("8 doubled", "13 doubled"),
        "effect": ("one effect", "no effect"),
        "table": ("| a   | b  |\n| --- | -- |", "| a | b |\n| - | - |"),
    }
    one, other = runs[name]
    assert comparable(one, []) != comparable(other, [])
    assert comparable(one, [name]) == comparable(other, [name])
    assert comparable(f"{one}, kept", [name]) != comparable(f"{other}, BROKEN", [name])


def test_zero_is_no_number_of_calls() -> None:
    """`count` lets 8 be 13, and never 0: a call that was doubled shows, and a fault that no longer strikes."""
    kept, doubled = TABLE.format(0, 13), TABLE.format(8, 13)
    assert comparable(kept, ["count"]) == comparable(TABLE.format(0, 15), ["count"])
    assert comparable(kept, ["count"]) != comparable(doubled, ["count"])
    assert comparable("0.0 ms 0", ["count"]) != comparable("0.5 ms 0", ["count"])


def test_what_varies_is_named_or_compared(tmp_path: Path) -> None:
    """Without its rule a number that differs is a drift; with it, none; with a rule that there is not, an error."""
    assert _run(tmp_path, _block("$ echo 8 doubled\n9 doubled")).drifts
    other = tmp_path / "other"
    other.mkdir()
    assert not _run(other, _block("$ echo 8 doubled\n9 doubled", "varies: ms, count")).drifts
    with pytest.raises(UnknownRule):
        comparable("", ["anything"])


def test_a_server_of_the_page_has_a_port_of_its_own(tmp_path: Path) -> None:
    """127.0.0.1:8000 is another port here, in commands and files, and the page's in what they say."""
    body = "$ cat url; echo 127.0.0.1:8000 | tee real.txt\nhttp://127.0.0.1:8000\n127.0.0.1:8000"
    text = "<!-- file: url -->\n```text\nhttp://127.0.0.1:8000\n```\n" + _block(body)
    assert _run(tmp_path, text).drifts == []
    assert "8000" not in (tmp_path / "scratch" / "real.txt").read_text()


def test_what_is_not_installed_is_left_out_and_said(tmp_path: Path) -> None:
    """Its output stays as it is."""
    text = _block("$ echo a\nb", "needs: no-such-program")
    found = _run(tmp_path, text)
    assert (len(found.left_out), found.drifts, found.text) == (1, [], text)


@pytest.mark.parametrize(
    "text", ["```console\ntea\n```", "```console\n$ x", "<!-- varies: ms -->\ntext", "<!-- picture: a -->\n![](b.svg)"]
)
def test_a_page_that_is_written_wrongly_is_refused(text: str) -> None:
    """No command, no end, a comment for nothing, a picture without words: never passed over in silence."""
    with pytest.raises(PageError):
        steps_of(text)


def test_a_picture_that_tells_something_else_is_noticed(tmp_path: Path) -> None:
    """One that is not there, or is from another story, is drawn anew; one that tells the same stays."""
    found = _run(tmp_path, f"{_evidence()}\n<!-- picture: out/lost--maybe -->\n![A call](lost.svg)\n")
    assert len(found.drifts) == 1
    assert "several effects" in found.pictures["lost.svg"]
    (tmp_path / "lost.svg").write_text(found.pictures["lost.svg"])
    again = tmp_path / "again"
    again.mkdir()
    (again / "lost.svg").write_text(found.pictures["lost.svg"])
    assert _run(again, (tmp_path / "page.md").read_text()).drifts == []


def _evidence() -> str:
    run = '{"cells": [{"scenario": "lost", "column": "maybe", "folder": "lost--maybe"}]}'
    attempt = '{"number": 1, "link": "l", "began_ms": 1, "took_ms": 2, "ending": "ok"}'
    call = f'{{"name": "c1-1", "told": "ok", "began_ms": 1, "effects": 2, "attempts": [{attempt}]}}'
    files = {"out/matrix.json": run, "out/lost--maybe/calls.jsonl": call}
    return "```console\n$ mkdir -p out/lost--maybe\n```\n" + "".join(
        f"<!-- file: {name} -->\n```json\n{content}\n```\n" for name, content in files.items()
    )


def test_the_shell_ends_what_it_started(tmp_path: Path) -> None:
    """A job in the background that says its first line late is waited for, and ends with the shell."""
    with Shell(tmp_path, dict(os.environ)) as shell:
        said, code = shell.run("(sleep 0.3; echo ready; echo $BASHPID >pid; exec sleep 600) &")
        assert (said, code) == ("ready", 0)
        assert shell.run("jobs -p | wc -l")[0].strip() == "1"
        pid = int((tmp_path / "pid").read_text())
        shell.run("sleep 600 & kill -9 $!")
        assert shell.run("(sleep 0.3; echo ready again; exec sleep 600) &") == ("ready again", 0)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_the_command_says_what_drifted_and_mends_it(tmp_path: Path) -> None:
    """Exit code 1 and a diff; with --update the page is right afterwards, and the next run ends with 0."""
    page = tmp_path / "page.md"
    page.write_text(_block("$ echo tea\nmilk"))
    words = [sys.executable, "-m", "tests.docs", str(page)]
    first = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert first.returncode == 1
    assert "-milk\n+tea" in first.stderr
    assert command.main(["--update", str(page)]) == 0
    assert page.read_text() == _block("$ echo tea\ntea")
    assert command.main([str(page)]) == 0
