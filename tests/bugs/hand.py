"""A client in a process of its own, with a bug in it: `python -m tests.bugs.hand NAME PLAN`, else as `chaos.hand`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from chaos import hand
from tests.bugs.planted import load

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Plant the bug that the first word names, then be `chaos.hand` with the others."""
    with load(words[0]).plant():
        hand.main(words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
