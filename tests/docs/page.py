"""A page as steps: files that it has one write, commands with the output that it shows, pictures from a run. Pure.

How a page is written, and no more than this:

    ```console                          commands begin with `$ `; what follows is what they say, stdout and stderr
    $ oncekv call kv.get key=log …      a line that ends with a backslash goes on in the next
    {"value":"tea","version":1}
    ```
    <!-- varies: ms, count -->          in front of it: the rules (rules.py) for what differs from run to run
    <!-- needs: postgresql -->          in front of it: left out, and said so, where that is not installed
    <!-- file: look.py -->              in front of a fenced block: the file is written
    <!-- picture: out/run/cell -->      in front of an image: it is drawn from this evidence

Without `varies` an output is compared letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Command", "File", "PageError", "Picture", "Step", "steps_of", "with_outputs"]

DIRECTIVE = re.compile(r"<!-- (varies|needs|file|picture): (.+?) -->$")
FENCE = re.compile(r"```(\w*)$")
IMAGE = re.compile(r"!\[[^]]+\]\(([^)]+)\)")


class PageError(Exception):
    """The page is not written as this module says; the message has the line."""


@dataclass(frozen=True)
class Step:
    """`line`: where it stands, counted from 1. `needs`: what must be installed for it."""

    line: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command(Step):
    """`text` may have several lines. `shown` is what the page says that it says; `first`, `end`: its lines."""

    text: str = ""
    shown: str = ""
    varies: tuple[str, ...] = ()
    first: int = 0
    end: int = 0


@dataclass(frozen=True)
class File(Step):
    name: str = ""
    content: str = ""


@dataclass(frozen=True)
class Picture(Step):
    """`path` is beside the page, `evidence` a cell's folder in the scratch directory."""

    path: str = ""
    evidence: str = ""
    varies: tuple[str, ...] = ()


@dataclass
class _Block:
    """A fence or an image, with the directives in front of it."""

    line: int
    given: dict[str, str] = field(default_factory=dict)
    kind: str = ""
    body: list[str] = field(default_factory=list)

    def listed(self, name: str) -> tuple[str, ...]:
        return tuple(filter(None, re.split(r",\s*", self.given.get(name, ""))))


def steps_of(text: str) -> list[Step]:
    """What the page has one do, in order. Raises PageError."""
    return [step for block in _blocks(text.splitlines()) for step in _steps(block)]


def with_outputs(text: str, outputs: Sequence[tuple[Command, str]]) -> str:
    """The page with these outputs in place of those that it shows."""
    lines = text.splitlines()
    for command, output in sorted(outputs, key=lambda pair: -pair[0].first):
        lines[command.first : command.end] = output.splitlines()
    return "\n".join(lines) + "\n"


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    given: dict[str, str] = {}
    block: _Block | None = None
    for number, line in enumerate(lines, 1):
        if block is not None:
            if line == "```":
                yield block
                block = None
            else:
                block.body.append(line)
        elif found := DIRECTIVE.match(line):
            given[found[1]] = found[2]
        elif found := FENCE.match(line):
            block, given = _Block(number, given, found[1]), {}
        elif line.startswith("![") and "picture" in given:
            yield _Block(number, given, "image", [line])
            given = {}
        elif given and line.strip():
            raise PageError(f"line {number}: a comment for the check stands in front of what it cannot be for")
    if block is not None:
        raise PageError(f"line {block.line}: a fence without an end")


def _steps(block: _Block) -> Iterator[Step]:
    needs = block.listed("needs")
    if block.kind == "image":
        image = IMAGE.match(block.body[0])
        if image is None:
            raise PageError(f"line {block.line}: a picture needs words for those who cannot see it")
        yield Picture(block.line, needs, image[1], block.given["picture"], block.listed("varies"))
    elif "file" in block.given:
        yield File(block.line, needs, block.given["file"], "".join(f"{line}\n" for line in block.body))
    elif block.kind == "console":
        yield from _commands(block)


def _commands(block: _Block) -> Iterator[Command]:
    if not block.body or not block.body[0].startswith("$ "):
        raise PageError(f"line {block.line}: a console block begins with a command")
    begins = [place for place, line in enumerate(block.body) if line.startswith("$ ")]
    for place, end in zip(begins, [*begins[1:], len(block.body)], strict=True):
        first = place + 1
        while block.body[first - 1].endswith("\\"):
            first += 1
        text = "\n".join(block.body[place:first]).removeprefix("$ ")
        shown = "\n".join(block.body[first:end])
        yield Command(
            block.line + place + 1,
            block.listed("needs"),
            text,
            shown,
            block.listed("varies"),
            block.line + first,
            block.line + end,
        )
