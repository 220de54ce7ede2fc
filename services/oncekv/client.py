"""The client: `connect` makes one; every call ends as a result, a definite failure, or an explicit unknown.

Everything of `oncerpc.client`, where the way of a call begins, with the key/value service's typed `connect`.
"""

from __future__ import annotations

from oncekv.kv.client import KvBatch as Batch
from oncekv.kv.client import KvClient as Client
from oncekv.kv.client import connect
from oncekv.kv.sharding import shard_for
from oncerpc.client.api.batch import Future
from oncerpc.client.api.history import History, Operation
from oncerpc.client.api.issuer import Recovered
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
    "shard_for",
]
