"""The soak in Markdown, and whether it is good; from the evidence alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chaos.soak.nemesis import TO_BE_FELT, FaultRecord
from chaos.soak.run import SoakRecord
from chaos.soak.sampler import Sample
from chaos.soak.verdict import Trend, trends

__all__ = ["render", "troubles"]


def troubles(record: SoakRecord, samples: Sequence[Sample], faults: Sequence[FaultRecord]) -> list[str]:
    """What keeps it from being good, in words."""
    found = list(record.problems)
    for semantics, tally in record.tallies.items():
        found += tally["violations"]
        if not tally["told"].get("ok"):
            found.append(f"{semantics}: nobody was told ok, nothing is proven")
    for trend in trends(samples):
        if trend.is_empty:
            found.append(f"{trend.name}: too few samples")
        elif not trend.is_flat:
            found.append(f"{trend.name} is not flat: {_change(trend)}")
    for kind in TO_BE_FELT:
        of_kind = [fault for fault in faults if fault.kind == kind]
        if of_kind and not any(fault.unanswered for fault in of_kind):
            found.append(f"{kind}: {len(of_kind)} times, and no attempt went without an answer")
    return found if faults else [*found, "no fault struck"]


def render(record: SoakRecord, samples: Sequence[Sample], faults: Sequence[FaultRecord]) -> str:
    """Three tables."""
    return "\n\n".join(["\n".join(_calls(record)), "\n".join(_figures(samples)), "\n".join(_faults(faults))])


def _calls(record: SoakRecord) -> list[str]:
    lines = ["| semantics | calls | attempts | told ok | definite | unknown | lost | doubled | reads |"]
    lines.append("| --- " * 9 + "|")
    for semantics, tally in record.tallies.items():
        told = [tally["told"].get(word, 0) for word in ("ok", "definite", "unknown")]
        cells = [semantics, tally["calls"], tally["attempts"], *told]
        cells += [tally["lost"], tally["doubled"], tally["reads"]]
        lines.append("| " + " | ".join(it if isinstance(it, str) else f"{it:,}" for it in cells) + " |")
    return lines


def _figures(samples: Sequence[Sample]) -> list[str]:
    lines = ["| figure | first third | second third | last third | change | an hour | flat |", "| --- " * 7 + "|"]
    for trend in trends(samples):
        flat = ("yes" if trend.is_flat else "NO") if trend.is_judged else "told, not judged"
        unit = f" {trend.unit}" if trend.unit else ""
        thirds = " | ".join(f"{value:.4g}{unit}" for value in (trend.warm_up, trend.before, trend.after))
        lines.append(f"| {trend.name} | {thirds} | {trend.change:+.1%} | {trend.per_hour:+.3g}{unit} | {flat} |")
    return lines


def _faults(faults: Sequence[FaultRecord]) -> list[str]:
    lines = ["| fault | how often | attempts without an answer meanwhile | seen |", "| --- " * 4 + "|"]
    counts = Counter(fault.kind for fault in faults)
    for kind, count in sorted(counts.items()):
        of_kind = [fault for fault in faults if fault.kind == kind]
        proofs = Counter(fault.proof for fault in of_kind if fault.proof)
        seen = ", ".join(f"{number} × {proof}" for proof, number in proofs.items())
        lines.append(f"| {kind} | {count} | {sum(fault.unanswered for fault in of_kind):,} | {seen} |")
    return lines


def _change(trend: Trend) -> str:
    return f"{trend.before:.4g} {trend.unit} in the second third, {trend.after:.4g} in the last ({trend.change:+.1%})"
