"""Lines typed on a terminal: edited, completed by Tab, remembered in a file. Python's own readline does it all."""

from __future__ import annotations

import contextlib
import os
import readline
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["LineEditing"]

PROMPT = "oncekv> "
LINES_MAX = 1000


class LineEditing:
    """Iterates over what is typed until Ctrl-D. `complete`: the words that may stand at the end of such a line."""

    def __init__(self, history: Path, complete: Callable[[str], Sequence[str]]) -> None:
        self._history = history
        self._complete = complete
        self._found: list[str] = []

    def __enter__(self) -> Self:
        # Ctrl-C gives up a line or a call, also where whoever started this shell ignores it, as scripts do beside `&`.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(OSError):  # none yet, or none that can be read: it begins empty
            readline.read_history_file(self._history)
        readline.set_history_length(LINES_MAX)
        readline.set_completer_delims(" ")
        readline.set_completer(self._nth)
        is_libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        readline.set_completer(None)
        with contextlib.suppress(OSError):
            os.close(os.open(self._history, os.O_CREAT | os.O_WRONLY, 0o600))  # what was typed may be a secret
            readline.write_history_file(self._history)

    def __iter__(self) -> Iterator[str]:
        while True:
            try:
                yield input(PROMPT)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()  # the line is given up, as in a shell

    def _nth(self, begun: str, number: int) -> str | None:
        if number == 0:
            before = readline.get_line_buffer()[: readline.get_endidx()]
            self._found = [word for word in self._complete(before) if word.startswith(begun)]
        return self._found[number] if number < len(self._found) else None
