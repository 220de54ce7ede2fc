"""The client: `connect` makes one; every call ends as a result, a definite failure, or an explicit unknown.

The files in the order in which a call passes them: connect, binding, stub (1; typed, batch), issue (portions, session,
ledger, outbox), caller (2; request, retry, verdict), transport (3; connections); and back by reply, ending, verdict,
outcome. `history` records.
"""

from __future__ import annotations

from oncekv.client.api.batch import Batch, Later
from oncekv.client.api.connect import connect
from oncekv.client.api.history import History, Operation
from oncekv.client.api.stub import Client
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
from oncekv.client.retry.backoff import RetryPolicy
from oncekv.client.retry.retry_loop import Environment
from oncekv.client.semantics import Semantics
from oncekv.client.session.issuer import Recovered
from oncekv.client.session.outbox import OutboxBusy, OutboxError
from oncekv.client.transport.binding import BindingError, Link, bind
from oncekv.kv.sharding import server_of

__all__ = [
    "Attempt",
    "Batch",
    "BindingError",
    "Client",
    "ClientClosed",
    "Environment",
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
    "bind",
    "connect",
    "server_of",
]
