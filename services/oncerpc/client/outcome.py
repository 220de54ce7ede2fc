"""What a call came to: a result, a definite failure, or an explicit *unknown* that lists the attempts.

Every call ends in exactly one `Outcome`. The raising API hands out the result or raises:

    RpcError (wire.errors)           the server's own errors; each raised one has `.attempts`
    ├── Refused
    │   ├── Unreachable              definite: no attempt was ever sent
    │   ├── ClientClosed             definite: the client was closed before the call could be sent
    │   └── HttpRefused              definite: an HTTP status that says that nothing ran (401, 404, 413 ...)
    ├── UnlistedError                indefinite: an error code that the registry does not have
    └── OutcomeUnknown               indefinite: nobody can tell; the message lists the attempts

    OutboxError (outbox)             the outbox file cannot be used; BindingError (binding): no such server

Place on the way: what the stub (1) returns. Pure. Guarantee: `Failed` is only said when the call surely had
no effect and never will have one (under at-least-once: none from the attempt that answered).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

from oncerpc.wire.errors import KnownError, Refused, RpcError

__all__ = [
    "Attempt",
    "ClientClosed",
    "Failed",
    "HttpRefused",
    "Ok",
    "Outcome",
    "OutcomeUnknown",
    "Unknown",
    "UnlistedError",
    "Unreachable",
    "error_of",
    "result_of",
]

_LISTED_MAX = 6


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transmission. `number` counts from 1; `link` is a link's name or URL; times are the client's clock."""

    number: int
    link: str
    started_s: float
    took_s: float
    result: str

    def __str__(self) -> str:
        return f"{self.number}. {self.link}: {self.result} after {self.took_s * 1000:.0f} ms"


@dataclass(frozen=True, slots=True)
class Ok:
    """`result` is equal to the first reply's; `replayed` tells that it came from the dedup record."""

    result: Any
    """An object; a read of a service may answer any JSON value."""
    replayed: bool = False
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Definite: the call had no effect. `error` is the reason."""

    error: RpcError
    replayed: bool = False
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The call may have run, or may yet run. `kept`: it stays in the outbox, and a later resume finishes it."""

    reason: str
    kept: bool = False
    attempts: tuple[Attempt, ...] = ()


Outcome: TypeAlias = Ok | Failed | Unknown


class Unreachable(Refused):
    """No attempt left this machine: no connection, or a deadline that passed before the first attempt."""

    name, when = "unreachable", "no attempt could be sent"


class ClientClosed(Refused):
    """The client was closed before the call could be sent."""

    name, when = "client_closed", "the client is closed"


class HttpRefused(Refused):
    """The server refused the HTTP request itself; `facts["status"]` says how."""

    name, when = "http_refused", "the server refused the HTTP request"

    @property
    def can_be_mended(self) -> bool:
        """Whether the same request may be taken later: a token or an address can be put right, a body cannot."""
        return self.facts.get("status") in (401, 403, 404, 405)


class UnlistedError(KnownError):
    """An error code below 2000 that this client's registry does not have: it may mean anything for the effect."""

    name, when = "unlisted_error", "the server answered with an unlisted error"


class OutcomeUnknown(KnownError):
    """Nobody can tell whether the call ran. `attempts` lists every transmission; `kept` as in `Unknown`."""

    name, when = "outcome_unknown", "nobody can tell whether the call ran"

    def __init__(self, reason: str, attempts: Sequence[Attempt] = (), *, kept: bool = False) -> None:
        super().__init__("; ".join([reason, *_listed(attempts)]))
        self.reason = reason
        self.attempts = tuple(attempts)
        self.kept = kept


def result_of(outcome: Outcome) -> Ok:
    """The outcome if it is a result; raises its error or OutcomeUnknown if not."""
    if isinstance(outcome, Ok):
        return outcome
    raise error_of(outcome)


def error_of(outcome: Failed | Unknown) -> RpcError:
    """The exception that tells of it; `.attempts` lists every transmission."""
    if isinstance(outcome, Unknown):
        return OutcomeUnknown(outcome.reason, outcome.attempts, kept=outcome.kept)
    error = copy(outcome.error)  # each raise its own: calls of one batch may share a refusal
    error.attempts = outcome.attempts
    return error


def _listed(attempts: Sequence[Attempt]) -> list[str]:
    """The attempts as words: all of a few, the first and last ones of many."""
    if len(attempts) <= _LISTED_MAX:
        return [str(attempt) for attempt in attempts]
    half = _LISTED_MAX // 2
    return [*map(str, attempts[:half]), "...", *map(str, attempts[-half:])]
