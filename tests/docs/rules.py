"""What may differ from run to run, rule by rule. A page names those that an output needs; there are no others. Pure.

Each rule puts a word in the place of what it knows, on both sides; everything else is compared letter by letter.
`count` leaves zero alone: "0 doubled" is never the same as "8 doubled".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["RULES", "UnknownRule", "comparable"]

RULES: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    # How long something took.
    "ms": ((re.compile(r"\b\d+(\.\d+)? ms\b"), "N ms"), (re.compile(r"\b\d+\.\d+ s\b"), "N s")),
    # A process id in the line of a server that is ready.
    "pid": ((re.compile(r'"pid": \d+'), '"pid": N'),),
    # The time of day in an HTTP header.
    "date": ((re.compile(r"(?<=Date: )\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "NOW"),),
    # Numbers of calls and attempts, which differ as messages in flight do. Zero stays zero.
    "count": ((re.compile(r"\b(?!0+(\.0+)?\b(?!\.\d))\d+(\.\d+)?\b"), "N"),),
    # A call whose client was told "unknown" has an effect or not; which, the fault does not decide.
    "effect": ((re.compile(r"(no|one) effect"), "one effect or none"),),
    # The columns of a table are as wide as what is in them.
    "table": ((re.compile(r" *\| *"), " | "), (re.compile(r"(?<=\| )-+(?= \|)"), "-")),
}


class UnknownRule(Exception):
    """The page names a rule that there is not."""


def comparable(text: str, names: Iterable[str]) -> str:
    """The text with what these rules know replaced."""
    for name in names:
        if name not in RULES:
            raise UnknownRule(f"there is no rule {name!r} of what varies; there are {', '.join(RULES)}")
        for pattern, word in RULES[name]:
            text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines())
