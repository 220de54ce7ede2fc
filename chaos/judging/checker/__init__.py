"""The checker: a history in, a verdict out. Pure: it reads no file and no clock, and draws nothing by chance.

    history = parse(lines, models()["kv"])
    verdict = check(history, models()["kv"], time.monotonic, timeout_s=60)
    verdict.holds         True, False, or None: unknown
    report(verdict)       the same for a person, with the reason

`linearizability` asks whether one order of all operations explains every reply; `counts` holds what does not need an
order: that a client's tokens stand in its order, and that a total is kept.
"""

from __future__ import annotations

from chaos.judging.checker.explain import report
from chaos.judging.checker.history import History, HistoryError, Operation, parse
from chaos.judging.checker.linearizability import check
from chaos.judging.checker.models import models
from chaos.judging.checker.verdict import KeyVerdict, Verdict

__all__ = ["History", "HistoryError", "KeyVerdict", "Operation", "Verdict", "check", "models", "parse", "report"]
