"""Rules that must hold live, after a SIGTERM restart, and after a SIGKILL restart.

A rule is written as one test with a `yield` in the middle: what stands before it prepares, what stands after it
judges. All rules prepare on one server, the server is restarted once, and then each rule judges: three servers and
two restarts for all of them together, instead of two for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer
from tests.support.caller import Caller
from tests.support.server import server_on

__all__ = ["CROSSINGS", "TOKENS", "Crossing", "across_restarts"]

Rule = Callable[[Caller, Caller], Iterator[None]]

TOKENS = ("alpha-token", "beta-token")
CROSSINGS: dict[str, Callable[[LocalServer], None]] = {
    "live": lambda server: None,
    "sigterm": lambda server: _check_clean(server.stop(), server),
    "sigkill": lambda server: _kill_and_start(server),
}
_RULES: list[Rule] = []


def across_restarts(rule: Rule) -> Callable[[str, Callable[[str], Crossing]], None]:
    """Make three tests of a rule. It takes two callers of one server: its own and one with another token."""
    _RULES.append(rule)

    @pytest.mark.parametrize("mode", CROSSINGS)
    def test(mode: str, crossings: Callable[[str], Crossing]) -> None:
        crossings(mode).judge(rule)

    test.__name__, test.__qualname__, test.__doc__ = rule.__name__, rule.__qualname__, rule.__doc__
    test.__module__ = rule.__module__
    return test


class Crossing:
    """One server that all rules have prepared, and that was then restarted (or not)."""

    def __init__(self, mode: str, data_dir: Path, model: str) -> None:
        data_dir.mkdir(parents=True)
        tokens = data_dir.parent / f"{data_dir.name}.tokens"
        tokens.write_text("".join(f"{token}\n" for token in TOKENS))
        self.server = server_on(model, data_dir, ["--token-file", str(tokens)]).start()
        self.callers = (Caller(self.server.url, TOKENS[0]), Caller(self.server.url, TOKENS[1]))
        self._prepared: dict[Rule, Iterator[None] | Exception] = {}
        for rule in _RULES:
            steps = rule(*self.callers)
            try:
                next(steps)
                self._prepared[rule] = steps
            except Exception as error:  # its own test shall say so, and no other
                self._prepared[rule] = error
        CROSSINGS[mode](self.server)

    def judge(self, rule: Rule) -> None:
        """Run the second half of a rule, or say what failed in its first."""
        steps = self._prepared.pop(rule)
        if isinstance(steps, Exception):
            raise steps
        for _ in steps:
            raise AssertionError("a rule yields once")

    def close(self) -> None:
        """Leave nothing behind."""
        for caller in self.callers:
            caller.close()
        self.server.kill()


def _check_clean(code: int, server: LocalServer) -> None:
    assert code == 0, f"SIGTERM ended the server with {code}\n{server.log_tail()}"
    server.start()


def _kill_and_start(server: LocalServer) -> None:
    server.kill()
    server.start()
