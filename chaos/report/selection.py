"""Which call of a cell is drawn, and which are listed: the most telling ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.report.labels import LOST, ending_of
from chaos.report.records import Call

__all__ = ["LISTED_MAX", "count", "listed", "most_telling", "why_telling"]

LISTED_MAX = 40
_REASONS = (
    "ran more than once",
    "was lost, sent again, and answered by a replay",
    "got no answer at all",
    "failed for good",
    "was sent again",
    "went through at the first attempt; no write of this cell fared otherwise",
)


def most_telling(calls: Sequence[Call]) -> Call | None:
    """The call that best shows what this cell is about; of several, the one with the fewest attempts."""
    return min(
        calls,
        key=lambda call: (call.is_read, _rank(call), not _waited(call), len(call.attempts), call.began_ms),
        default=None,
    )


def why_telling(call: Call) -> str:
    """What happened to it, in words that follow its name."""
    return _REASONS[_rank(call)]


def listed(calls: Sequence[Call]) -> list[Call]:
    """The calls in which something happened, at most LISTED_MAX: doubled ones first, then by time."""
    found = [call for call in calls if _happened(call)]
    chosen = sorted(found, key=lambda call: (_rank(call), call.began_ms))[:LISTED_MAX]
    return sorted(chosen, key=lambda call: call.began_ms)


def count(calls: Sequence[Call]) -> int:
    """In how many calls something happened."""
    return sum(1 for call in calls if _happened(call))


def _happened(call: Call) -> bool:
    return _rank(call) < len(_REASONS) - 1


def _rank(call: Call) -> int:
    if call.ran > 1:
        return 0
    if call.replayed and len(call.attempts) > 1:
        return 1
    if call.told in ("unknown", "never"):
        return 2
    if call.told == "definite":
        return 3
    return 4 if len(call.attempts) > 1 else 5


def _waited(call: Call) -> bool:
    """Some attempt of it left and got no answer."""
    return any(ending_of(attempt.ending) is LOST for attempt in call.attempts)
