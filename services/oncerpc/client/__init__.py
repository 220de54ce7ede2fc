"""The client: `connect` makes one; every call ends as a result, a definite failure, or an explicit unknown.

The folders in the order in which a call passes them: `api` (connect, the stub, batches), `session` (its identity),
`retry` (attempt after attempt), `transport` (one POST); `services/README.md` names the files.
"""

from __future__ import annotations

from oncerpc.client.api.batch import Batch, Future
from oncerpc.client.api.history import History, Operation
from oncerpc.client.api.issuer import Recovered
from oncerpc.client.api.stub import Client
from oncerpc.client.outcome import (
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
from oncerpc.client.retry.backoff import RetryPolicy
from oncerpc.client.retry.retry_loop import Environment
from oncerpc.client.semantics import Semantics
from oncerpc.client.session.outbox import OutboxBusy, OutboxError
from oncerpc.client.transport.binding import BindingError, Link, bind

connect = Client.connect

__all__ = [
    "Attempt",
    "Batch",
    "BindingError",
    "Client",
    "ClientClosed",
    "Environment",
    "Failed",
    "Future",
    "History",
    "HttpRefused",
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
]
