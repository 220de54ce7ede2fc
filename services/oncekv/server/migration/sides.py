"""What a move asks of an engine: to give its content in order, and to take another store's in batches."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import msgspec

from oncekv.server.config import StartupError
from oncekv.server.engine.storage import engine_of
from oncekv.server.migration.items import KINDS, Id, Item

__all__ = [
    "UNFINISHED",
    "MigrationFailed",
    "MigrationRefused",
    "Origin",
    "Progress",
    "Side",
    "decode_progress",
    "encode_progress",
    "open_side",
]


class MigrationRefused(StartupError):
    """These two stores cannot be moved into each other as they are; nothing was changed."""


class MigrationFailed(StartupError):
    """It broke off; what was moved so far stays, and the same command goes on from there."""


class Origin(msgspec.Struct, frozen=True):
    """A source as it was found. boot, clock_ms: how often it was served, and its lease clock. `state` changes with
    every server that runs on it.
    """

    where: str
    boot: int
    clock_ms: int
    state: str


class Progress(msgspec.Struct, frozen=True):
    """How far a move has come; stands in the target, and changes with each batch.

    kind: what is being moved. after: the last item of it that was. counts: how many, by kind.
    """

    origin: Origin
    kind: str = KINDS[0]
    after: Id | None = None
    counts: dict[str, int] = {}

    def moved(self, kind: str, after: Id, count: int) -> Progress:
        """So many more."""
        counts = {**self.counts, kind: self.counts.get(kind, 0) + count}
        return msgspec.structs.replace(self, kind=kind, after=after, counts=counts)


encode_progress = msgspec.msgpack.encode


def decode_progress(stored: bytes) -> Progress:
    """What `encode_progress` was given. Raises MigrationRefused for another release's."""
    try:
        return msgspec.msgpack.decode(stored, type=Progress)
    except msgspec.MsgspecError:
        raise MigrationRefused(
            "another release has begun a move into the target; go on with that one, or empty the target"
        ) from None


class Side(Protocol):
    """One store. All methods raise MigrationRefused or MigrationFailed with the cause and the way out."""

    where: str
    """The store without credentials, fit to be shown."""
    batch_items: int
    batch_bytes: int
    """What one `put` takes."""

    def origin(self) -> Origin:
        """See that it is a store of this release on which no server runs, as far as can be known."""
        ...

    def state(self) -> str:
        """As in Origin: another one than before when a server has run meanwhile."""
        ...

    def items(self, kind: str, after: Id | None = None) -> Iterator[Item]:
        """All of one kind behind `after`, streamed; one such iteration at a time."""
        ...

    def progress(self) -> Progress | None:
        """Of the move into this store that is not over; None if there is nothing at its place at all."""
        ...

    def begin(self, progress: Progress) -> None:
        """Make the tables, closed to servers."""
        ...

    def put(self, kind: str, items: Sequence[Item], before: Progress, after: Progress) -> None:
        """Write a batch and the new progress in one transaction."""
        ...

    def finish(self, progress: Progress) -> None:
        """Counts, starts and the lease clock; in the same transaction it becomes a store that servers open."""
        ...

    def close(self) -> None: ...


def open_side(url: str, option: str) -> Side:
    """The store behind `url`, opened when it is first asked for something. Raises UsageError."""
    engine, location = engine_of(url, option)
    module = importlib.import_module(f"{__package__}.{engine}_side")
    return cast("Side", module.open_side(location))


UNFINISHED = "a move into it is not over; run the same `oncekv migrate` again, or empty it"
