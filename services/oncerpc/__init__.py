"""OnceRPC: exactly-once remote calls. The effect of a call and its dedup record are one transaction.

    from oncerpc.flask import OnceRPC        retry-safe methods and views for a Flask service, in its own database
    from oncerpc import RpcError             how such a method says no
    from oncerpc import connect              the client of any service, with a choice of semantics

`docs/library.md` begins with an ordinary Flask view; `services/README.md` walks one call through the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oncerpc.wire.errors import RpcError

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """The client's names, when one is asked for: a server that makes no calls need not import `requests`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import oncerpc.client

    return getattr(oncerpc.client, name)
