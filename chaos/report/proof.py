"""Which attempts of a call took effect, as far as the evidence proves it. Pure.

An attempt without an answer may have run. The store tells how many effects the call has, and a replay tells that its
own attempt added none. What is left over belongs to the attempts without an answer: none of them, all of them, or
some, and then nobody can say which.

Whatever is left over is proven to be theirs only if the network makes no copies of messages. Where some call of a
scenario has more effects than attempts, or is a replay at its first attempt, it does, and "took effect" is not said.

Limit: the store is read at the end. Where it holds fewer effects than the replies told of, its disk was lost, and no
attempt without an answer is said to have or not to have run.
"""

from __future__ import annotations

from collections.abc import Iterable

from chaos.report.labels import ANSWERED, LOST, NOT_SENT, REFUSED, REPLAYED, ending_of
from chaos.report.records import Attempt, Call

__all__ = [
    "MAYBE",
    "NO_EFFECT",
    "RAN",
    "READS",
    "UNSENT",
    "WAS_REFUSED",
    "WAS_REPLAY",
    "explain",
    "fates",
    "has_copies",
]

RAN, NO_EFFECT, MAYBE, WAS_REPLAY, WAS_REFUSED, UNSENT, READS = (
    "took effect",
    "no effect in the store",
    "may have run",
    "replays the reply",
    "refuses it",
    "never left",
    "reads",
)


def has_copies(calls: Iterable[Call]) -> bool:
    """Whether the calls show that the network doubled a message."""
    return any(
        call.ran > len(call.attempts) or (call.replayed and len(call.attempts) == 1 and not call.is_read)
        for call in calls
    )


def fates(call: Call, copies: bool = False) -> list[str]:
    """For each attempt, what is known of it. `copies`: messages were doubled in this scenario."""
    doubtful = sum(_is_doubtful(attempt) for attempt in call.attempts)
    left = _left_over(call)
    if left < 0 or call.is_read or (left and (copies or left > doubtful)):
        unanswered = MAYBE
    else:
        unanswered = NO_EFFECT if left == 0 else RAN if left == doubtful else f"{left} of {doubtful} ran"
    answered = {**_ANSWERED, ANSWERED: READS if call.is_read else RAN}
    return [unanswered if _is_doubtful(attempt) else answered[ending_of(attempt.ending)] for attempt in call.attempts]


def explain(call: Call, copies: bool = False) -> str:
    """What the evidence proves of the call, in plain words."""
    if call.is_read:
        return "A read: it leaves nothing in the store that could prove it."
    sentences = [f"The store holds this call’s effect {_times(call.ran)}."]
    lost = [attempt.number for attempt in call.attempts if _is_doubtful(attempt)]
    if WAS_REPLAY in fates(call):
        sentences.append(_of_replay(lost, call.ran, copies))
    elif _left_over(call) < 0:
        sentences.append("The server had answered that it ran: what it wrote is not there any more.")
    elif call.ran > len(call.attempts):
        sentences.append(
            f"It was sent {_times(len(call.attempts))}: a message was doubled on the way, and its copy ran."
        )
    elif copies and lost and _left_over(call):
        sentences.append("An attempt without an answer ran, or a copy that was made on the way.")
    elif lost:
        sentences.append(_of_lost(lost, _left_over(call)))
    if call.told in ("unknown", "never"):
        sentences.append("Its client was told that nobody can tell.")
    return " ".join(sentences)


_ANSWERED = {ANSWERED: RAN, REPLAYED: WAS_REPLAY, REFUSED: WAS_REFUSED, NOT_SENT: UNSENT, LOST: MAYBE}


def _is_doubtful(attempt: Attempt) -> bool:
    """No answer, or one that says that nobody can tell."""
    return ending_of(attempt.ending) is LOST or attempt.ending.startswith("error: internal")


def _left_over(call: Call) -> int:
    """Effects that no answer accounts for; below zero: the store has lost some."""
    kinds = [ending_of(attempt.ending) for attempt in call.attempts]
    return -1 if REPLAYED in kinds and call.ran == 0 else call.ran - kinds.count(ANSWERED)


def _of_replay(lost: list[int], effects: int, copies: bool) -> str:
    if effects == 0:
        return "Its answer is a replay, so an earlier attempt had run; what it wrote is not there any more."
    if not lost:
        return "Its answer is a replay: the dedup record had it already."
    if copies:
        return "Its answer is a replay: an earlier attempt had run, or a copy of a message that was made on the way."
    return f"Its answer is a replay of the first reply, which proves that {_named(lost, 'one of')} had run before."


def _of_lost(lost: list[int], ran: int) -> str:
    if ran == 0:
        return f"So {_named(lost, 'none of') if len(lost) > 1 else f'attempt {lost[0]}'} left {_no(lost)} effect."
    if ran == len(lost):
        return f"So {_named(lost, 'each of')} ran, though no answer came."
    return f"So {ran} of attempts {_listed(lost)} ran, though no answer came; which, nobody can tell."


def _no(lost: list[int]) -> str:
    return "an" if len(lost) > 1 else "no"


def _named(numbers: list[int], which: str) -> str:
    return f"attempt {numbers[0]}" if len(numbers) == 1 else f"{which} attempts {_listed(numbers)}"


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]} to {numbers[-1]}"


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")
