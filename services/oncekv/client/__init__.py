"""The client: `connect` makes one; every call ends as a result, a definite failure, or an explicit unknown.

The files in the order in which a call passes them: connect, binding, stub (1; typed, batch), issue (portions, session,
ledger, outbox), caller (2; request, retry, verdict), transport (3; connections); and back by reply, ending, verdict,
outcome. `history` records.
"""

from __future__ import annotations

from oncekv.client.batch import Batch, Later
from oncekv.client.binding import BindingError, Link, bind
from oncekv.client.caller import World
from oncekv.client.connect import connect
from oncekv.client.history import History, Operation
from oncekv.client.issue import Recovered
from oncekv.client.outbox import OutboxBusy, OutboxError
from oncekv.client.outcome import (
    Attempt,
    ClientClosed,
    Failed,
    HttpRefused,
    Ok,
    Outcome,
    OutcomeUnknown,
    Unknown,
    UnlistedError,
    Unreachable,
)
from oncekv.client.retry import RetryPolicy
from oncekv.client.semantics import Semantics
from oncekv.client.spread import server_of
from oncekv.client.stub import Client

__all__ = [
    "Attempt",
    "Batch",
    "BindingError",
    "Client",
    "ClientClosed",
    "Failed",
    "History",
    "HttpRefused",
    "Later",
    "Link",
    "Ok",
    "Operation",
    "OutboxBusy",
    "OutboxError",
    "Outcome",
    "OutcomeUnknown",
    "Recovered",
    "RetryPolicy",
    "Semantics",
    "Unknown",
    "UnlistedError",
    "Unreachable",
    "World",
    "bind",
    "connect",
    "server_of",
]
