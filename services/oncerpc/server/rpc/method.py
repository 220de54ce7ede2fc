"""What a method is: a name, the shape of its params and result, and a function that says what the call means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

from msgspec import Meta, Struct

from oncerpc.wire.errors import KnownError
from oncerpc.wire.identity import CallMeta

if TYPE_CHECKING:
    from oncerpc.server.config import Config
    from oncerpc.server.failpoints import Failpoints
    from oncerpc.server.records import Records
    from oncerpc.server.sessions import Sessions

__all__ = [
    "INTEGER_MAX",
    "INTEGER_MIN",
    "RESULT_BYTES_MAX",
    "Context",
    "Declared",
    "DeclaredError",
    "Integer",
    "Method",
    "MethodKind",
    "Params",
    "ServerFacts",
    "Service",
]

RESULT_BYTES_MAX = 4 * 1024 * 1024
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

Integer = Annotated[int, Meta(ge=INTEGER_MIN, le=INTEGER_MAX)]


class Params(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """By-name params of a method; by-position ones follow the order of the fields.

    What is left at its default is left out of the fingerprint: a release that adds an optional param still knows the
    calls that it recorded before.
    """


class DeclaredError(NamedTuple):
    """What a service says of an error before it happens."""

    code: int
    name: str
    when: str
    definite: bool = True


Declared: TypeAlias = "DeclaredError | type[KnownError]"
"""An error that a method may answer with."""


class MethodKind(Enum):
    """Where a method runs, and what its metadata may say."""

    WRITE = "changes the store; has an identity; runs in the committer"
    READ = "a snapshot of what is committed; never recorded"
    SESSION = "opens, renews or closes a session; runs in the committer"
    SERVER = "about the server itself; never recorded"


@dataclass(frozen=True)
class Service:
    """Whose calls these are. name: as `server.info` gives it; title and info: as `rpc.discover` does."""

    name: str
    title: str
    release: str
    methods: Mapping[str, Method]
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerFacts:
    """What does not change while a server runs."""

    config: Config
    service: Service
    boot: int
    store: str
    uptime_ms: Callable[[], int]
    sessions: Sessions
    methods: Mapping[str, Method]
    failpoints: Failpoints | None
    limits: Mapping[str, int] = field(default_factory=dict)
    """The store's own, as `server.info` gives them."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a method that is not about keys may touch while it runs; `group` only in the committer."""

    server: ServerFacts
    meta: CallMeta
    now_ms: int = 0
    group: Records[Any] | None = None


@dataclass(frozen=True)
class Method:
    """One row of the protocol's table of methods."""

    name: str
    summary: str
    kind: MethodKind
    params: type[Struct]
    result: Any
    run: Callable[[Any, Any], Any]
    """READ and WRITE: `run(rows, params)`, with a Reader or a Writable; others: `run(context, params)`."""
    errors: tuple[Declared, ...] = ()
    is_read: Callable[[Any], bool] = field(default=lambda _params: False)
    """Whether a WRITE with these params changes nothing, so that it is served as a READ."""
    keys: Callable[[Any], tuple[str, ...]] = field(default=lambda params: (params.key,))
    """The keys that a failpoint's `match` is compared with."""
    checks: Callable[[Any], tuple[str, ...]] = field(default=lambda params: ())
    """The keys beside them whose versions it looks at."""
    needs_session: bool = False
    failpoints_only: bool = False

    def reads(self, params: Any) -> bool:
        return self.kind is MethodKind.READ or (self.kind is MethodKind.WRITE and self.is_read(params))
