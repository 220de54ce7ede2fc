"""The only list of error codes: every error that a reply can carry, and whether it is definite.

*Definite* speaks of one attempt: that attempt surely had no effect. *Recorded* errors are replies of the
application; they are stored in the dedup record and replayed. All others are refusals or failures and are never
recorded, so the same identity may be tried again.

    RpcError                    from 2000 on: a service's own; it ran, changed nothing and said why; recorded
    ├── Refused                 nothing ran because of this attempt
    │   ├── ParseError  InvalidRequest  MethodNotFound  InvalidParams      (JSON-RPC 2.0)
    │   ├── Overloaded  Expired  TooManySessions                           try again, or later
    │   ├── IdentityReused  WindowExceeded                                 the client broke a rule of identity
    │   └── SessionUnknown  StaleCall                                      indefinite: an earlier attempt may have run
    ├── ApplicationError        the call ran and said no; recorded and replayed
    │   └── TooLarge, and those of the service
    └── InternalError           indefinite: nobody can tell

`rpc.discover`, the table in services/README.md and the client's exceptions all come from `REGISTRY`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = [
    "PROTOCOL_ERRORS",
    "REGISTRY",
    "SERVICE_CODE_MIN",
    "ApplicationError",
    "Expired",
    "IdentityReused",
    "InternalError",
    "InvalidParams",
    "InvalidRequest",
    "KnownError",
    "MethodNotFound",
    "Overloaded",
    "ParseError",
    "Refused",
    "RpcError",
    "SessionUnknown",
    "StaleCall",
    "TooLarge",
    "TooManySessions",
    "WindowExceeded",
]

_UNKNOWN_FIELD = re.compile(r"unknown field `(.+)`")

REGISTRY: dict[int, type[KnownError]] = {}
"""By code: those of the protocol, and of a service that has classes of its own for its errors."""


SERVICE_CODE_MIN = 2000
"""From here on codes are a service's own."""


class RpcError(Exception):
    """An error that travels in a JSON-RPC reply as `{"code", "message", "data": {"name", "definite", ...}}`.

    A method of a service raises it with a code from 2000 on: `RpcError(2001, "insufficient_funds", "not enough money",
    balance=3)`. What the method wrote is rolled back, and the error is recorded and replayed. `definite`: whether the
    caller may take it that the call had no effect. `facts`, given by keyword, are the further members of `data`; they
    must be JSON values. Raises ValueError for a code below 2000.
    """

    code: int = 0
    name: str = ""
    definite: bool = False
    recorded: bool = False
    when: str = ""
    attempts: Sequence[Any] = ()
    """Set by the client that raises it: every transmission of the call."""

    def __init__(self, code: int, name: str, message: str, *, definite: bool = True, **data: Any) -> None:
        if code < SERVICE_CODE_MIN:
            raise ValueError(f"error code {code}: those below {SERVICE_CODE_MIN} are the protocol's own")
        super().__init__(message)
        self.code, self.name, self.message, self.definite = code, name, message, definite
        self.recorded = True
        self.facts = data

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled by its state: its constructor asks for more than an exception keeps in `args`."""
        return _bare, (type(self), self.args), self.__dict__

    def as_json(self) -> dict[str, Any]:
        """The JSON-RPC error object; `data` stands last, where a replay puts its mark."""
        data = {"name": self.name, "definite": self.definite, **self.facts}
        return {"code": self.code, "message": self.message, "data": data}


def _bare(kind: type[RpcError], args: tuple[Any, ...]) -> RpcError:
    return kind.__new__(kind, *args)


class KnownError(RpcError):
    """An error whose code, name and meaning its class says."""

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__:
            assert cls.code not in REGISTRY, f"error code {cls.code} is given twice"
            REGISTRY[cls.code] = cls

    def __init__(self, message: str = "", **facts: Any) -> None:
        Exception.__init__(self, message or self.when)
        self.message = message or self.when
        self.facts = facts


class Refused(KnownError):
    """Nothing ran because of this attempt; never recorded."""

    definite = True


class ApplicationError(KnownError):
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


class InternalError(KnownError):
    code, name, when = -32603, "internal_error", "the server failed; its log has the reason"


class Overloaded(Refused):
    code, name, when = 11, "overloaded", "refused before it began: too many calls wait"


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


PROTOCOL_ERRORS: Sequence[type[KnownError]] = tuple(REGISTRY.values())
"""What any service may answer."""
