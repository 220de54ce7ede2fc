"""The harness with one check taken off it: the same run must then come out as good, or another check caught the bug.

Only for showing that a catch is no accident; it works in this process alone. "checker" is all that reads the history;
"unknown" is whether calls were told so where they had to be, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import chaos.judging.cell_verdict
import chaos.runner.cell
from chaos.judging.cell_verdict import _problems as real_problems
from chaos.judging.judge import Call, Judgement
from chaos.judging.judge import judge as real_judge
from tests.bugs.base import replaced

__all__ = ["BLIND", "CHECKS"]


def _judge(semantics: str, calls: Sequence[Call], **options: Any) -> Judgement:
    """It counts, and is content with everything."""
    return replace(real_judge(semantics, calls, **options), violations=[], first=None)


def _problems(*judged: Any, **options: Any) -> list[str]:
    """All but those about calls that were told unknown."""
    return [problem for problem in real_problems(*judged, **options) if "told unknown" not in problem]


BLIND: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "judge": lambda: replaced(chaos.judging.cell_verdict, judge=_judge),
    "checker": lambda: replaced(chaos.judging.cell_verdict, _hold_against_the_history=lambda *_evidence: None),
    "unknown": lambda: replaced(chaos.judging.cell_verdict, _problems=_problems),
    "steady state": lambda: replaced(chaos.runner.cell, unsteady=lambda *_env, **_options: []),
}
CHECKS = tuple(BLIND)
