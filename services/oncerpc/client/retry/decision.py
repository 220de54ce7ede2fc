"""The heart of the client: what one more attempt's result means for the whole call.

A *lost* attempt may have run, now or later; it poisons every later "no" that does not come from a dedup
record. With `AttemptHistory` = what the call's earlier attempts left behind, the result of this attempt settles the
call or asks for more:

    result                        maybe        at-least-once        at-most-once, exactly-once
    result                        ok           ok                   ok
    lost, internal_error          unknown      again                again
    not sent                      failed       again                again
    overloaded, expired,          failed       again                again
      too_many_sessions
    recorded: too_large, those    failed       failed; unknown if   failed: it comes from the record, which settles
      of the service                             any was lost         the call for all of its attempts
    parse_error, invalid_*,       failed       failed; unknown if   failed; unknown if any was lost
      method_not_found,                          any was lost         (another release may have run it)
      window_exceeded, HTTP 4xx
    identity_reused               failed       failed               failed: the identity belongs to another payload,
                                                                      so ours never ran and never can
    stale_call                    -            -                    unknown: it was settled, and the record is gone
    session_unknown               -            -                    reissue under a new identity; unknown if any was
                                                                      lost, for the session's records are gone
    no more time or attempts      (one only)   unknown if any lost; failed with the last refusal, or unreachable

Three lines need a word. *A harmless call* (a read) has no effect that could be lost: a lost one is asked again, under
`maybe` alone not, and every definite error is definite. *Exactly-once* never gives a call up: when the caller's
deadline passes, the caller is told unknown and the call stays in the outbox (`kept`), even if nothing was sent yet; so
does a call that HTTP 401 to 405 refuse after a lost attempt, for a token or an address can be mended. *At-most-once*
abandons a call that it reports as unknown: the client acknowledges it, so that from its next acknowledged call on the
server refuses every late arrival of it as stale.

Place on the way: retry (2). Pure. Guarantee: `Failed` means no effect, whatever was lost before. Limit: it
trusts that the server keeps the rules; one that forgets its records (`--delivery memory`) makes a liar of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from oncerpc.client.outcome import Failed, HttpRefused, Ok, Outcome, Unknown, Unreachable
from oncerpc.client.semantics import Semantics
from oncerpc.client.transport.attempt_result import Answered, AttemptResult, Errored, Lost, NotSent
from oncerpc.wire.errors import (
    Expired,
    IdentityReused,
    Overloaded,
    RpcError,
    SessionUnknown,
    StaleCall,
    TooManySessions,
)

__all__ = ["AttemptHistory", "CallKind", "Step", "Verdict", "decide", "give_up"]

_LATER = (Overloaded, Expired, TooManySessions)


@dataclass(frozen=True, slots=True)
class CallKind:
    """What the decision needs to know of a call. `identified`: its attempts carry one identity."""

    semantics: Semantics
    harmless: bool = False

    @property
    def identified(self) -> bool:
        return self.semantics.identifies and not self.harmless

    @property
    def is_kept(self) -> bool:
        return self.semantics is Semantics.EXACTLY_ONCE and not self.harmless

    def checked(self, result: AttemptResult) -> AttemptResult:
        """The result, or Lost where it cannot be this call's: what is recorded answers with an object."""
        if self.identified and isinstance(result, Answered) and not isinstance(result.result, dict):
            return Lost("bad reply: the result is not an object")
        return result


@dataclass(frozen=True, slots=True)
class AttemptHistory:
    """What earlier attempts left behind. `lost`: one of them may have run. `refusal`: the last definite one."""

    lost: bool = False
    refusal: RpcError | None = None

    def after(self, result: AttemptResult) -> AttemptHistory:
        """The history once this attempt belongs to it."""
        match result:
            case Lost():
                return replace(self, lost=True)
            case Errored(error=error) if error.definite:
                return replace(self, refusal=error)
            case Errored(error=error) if not isinstance(error, SessionUnknown):
                return replace(self, lost=True)
        return self


class Step(Enum):
    """What to do where the call is not settled yet."""

    AGAIN = "try again, under the same identity if it has one"
    REISSUE = "it surely never ran and its session is gone: open another and issue it under a new identity"


Verdict: TypeAlias = Outcome | Step


def decide(kind: CallKind, history: AttemptHistory, result: AttemptResult) -> Verdict:
    """What `result`, after `history`, makes of the call."""
    if isinstance(result, Answered):
        return Ok(result.result, result.replayed)
    if kind.semantics is Semantics.MAYBE:
        return _judge_only_attempt(result)
    if isinstance(result, Lost | NotSent):
        return Step.AGAIN
    return _judge_error(kind, history, result)


def give_up(kind: CallKind, history: AttemptHistory, reason: str) -> Outcome:
    """The outcome where no further attempt will be made."""
    if kind.is_kept:
        return Unknown(f"{reason}; the outbox keeps the call", kept=True)
    if history.lost:
        return Unknown(reason)
    return Failed(history.refusal or Unreachable(reason))


def _judge_only_attempt(result: Errored | Lost | NotSent) -> Outcome:
    match result:
        case NotSent(reason=reason):
            return Failed(Unreachable(reason))
        case Lost(reason=reason):
            return Unknown(reason)
        case Errored(error=error, replayed=replayed):
            is_refusal = error.definite or isinstance(error, SessionUnknown)
            return Failed(error, replayed) if is_refusal else Unknown(f"{error.name}: {error.message}")


def _judge_error(kind: CallKind, history: AttemptHistory, result: Errored) -> Verdict:
    error = result.error
    if isinstance(error, _LATER):
        return Step.AGAIN
    if isinstance(error, SessionUnknown | StaleCall):
        return _judge_missing_record(kind, history, error)
    if not error.definite:
        return Unknown(f"{error.name}: {error.message}") if error.recorded else Step.AGAIN
    if not history.lost or kind.harmless or _is_final(kind, error):
        return Failed(error, result.replayed)
    kept = kind.is_kept and isinstance(error, HttpRefused) and error.can_be_mended
    return Unknown(f"refused ({error.name}: {error.message}) after an attempt that may have run", kept)


def _judge_missing_record(kind: CallKind, history: AttemptHistory, error: RpcError) -> Verdict:
    """session_unknown and stale_call: this attempt did not run, and no record tells about earlier ones."""
    if not kind.identified:
        return Failed(error)
    if isinstance(error, StaleCall):
        return Unknown("stale_call: the call was settled before, and its record is gone")
    if history.lost:
        return Unknown("session_unknown: the session and its records are gone, and an earlier attempt may have run")
    return Step.REISSUE


def _is_final(kind: CallKind, error: RpcError) -> bool:
    """Whether the error speaks for every attempt of the call, not for this one alone."""
    return isinstance(error, IdentityReused) or (kind.identified and error.recorded)
