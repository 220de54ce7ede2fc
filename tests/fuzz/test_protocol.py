"""The server beside the model, and each planted bug that one server on a file can show beside it as well."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis.errors import Flaky

from chaos.runtime.base import Serving
from tests.bugs.planted import bugs
from tests.fuzz.machine import explore
from tests.fuzz.planted import PLANTED, command
from tests.support.server import Node

OF_ONE_SERVER = [bug for bug in bugs().values() if bug.side == "server" and bug.store == Serving.store]
AT_ONCE = ("no-dedup", "check-then-act", "session-names-reused")
"""Those that `make test` hunts; each is found within seconds."""


@pytest.mark.parametrize("examples", [6, pytest.param(25, marks=pytest.mark.long)])
def test_the_protocol(fresh: Callable[..., Node], examples: int) -> None:
    """Whatever is called, in whatever order, over restarts: the answers are the model's."""
    explore(fresh(failpoints=True), examples)


def _is_caught(node: Node) -> None:
    """The draws are the same each time: that a bug is found is no matter of luck."""
    with pytest.raises((AssertionError, Flaky)):
        explore(node, 60, draws=1, shrinks=False)


@pytest.mark.parametrize(
    "name",
    [pytest.param(bug.name, marks=[] if bug.name in AT_ONCE else [pytest.mark.long]) for bug in OF_ONE_SERVER],
)
def test_a_planted_bug_is_caught(fresh: Callable[..., Node], name: str) -> None:
    """One that a scenario catches as well; here by an answer that is not the model's."""
    _is_caught(fresh(failpoints=True, command=[sys.executable, "-m", "tests.bugs.serve", name]))


@pytest.mark.long
@pytest.mark.parametrize("name", PLANTED)
def test_a_bug_that_no_scenario_catches_is_caught(fresh: Callable[..., Node], name: str) -> None:
    """At the edges of the rules, where no client of ours goes."""
    _is_caught(fresh(failpoints=True, command=command(name)))
