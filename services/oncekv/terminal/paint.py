"""Colours, only for who sees them: on a terminal, and not where NO_COLOR is set (no-color.org) or TERM is dumb."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

__all__ = ["Paint"]

_CODES = {"green": "32", "red": "31", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


class Paint:
    """Paints text, or leaves it as it is."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self.is_on = stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM", "") != "dumb"

    def __call__(self, colour: str, text: str) -> str:
        """The text in that colour: green, red, yellow, cyan, dim or bold."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.is_on else text
