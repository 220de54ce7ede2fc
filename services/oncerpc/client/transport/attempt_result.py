"""How one attempt ended, as far as this side of the network can tell.

    Answered   the reply came: the call ran, now or before            -> its result
    Errored    the reply came and carries an error                    -> definite or not, by the registry
    Lost       something was sent and no usable reply came            -> it may have run, or may yet run
    NotSent    no byte of the request left this machine               -> it surely never ran

Place on the way: made by transport (3) and `reply`, weighed by `decision` (2). `NotSent` is claimed only where
it is certain; whatever is doubtful is `Lost`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from oncerpc.wire.errors import ApplicationError, RpcError

__all__ = ["Answered", "AttemptResult", "Errored", "Lost", "NotSent", "describe"]


@dataclass(frozen=True, slots=True)
class Answered:
    """`result` is the first reply's result object; a replay's mark is taken out and told in `replayed`."""

    result: dict[str, Any]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Errored:
    """`retry_after_s` is the server's wish (Retry-After), None where it has none."""

    error: RpcError
    replayed: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """`reason` is a few words for people: "timed out", "connection lost", "bad reply: ..."."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """`reason` is a few words for people."""

    reason: str


AttemptResult: TypeAlias = Answered | Errored | Lost | NotSent


def describe(result: AttemptResult) -> str:
    """The result in a few words, as an `Attempt` lists it."""
    match result:
        case Answered(replayed=True):
            return "ok (replayed)"
        case Answered():
            return "ok"
        case Errored(error=ApplicationError() as error, replayed=replayed):
            return f"error: {error.name}" + (" (replayed)" if replayed else "")
        case Errored(error=error):
            return f"refused: {error.name}" if error.definite else f"error: {error.name}"
        case Lost(reason=reason):
            return reason
        case NotSent(reason=reason):
            return f"not sent: {reason}"
