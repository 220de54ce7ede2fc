"""One call's sequence diagram as a picture of its own, for a page of somebody else: an SVG that loads nothing.

It is the drawing of the report, of the cell's most telling call, and says in its `desc` from which command it comes.
Guarantee: whatever the evidence says is escaped. Limit: a cell without calls has no picture (EvidenceMissing).
"""

from __future__ import annotations

from pathlib import Path

from chaos.report import selection, sequence
from chaos.report.labels import LOST, ending_of
from chaos.report.page import templates
from chaos.report.proof import has_copies
from chaos.report.records import Call, EvidenceMissing, read_cell, read_run

__all__ = ["picture"]


def picture(folder: Path, gist: str = "") -> str:
    """The SVG of a cell: `folder` is the cell's own, `out/RUN/SCENARIO--SEMANTICS`. Raises EvidenceMissing.

    gist: draw a call that went like this, if there is one; what a picture says of its call stands in its `metadata`.
    """
    figures = next((cell for cell in read_run(folder.parent).cells if cell.slug == folder.name), None)
    if figures is None:
        raise EvidenceMissing(f"{folder.parent} has no cell {folder.name}")
    evidence = read_cell(folder.parent, figures)
    calls = evidence.calls or []
    call = selection.most_telling([call for call in calls if _gist(call) == gist] or calls)
    if call is None:
        raise EvidenceMissing(f"{folder} has no calls")
    copies = has_copies(calls)
    drawn = sequence.draw(call, evidence.bands, copies)
    given = {"call": call, "drawn": drawn, "copies": copies, "repeat": figures.repeat, "gist": _gist(call)}
    return templates().get_template("picture.html").render(given)


def _gist(call: Call) -> str:
    """What is the same in every run of which this picture could be: how it went, without times and counts."""
    lost = any(ending_of(attempt.ending) is LOST for attempt in call.attempts)
    last = ending_of(call.attempts[-1].ending).meaning if call.attempts else "none"
    effects = "a read" if call.is_read else ("no effect", "one effect", "several effects")[min(call.ran, 2)]
    return f"{'some attempt got no answer' if lost else 'all were answered'}; last: {last}; {effects}; told {call.told}"
