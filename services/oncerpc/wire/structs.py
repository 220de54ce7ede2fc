"""Shapes are built before threads use them.

msgspec (0.22) builds what it knows of a Struct when it is first converted to, and another thread that converts to the
same Struct meanwhile reads it half built: a segmentation fault, seen when the first calls of a process came at once.
Whoever defines or collects shapes that threads will share therefore has them built here, on one thread. Limit: Structs
inside a Struct are built with it; a shape that is never handed in is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec

__all__ = ["build_structs"]


def build_structs(shapes: Iterable[type[msgspec.Struct]]) -> None:
    """Have msgspec build all it needs to convert to these."""
    for shape in shapes:
        with contextlib.suppress(msgspec.ValidationError):
            msgspec.convert(None, shape)
