"""A client in a process of its own, with a bug in it: `python -m tests.bugs.client_process NAME PLAN`, else as `chaos.workload.client_process`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from chaos.workload import client_process
from tests.bugs.planted import load

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Plant the bug that the first word names, then be `chaos.workload.client_process` with the others."""
    with load(words[0]).plant():
        client_process.main(words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
