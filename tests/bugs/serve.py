"""A server with a bug in it: `python -m tests.bugs.serve NAME serve --listen …`, else as `oncekv serve …`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from oncekv import cli
from tests.bugs.planted import load

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Plant the bug that the first word names, then be `oncekv` with the others; its exit code."""
    with load(words[0]).plant():
        return cli.main(words[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
