"""A verdict in words that a person can follow with the history beside it: every operation is named by its lines."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.judging.checker.history import Operation, quoted
from chaos.judging.checker.verdict import Counterexample, KeyVerdict, Step, Verdict

__all__ = ["in_words", "report"]

KEYS_SHOWN = 5
OBSTACLES_SHOWN = 10


def report(verdict: Verdict) -> str:
    """The verdict, then the reason for every key that did not pass."""
    return "\n".join(_report(verdict))


def _report(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.word}: {_amount(verdict)}, model {verdict.model}"
    troubled = sorted((key for key in verdict.keys if not key.holds), key=lambda key: key.holds is None)
    for key in troubled[:KEYS_SHOWN]:
        yield ""
        yield from _of_key(key)
    if len(troubled) > KEYS_SHOWN:
        more = ", ".join(_name(key) for key in troubled[KEYS_SHOWN:])
        yield f"\nnor do these pass: {more}"


def _amount(verdict: Verdict) -> str:
    operations, pending, failed = (
        sum(getattr(key, what) for key in verdict.keys) for what in ("operations", "pending", "failed")
    )
    if not operations:
        return "there is no operation in it"
    return f"{operations} operations ({pending} of unknown outcome, {failed} failed) on {_plural(verdict.keys, 'key')}"


def _plural(things: tuple[object, ...], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def _of_key(verdict: KeyVerdict) -> Iterator[str]:
    if verdict.holds is None:
        yield (
            f"{_name(verdict)}: unknown: {verdict.ran_out}, with {verdict.operations} operations, {verdict.pending} of"
            f" unknown outcome, and {verdict.configurations} configurations searched"
        )
    elif verdict.counterexample is not None:
        yield f"{_name(verdict)}: no order of its operations fits"
        yield from _of_counterexample(verdict.counterexample)


def _name(verdict: KeyVerdict) -> str:
    return "the register" if verdict.key is None else f"key {quoted(verdict.key)}"


def _of_counterexample(example: Counterexample) -> Iterator[str]:
    kind = "the shortest wrong beginning" if example.is_shortest else "a wrong beginning (there may be a shorter one)"
    yield f"  {kind} ends with line {example.line}, {example.events} of the key's {example.events_total} events:"
    yield f"    {in_words(example.last)}"
    yield f"  the longest order that fits has {example.order_length} of its operations" + (
        f", the last {len(example.order)} of which are:" if len(example.order) < example.order_length else ":"
    )
    yield from _table(example.order)
    yield f"  the key is then {example.state}, and nothing can come next:"
    obstacles = sorted(example.obstacles, key=lambda obstacle: obstacle.operation.completed or float("inf"))
    for obstacle in obstacles[:OBSTACLES_SHOWN]:
        yield f"    {in_words(obstacle.operation)}"
        yield f"        {obstacle.reason}"
    if len(obstacles) > OBSTACLES_SHOWN:
        yield f"    and {len(obstacles) - OBSTACLES_SHOWN} more"


def _table(order: tuple[Step, ...]) -> Iterator[str]:
    for step in order:
        yield f"    {in_words(step.operation)}"
        yield f"        then {step.state}"


def in_words(operation: Operation) -> str:
    """Where it stands, whose it is, what it asked, and what it was told."""
    lines = f"lines {operation.invoked}–{operation.completed or '?'}"
    who = operation.call or f"process {operation.process}"
    asked = "" if operation.f in ("get", "read", "delete") else f" {quoted(operation.argument)}"
    attempts = f" ({operation.attempts} attempts)" if (operation.attempts or 0) > 1 else ""
    return f"{lines}: {who}: {operation.f}{asked}{_told(operation)}{attempts}"


def _told(operation: Operation) -> str:
    error = f" ({operation.error})" if operation.error else ""
    if operation.outcome == "info":
        return f", outcome unknown{error}"
    if operation.outcome == "fail":
        return f", told that it failed{error}"
    result = f" {quoted(operation.result)}" if operation.f in ("get", "read", "increment", "delete") else ""
    facts = {"version": operation.version, "offset": operation.offset}
    told = "".join(f", {name} {fact}" for name, fact in facts.items() if fact is not None)
    return f", told{result or ' ok'}{told}"
