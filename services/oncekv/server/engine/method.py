"""What a method is: a name, the shape of its params and result, and a function that says what the call means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from msgspec import Meta, Struct

from oncekv.server.engine.storage.base import Row
from oncekv.wire.errors import RpcError, TooLarge, VersionMismatch
from oncekv.wire.identity import CallMeta

if TYPE_CHECKING:
    from oncekv.server.config import Config
    from oncekv.server.engine.sessions import Sessions
    from oncekv.server.engine.storage.staged import Group
    from oncekv.server.failpoints import Failpoints

__all__ = [
    "INTEGER_MAX",
    "INTEGER_MIN",
    "RESULT_BYTES_MAX",
    "Context",
    "Integer",
    "Key",
    "Kind",
    "Method",
    "Params",
    "Rows",
    "ServerFacts",
    "Version",
    "Writable",
    "check_key",
    "check_value",
    "check_version",
    "utf8_length",
]

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1024 * 1024
RESULT_BYTES_MAX = 4 * 1024 * 1024
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

Key = Annotated[str, Meta(min_length=1)]
"""1 to 1,024 bytes of UTF-8. The upper bound is checked when the call runs: `too_large` is recorded as a reply."""
Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Integer = Annotated[int, Meta(ge=INTEGER_MIN, le=INTEGER_MAX)]


class Params(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """By-name params of a method; by-position ones follow the order of the fields.

    What is left at its default is left out of the fingerprint: a release that adds an optional param still knows the
    calls that it recorded before.
    """


class Kind(Enum):
    """Where a method runs, and what its metadata may say."""

    WRITE = "changes the store; has an identity; runs in the committer"
    READ = "a snapshot of what is committed; never recorded"
    SESSION = "opens, renews or closes a session; runs in the committer"
    SERVER = "about the server itself; never recorded"


class Rows(Protocol):
    """Keys to read."""

    def row(self, key: str) -> Row | None: ...


class Writable(Rows, Protocol):
    """Keys to read and to change; nothing of it stays if the method raises."""

    def put(self, key: str, value: str) -> int: ...
    def delete(self, key: str) -> None: ...


@dataclass(frozen=True)
class ServerFacts:
    """What does not change while a server runs."""

    config: Config
    boot: int
    store: str
    release: str
    uptime_ms: Callable[[], int]
    sessions: Sessions
    methods: Mapping[str, Method]
    failpoints: Failpoints | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a method that is not about keys may touch while it runs; `group` only in the committer."""

    server: ServerFacts
    meta: CallMeta
    now_ms: int = 0
    group: Group | None = None


@dataclass(frozen=True)
class Method:
    """One row of the protocol's table of methods."""

    name: str
    summary: str
    kind: Kind
    params: type[Struct]
    result: Any
    run: Callable[[Any, Any], Any]
    """READ and WRITE: `run(rows, params)`, with a Reader or a Writable; others: `run(context, params)`."""
    errors: tuple[type[RpcError], ...] = ()
    is_read: Callable[[Any], bool] = field(default=lambda _params: False)
    """Whether a WRITE with these params changes nothing, so that it is served as a READ."""
    keys: Callable[[Any], tuple[str, ...]] = field(default=lambda params: (params.key,))
    """The keys that a failpoint's `match` is compared with."""
    needs_session: bool = False
    failpoints_only: bool = False

    def reads(self, params: Any) -> bool:
        return self.kind is Kind.READ or (self.kind is Kind.WRITE and self.is_read(params))


def utf8_length(text: str) -> int:
    """Bytes of UTF-8; cheap for the common text of ASCII alone."""
    return len(text) if text.isascii() else len(text.encode())


def check_key(key: str) -> None:
    """Raises TooLarge."""
    if utf8_length(key) > KEY_BYTES_MAX:
        raise TooLarge(f"a key may have {KEY_BYTES_MAX} bytes", bytes_max=KEY_BYTES_MAX)


def check_value(value: str) -> None:
    """Raises TooLarge."""
    if utf8_length(value) > VALUE_BYTES_MAX:
        raise TooLarge(f"a value may have {VALUE_BYTES_MAX} bytes", bytes_max=VALUE_BYTES_MAX)


def check_version(rows: Rows, key: str, version: int | None) -> None:
    """Raises VersionMismatch with the present version; None asks for nothing."""
    if version is None:
        return
    row = rows.row(key)
    present = row.version if row else 0
    if present != version:
        raise VersionMismatch(f"version is {present}, not {version}", version=present, key=key)
