"""The only list of error codes: every error that a reply can carry, and whether it is definite.

*Definite* speaks of one attempt: that attempt surely had no effect. *Recorded* errors are replies of the
application; they are stored in the dedup record and replayed. All others are refusals or failures and are never
recorded, so the same identity may be tried again.

    KvError
    ├── Refused                 nothing ran because of this attempt
    │   ├── ParseError  InvalidRequest  MethodNotFound  InvalidParams      (JSON-RPC 2.0)
    │   ├── Overloaded  Expired  TooManySessions                           try again, or later
    │   ├── IdentityReused  WindowExceeded                                 the client broke a rule of identity
    │   └── SessionUnknown  StaleCall                                      indefinite: an earlier attempt may have run
    ├── ApplicationError        the call ran and said no; recorded and replayed
    │   └── VersionMismatch  NotAnInteger  TooLarge
    └── InternalError           indefinite: nobody can tell

`rpc.discover`, the table in services/README.md and the client's exceptions all come from `REGISTRY`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = [
    "REGISTRY",
    "ApplicationError",
    "Expired",
    "IdentityReused",
    "InternalError",
    "InvalidParams",
    "InvalidRequest",
    "MethodNotFound",
    "NotAnInteger",
    "Overloaded",
    "ParseError",
    "Refused",
    "RpcError",
    "SessionUnknown",
    "StaleCall",
    "TooLarge",
    "TooManySessions",
    "VersionMismatch",
    "WindowExceeded",
]

_UNKNOWN_FIELD = re.compile(r"unknown field `(.+)`")

REGISTRY: dict[int, type[RpcError]] = {}


class RpcError(Exception):
    """An error that travels in a JSON-RPC reply as `{"code", "message", "data": {"name", "definite", ...}}`.

    `facts` are the further members of `data`; they must be JSON values.
    """

    code: ClassVar[int] = 0
    name: ClassVar[str] = ""
    definite: ClassVar[bool] = False
    recorded: ClassVar[bool] = False
    when: ClassVar[str] = ""
    attempts: Sequence[Any] = ()
    """Set by the client that raises it: every transmission of the call."""

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__:
            assert cls.code not in REGISTRY, f"error code {cls.code} is given twice"
            REGISTRY[cls.code] = cls

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message or self.when)
        self.message = message or self.when
        self.facts = facts

    def as_json(self) -> dict[str, Any]:
        """The JSON-RPC error object; `data` stands last, where a replay puts its mark."""
        data = {"name": self.name, "definite": self.definite, **self.facts}
        return {"code": self.code, "message": self.message, "data": data}


class Refused(RpcError):
    """Nothing ran because of this attempt; never recorded."""

    definite = True


class ApplicationError(RpcError):
    """The call ran, changed nothing and said why; recorded with its identity and replayed."""

    definite = True
    recorded = True


class ParseError(Refused):
    code, name, when = -32700, "parse_error", "the body is not UTF-8 JSON"


class InvalidRequest(Refused):
    code, name, when = -32600, "invalid_request", "the JSON is not a JSON-RPC 2.0 request"


class MethodNotFound(Refused):
    code, name, when = -32601, "method_not_found", "there is no such method"


class InvalidParams(Refused):
    code, name, when = -32602, "invalid_params", "the params do not fit the method"

    @classmethod
    def at(cls, root: str, error: Exception) -> InvalidParams:
        """From a msgspec validation error below the JSON path `root`: says what is wrong and where."""
        reason, _, below = str(error).partition(" - at `$")
        path = root + below.rstrip("`")
        unknown = _UNKNOWN_FIELD.search(reason)
        if unknown:
            path += f".{unknown[1]}"
        return cls(f"{reason} at {path}", path=path)


class InternalError(RpcError):
    code, name, when = -32603, "internal_error", "the server failed; its log has the reason"


class Overloaded(Refused):
    code, name, when = 11, "overloaded", "refused before it began: too many calls wait"


class VersionMismatch(ApplicationError):
    code, name, when = 22, "version_mismatch", "the key is at another version"


class NotAnInteger(ApplicationError):
    code, name, when = 23, "not_an_integer", "the value is not an integer of 64 bits, or would leave them"


class TooLarge(ApplicationError):
    code, name, when = 24, "too_large", "key, value or result over its limit"


class SessionUnknown(Refused):
    code, name, when = 1001, "session_unknown", "the session was never opened, has expired or was closed"
    definite = False


class IdentityReused(Refused):
    code, name, when = 1002, "identity_reused", "this identity belongs to a call with another method or params"


class StaleCall(Refused):
    code, name, when = 1003, "stale_call", "seq is at or below what the client acknowledged: it was settled before"
    definite = False


class WindowExceeded(Refused):
    code, name, when = 1004, "window_exceeded", "seq is too far ahead of what the client acknowledged"


class Expired(Refused):
    code, name, when = 1005, "expired", "timeout_ms was over before the call began"


class TooManySessions(Refused):
    code, name, when = 1006, "too_many_sessions", "the session limit is reached and none is evicted to make room"
