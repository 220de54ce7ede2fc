"""Keys, values and versions: their shapes, their bounds, and what a method may do to them."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta

from oncekv.kv.errors import VersionMismatch
from oncerpc.server.rpc.method import INTEGER_MAX
from oncerpc.wire.errors import TooLarge

__all__ = [
    "Key",
    "Pages",
    "Row",
    "Rows",
    "Version",
    "Writable",
    "check_key",
    "check_value",
    "check_version",
    "utf8_length",
]

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1024 * 1024

Key = Annotated[str, Meta(min_length=1)]
"""1 to 1,024 bytes of UTF-8. The upper bound is checked when the call runs: `too_large` is recorded as a reply."""
Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]


class Row(NamedTuple):
    """One key's value and the number of its changes since it was created."""

    value: str
    version: int


class Rows(Protocol):
    """Keys to read."""

    def row(self, key: str) -> Row | None: ...


class Pages(Protocol):
    """Keys to list."""

    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]: ...


class Writable(Rows, Protocol):
    """Keys to read and to change; nothing of it stays if the method raises."""

    def put(self, key: str, value: str) -> int: ...
    def delete(self, key: str) -> None: ...


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
