"""The harness with one check taken off it: the same run must then come out as good, or another check caught the bug.

Only for showing that a catch is no accident; it works in this process alone. "checker" is all that reads the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import chaos.cell
import chaos.verdict
from chaos.judge import Call, Judgement
from chaos.judge import judge as real_judge
from tests.bugs.base import replaced

__all__ = ["BLIND", "CHECKS"]


def _judge(semantics: str, calls: Sequence[Call], **options: Any) -> Judgement:
    """It counts, and is content with everything."""
    return replace(real_judge(semantics, calls, **options), violations=[], first=None)


BLIND: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "judge": lambda: replaced(chaos.verdict, judge=_judge),
    "checker": lambda: replaced(chaos.verdict, _hold_against_the_history=lambda *_evidence: None),
    "steady state": lambda: replaced(chaos.cell, unsteady=lambda *_world, **_options: []),
}
CHECKS = tuple(BLIND)
