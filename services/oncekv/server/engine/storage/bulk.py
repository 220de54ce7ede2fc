"""Many rows by few statements: `INSERT … VALUES (…), (…), …` with as many rows as there are.

Every step of a statement lets go of Python's lock and takes it again, and while another thread computes, that costs
many times the step itself; a group of calls must therefore take few steps, however large it is. Sizes are powers of
two, so that few statements are ever prepared and each is kept. The last row is given again to fill one up, so what a
statement does to a row must be the same if it is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

__all__ = ["Bulk", "portions"]

ROWS_MAX = 256


def portions(count: int) -> Iterator[int]:
    """The sizes of the statements for so many rows: in sum at least `count`, and at most a third of it more."""
    size = ROWS_MAX
    while count > 0:
        while size > count:
            size //= 2
        if (count - size) * 2 >= size and size < ROWS_MAX:
            size *= 2
        yield size
        count -= size


class Bulk:
    """One statement over any number of rows: `head`, then `row` for each of them separated by commas, then `tail`."""

    def __init__(self, head: str, row: str, tail: str = "") -> None:
        self._head, self._row, self._tail = head, row, tail
        self._texts: dict[int, str] = {}

    def run(self, execute: Callable[[str, Sequence[Any]], Any], rows: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """Each statement's cursor, when it has run."""
        first = 0
        for size in portions(len(rows)):
            some = [*rows[first : first + size]]
            some += [some[-1]] * (size - len(some))
            yield execute(self._text(size), tuple(chain.from_iterable(some)))
            first += size

    def do(self, execute: Callable[[str, Sequence[Any]], Any], rows: Sequence[Sequence[Any]]) -> None:
        """Run it for what it does."""
        for _ in self.run(execute, rows):
            pass

    def _text(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            text = self._texts[size] = f"{self._head}{', '.join([self._row] * size)}{self._tail}"
        return text
