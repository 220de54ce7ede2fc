"""The hunt's table, in Markdown: each planted bug, and what caught it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaos.runtime.base import Serving
from tests.bugs.hunt import Control, Hunt
from tests.bugs.trial import Trial

__all__ = ["render"]

HEAD = ("#", "planted bug", "the promise it breaks", "caught by", "check", "after calls", "tries", "the first finding")
WORDS_MAX = 120


def render(hunts: Sequence[Hunt], controls: Sequence[Control], model: str = Serving.model) -> str:
    """The bugs in their order, and below them the cells that were green without any."""
    rows = [_row(found) for found in sorted(hunts, key=lambda found: found.bug.number)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEAD, ["---"] * len(HEAD), *rows)]
    caught = sum(found.good for found in hunts)
    green = sum(control.good for control in controls)
    where = "" if model == Serving.model else f" on --model {model}"
    return "\n".join(
        [
            *lines,
            "",
            f"{caught} of {len(hunts)} bugs caught{where};"
            f" without a bug {green} of {len(controls)} of these cells are green:",
            *(f"- {_cell(control)}" for control in controls),
        ]
    )


def _row(found: Hunt) -> list[str]:
    head = [str(found.bug.number), f"{found.bug.name} ({found.bug.side})", found.bug.breaks]
    if not found.good or found.plan is None or found.trial is None:
        return [*head, "**not caught**", "", "", str(found.tries), _plain(found.problems)]
    checks = " + ".join(caught.check for caught in found.trial.caught)
    return [
        *head,
        found.plan.cell,
        checks,
        _after(found.trial),
        str(found.tries),
        _plain([found.trial.caught[0].words]),
    ]


def _after(trial: Trial) -> str:
    """How many calls had ended when the first wrong one had; the steady state is checked before them and after them."""
    if trial.after_calls is not None:
        return f"{trial.after_calls} of {trial.calls}"
    return f"{0 if trial.caught[0].words.startswith('before') else trial.calls} of {trial.calls}"


def _cell(control: Control) -> str:
    return control.plan.cell + (": green" if control.good else f": **red**: {_plain(control.problems)}")


def _plain(words: Iterable[str]) -> str:
    """On one line of a table."""
    line = " ".join("; ".join(words).split()).replace("|", "\\|")
    return line if len(line) <= WORDS_MAX else f"{line[:WORDS_MAX]}…"
