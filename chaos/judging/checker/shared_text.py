"""Strings that are the same object when they are equal, and that grow without being copied.

An append log of 10,000 tokens has 10,000 values of up to 100,000 characters. Kept as strings, they cost half a
gigabyte, and every comparison of two of them reads both. Here a value that came about by an append is the value before
it and the piece; equality is identity; and the characters are put together only when somebody reads them.

Equality is exact. A fingerprint (the characters as one number modulo a prime, which of a whole follows from those of
its parts) only finds the value that could be the same; then the characters decide.
"""

from __future__ import annotations

__all__ = ["Text", "Texts"]

_PRIME = 2**61 - 1
_CHARACTER = 2**32


class Text:
    """A string of one `Texts`; equal ones are one object."""

    __slots__ = ("_before", "_fingerprint", "_piece", "grown", "length")

    def __init__(self, before: Text | None, piece: str, fingerprint: int) -> None:
        self._before = before
        self._piece = piece
        self._fingerprint = fingerprint
        self.length: int = len(piece) + (before.length if before else 0)
        self.grown: dict[str, Text] = {}

    def __str__(self) -> str:
        pieces = []
        text: Text | None = self
        while text is not None:
            pieces.append(text._piece)
            text = text._before
        return "".join(reversed(pieces))

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"


class Texts:
    """The strings of one key's history."""

    def __init__(self) -> None:
        self._by_string: dict[str, Text] = {}
        self._by_look: dict[tuple[int, int], list[Text]] = {}

    def of(self, string: str) -> Text:
        """The one text with these characters."""
        text = self._by_string.get(string)
        if text is None:
            text = self._by_string[string] = self._only(Text(None, string, _fingerprint(string)))
        return text

    def append(self, before: Text, piece: str) -> Text:
        """The one text with the characters of both."""
        text = before.grown.get(piece)
        if text is None:
            fingerprint = (before._fingerprint * pow(_CHARACTER, len(piece), _PRIME) + _fingerprint(piece)) % _PRIME
            text = before.grown[piece] = self._only(Text(before, piece, fingerprint))
        return text

    def _only(self, text: Text) -> Text:
        alike = self._by_look.setdefault((text.length, text._fingerprint), [])
        for known in alike:
            if str(known) == str(text):
                return known
        alike.append(text)
        return text


def _fingerprint(string: str) -> int:
    return int.from_bytes(string.encode("utf-32-be", "surrogatepass"), "big") % _PRIME
