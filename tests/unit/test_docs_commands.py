"""Every command is in some page: make targets, subcommands of oncekv and of `python -m chaos`, our modules."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from chaos import __main__ as chaos_command
from oncekv import cli
from tests.unit.test_docs_links import ROOT, pages

MODULES = ("bench", "chaos", "tests.bugs", "tests.docs")


def commands() -> list[str]:
    """As one types them."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    return [
        *(f"make {target}" for target in targets),
        *(f"oncekv {name}" for name in cli.COMMANDS),
        *(f"python -m chaos {name}" for name in _of_chaos()),
        *(f"python -m {name}" for name in MODULES),
    ]


def _of_chaos() -> list[str]:
    actions = chaos_command._parser()._actions
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return list(found.choices)


def in_no_page(names: list[str], texts: list[str]) -> list[str]:
    """Those that no text has, as a word of its own: `make test` is not in `make test-long`."""
    return [name for name in names if not any(re.search(rf"{re.escape(name)}(?![\w-])", text) for text in texts)]


def test_every_command_is_in_a_page() -> None:
    """Who looks for a command finds what it is for."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in pages() if page != Path("CHANGELOG.md")]
    assert in_no_page(commands(), texts) == []


@pytest.mark.parametrize("text", ["`make test-long`, `make testing`", "", "make\ntest"])
def test_a_command_that_is_in_no_page_is_seen(text: str) -> None:
    """A longer name is not the command."""
    assert in_no_page(["make test"], [text]) == ["make test"]
    assert in_no_page(["make test"], [text, "first `make test`, then"]) == []


def test_there_are_commands() -> None:
    """The lists are not empty, or everything would be in some page."""
    found = commands()
    assert {"make docs-check", "oncekv shell", "python -m chaos report", "python -m tests.docs"} <= set(found)
