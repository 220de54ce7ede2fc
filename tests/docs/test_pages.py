"""The tour and the front page are true: every command is run, and what it says is held against the page."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from chaos.runtime.ports import KeptPort
from tests.docs.__main__ import pages
from tests.docs.check import environment, is_installed, run_page
from tests.docs.page import Command, Picture, steps_of
from tests.docs.rules import RULES
from tests.docs.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def _is_true(name: str, scratch: Path) -> None:
    page = next(page for page in pages() if page.stem == name)
    needed = {what for step in steps_of(page.read_text(encoding="utf-8")) for what in step.needs}
    if lacking := {what for what in needed if not is_installed(what)}:
        pytest.skip(f"{page.name} needs {', '.join(sorted(lacking))}")
    found = run_page(page, scratch)
    assert found.failures + found.drifts == [], "\n\n".join(found.failures + found.drifts)


# A function for each page: of the long repetitions of one function .ci/run draws a few, and all pages are to be run.


@pytest.mark.long
def test_nothing_comes_back(tmp_path: Path) -> None:
    """Chapter 1 shows what comes out. `make docs-check UPDATE=1` writes what came out into the page."""
    _is_true("1-nothing-comes-back", tmp_path)


@pytest.mark.long
def test_send_it_again(tmp_path: Path) -> None:
    """Chapter 2 shows what comes out."""
    _is_true("2-send-it-again", tmp_path)


@pytest.mark.long
def test_remember(tmp_path: Path) -> None:
    """Chapter 3 shows what comes out."""
    _is_true("3-remember", tmp_path)


@pytest.mark.long
def test_forget_safely(tmp_path: Path) -> None:
    """Chapter 4 shows what comes out."""
    _is_true("4-forget-safely", tmp_path)


@pytest.mark.long
def test_crash(tmp_path: Path) -> None:
    """Chapter 5 shows what comes out."""
    _is_true("5-crash", tmp_path)


@pytest.mark.long
def test_never_comes_back(tmp_path: Path) -> None:
    """Chapter 6 shows what comes out."""
    _is_true("6-never-comes-back", tmp_path)


@pytest.mark.long
def test_add_a_fault(tmp_path: Path) -> None:
    """The fault of the page is found, strikes and is judged; made harmless, it fails the run."""
    _is_true("add-a-fault", tmp_path)


def test_every_page_that_is_run_has_its_test() -> None:
    """No chapter is left out of the list above."""
    assert {page.stem for page in pages()} == set(re.findall(r'_is_true\("(.+?)"', Path(__file__).read_text("utf-8")))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_rules_are_few(page: Path) -> None:
    """Counts and the widths of tables may vary in what `python -m chaos run` says, and nowhere else."""
    commands = [step for step in steps_of(page.read_text(encoding="utf-8")) if isinstance(step, Command) and step.shown]
    loose = [command.text for command in commands if {"count", "table"} & set(command.varies)]
    assert [text for text in loose if not text.startswith("python -m chaos run ")] == []
    assert {rule for command in commands for rule in command.varies} <= RULES.keys()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_each_picture_is_from_a_command_of_its_page(page: Path) -> None:
    """It is an SVG that loads nothing and says from which command it comes; the page has that command before."""
    said = ""
    for step in steps_of(page.read_text(encoding="utf-8")):
        if isinstance(step, Command):
            said += step.text
        elif isinstance(step, Picture):
            text = (page.parent / step.path).read_text(encoding="utf-8")
            source = ET.fromstring(text).findtext(f"{SVG}desc", "").partition("From: ")[2]  # noqa: S314 our own file
            assert source.partition(" --clients")[0].removeprefix("python -m chaos ").split()[:4] == _words(said, step)
            assert not re.search(r"(href|src|url\(|@import)", text)


def _words(said: str, step: Picture) -> list[str]:
    scenario, _, column = Path(step.evidence).name.partition("--")
    words = ["run", scenario, "--semantics", column]
    assert f"python -m chaos {' '.join(words)}" in said
    return words


def test_the_front_page_is_true(tmp_path: Path) -> None:
    """Its section on use, typed in an empty folder: every command ends well, a replay is marked, the snippet prints."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Use it\n")[2].partition("\n## ")[0]
    snippet = re.search(r"^```python\n(.+?)^```$", section, re.MULTILINE | re.DOTALL)
    assert snippet is not None
    prose = section.replace(snippet[0], "").replace("\\\n", " ")
    serve, call, curl = (line.strip() for line in prose.splitlines() if line.startswith("    "))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    port = KeptPort()
    here = ("127.0.0.1:8000", f"127.0.0.1:{port.number}")
    serve, call, curl = (command.replace(*here) for command in (serve, call, curl))
    (tmp_path / "snippet.py").write_text(snippet[1].replace(*here), encoding="utf-8")
    with Shell(tmp_path, environment()) as shell:
        assert '"event": "ready"' in shell.run(f"{serve} 2>server.log &")[0]
        assert shell.run(call) == ('{"version":1,"offset":0}', 0)
        assert '"result":{"version":2,"offset":1}' in shell.run(f"{curl} -sS")[0]
        assert '"result":{"version":2,"offset":1,"_meta":{"replayed":true}}' in shell.run(f"{curl} -sS")[0]
        assert shell.run("python snippet.py") == ("2", 0)
