"""OnceRPC: exactly-once remote calls. The effect of a call and its dedup record are one transaction.

    from oncerpc.flask import OnceRPC        retry-safe methods and views for a Flask service, in its own database
    from oncerpc import RpcError             how such a method says no
    from oncerpc import connect              the client of any service, with a choice of semantics

`docs/library.md` begins with an ordinary Flask view; `services/README.md` walks one call through the files.
"""

from __future__ import annotations

from oncerpc.client import (
    Client,
    Failed,
    Ok,
    Outcome,
    OutcomeUnknown,
    RetryPolicy,
    Semantics,
    Unknown,
    Unreachable,
    connect,
)
from oncerpc.wire.errors import RpcError

__all__ = [
    "Client",
    "Failed",
    "Ok",
    "Outcome",
    "OutcomeUnknown",
    "RetryPolicy",
    "RpcError",
    "Semantics",
    "Unknown",
    "Unreachable",
    "__version__",
    "connect",
]

__version__ = "0.1.0"
