"""What can go wrong between us and etcd (step 10), told apart by what the caller may conclude.

    EtcdError
    ├─ EtcdUnreachable   no member took the request: nothing of it began
    ├─ EtcdLost          it was sent, and what became of it nobody can tell
    └─ EtcdRefused       a member said no, and did nothing
       ├─ EtcdOverLimit  too many operations, or too many bytes, for one request
       ├─ EtcdCompacted  the revision that was asked for is gone
       └─ EtcdDenied     no such user, wrong password, or no right to these keys

Which of etcd's errors are refusals: those that it raises before it proposes a request to its members, or on all
members alike when it is applied. A time-out, a leader that changed and a server that stops are none: the proposal may
be applied later. No message holds more than etcd's own words, and those name neither keys nor credentials.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "EtcdCompacted",
    "EtcdDenied",
    "EtcdError",
    "EtcdLost",
    "EtcdOverLimit",
    "EtcdRefused",
    "EtcdUnreachable",
    "error_of",
]


class EtcdError(Exception):
    pass


class EtcdUnreachable(EtcdError):
    pass


class EtcdLost(EtcdError):
    pass


class EtcdRefused(EtcdError):
    pass


class EtcdOverLimit(EtcdRefused):
    pass


class EtcdCompacted(EtcdRefused):
    pass


class EtcdDenied(EtcdRefused):
    pass


# gRPC's codes, as the gateway gives them in `code`.
_INVALID_ARGUMENT, _PERMISSION_DENIED, _RESOURCE_EXHAUSTED = 3, 7, 8
_FAILED_PRECONDITION, _OUT_OF_RANGE, _UNAUTHENTICATED = 9, 11, 16
_REFUSALS = {_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _FAILED_PRECONDITION, _OUT_OF_RANGE}
_OVER_LIMIT = ("too many operations", "request is too large", "message larger than max")
_DENIED = ("authentication failed", "invalid auth token", "user name is empty", "permission denied")


class _Body(msgspec.Struct):
    error: str = ""
    message: str = ""
    code: int = 0


def error_of(status: int, body: bytes) -> EtcdError:
    """The error that a reply other than 200 stands for; what is not etcd's own reply says nothing of the outcome."""
    try:
        said = msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError:
        return EtcdLost(f"HTTP {status}, and not in etcd's words")
    text = " ".join((said.message or said.error).split())[:200] or f"HTTP {status}"
    if said.code in (_PERMISSION_DENIED, _UNAUTHENTICATED) or any(word in text for word in _DENIED):
        return EtcdDenied(text)
    if said.code not in _REFUSALS:
        return EtcdLost(text)
    if any(word in text for word in _OVER_LIMIT):
        return EtcdOverLimit(text)
    return EtcdCompacted(text) if "compacted" in text else EtcdRefused(text)
