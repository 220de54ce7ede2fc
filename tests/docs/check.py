"""Runs a page in a scratch directory, and says where what came out is not what stands there.

The page's servers listen on 127.0.0.1:8000 and the like; here each such address stands for a free port of its own, and
outputs are put back. A command must end with 0, unless the next one is `echo $?`, which shows the code.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from chaos.report.picture import picture
from chaos.runtime.ports import KeptPort
from tests.docs.page import Command, File, Picture, Step, steps_of, with_outputs
from tests.docs.rules import comparable
from tests.docs.shell import Shell

__all__ = ["Found", "environment", "is_installed", "run_page"]

ADDRESS = re.compile(r"127\.0\.0\.1:(80\d\d)\b")
ROOT = Path(__file__).resolve().parents[2]
GIST = re.compile(r"<metadata>(.*?)</metadata>")


@dataclass
class Found:
    """`text`: the page as this run would have it. `drifts`: a diff for each. `failures`: commands that ended in error,
    which no new text of the page mends. `left_out`: what could not be run here, and why. `pictures`: those to redraw.
    """

    text: str
    drifts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)


def run_page(page: Path, scratch: Path) -> Found:
    """Everything that the page has one do, in order."""
    text = page.read_text(encoding="utf-8")
    run = _Run(page, scratch, Found(text))
    steps = steps_of(text)
    if any(isinstance(step, File) and step.name.startswith("chaos/") for step in steps):
        _copy_chaos(scratch)
    with Shell(scratch, environment()) as run.shell:
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            if lacking := [name for name in step.needs if not is_installed(name)]:
                run.found.left_out.append(f"{page.name}:{step.line} needs {', '.join(lacking)}")
            else:
                run.do(step, after)
    run.found.text = with_outputs(text, run.outputs)
    return run.found


def _copy_chaos(scratch: Path) -> None:
    """A page that adds to `chaos` works on a copy, which `python -m chaos` finds first; Toxiproxy stays where it is."""
    shutil.copytree(ROOT / "chaos", scratch / "chaos", ignore=shutil.ignore_patterns("__pycache__"))
    (scratch / ".tools").symlink_to(ROOT / ".tools")


def is_installed(name: str) -> bool:
    """PostgreSQL hides its server's programs from PATH."""
    places = {"postgresql": ["initdb", *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]}
    return any(map(shutil.which, places.get(name, [name])))


def environment() -> dict[str, str]:
    """As after `source .venv/bin/activate`; without colours, and without what would lead a command elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ONCEKV_", "OTEL_", "COLUMNS"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


@dataclass
class _Run:
    page: Path
    scratch: Path
    found: Found
    outputs: list[tuple[Command, str]] = field(default_factory=list)
    ports: dict[str, KeptPort] = field(default_factory=dict)
    shell: Shell = field(init=False)

    def do(self, step: Step, after: Step | None) -> None:
        if isinstance(step, File):
            (self.scratch / step.name).write_text(ADDRESS.sub(self._put_in, step.content), encoding="utf-8")
        elif isinstance(step, Picture):
            self._draw(step)
        elif isinstance(step, Command):
            self._command(step, shows_code=isinstance(after, Command) and after.text == "echo $?")

    def _command(self, command: Command, *, shows_code: bool) -> None:
        output, code = self.shell.run(ADDRESS.sub(self._put_in, command.text))
        for page_port, port in self.ports.items():
            output = output.replace(f"127.0.0.1:{port.number}", f"127.0.0.1:{page_port}")
        where = f"{self.page.name}:{command.line}"
        if code and not shows_code:
            problem = f"ended with {code}, which the page does not show:"
            self.found.failures.append(f"{where} $ {command.text}\n{problem}\n{output}")
        shown, came = (comparable(text, command.varies).splitlines() for text in (command.shown, output))
        if shown != came:
            title = f"{where} $ {command.text}"
            lines = difflib.unified_diff(shown, came, "the page", "this run", lineterm="", n=2)
            self.found.drifts.append("\n".join([title, *lines]))
            self.outputs.append((command, output))

    def _put_in(self, address: re.Match[str]) -> str:
        """A free port in the place of the page's."""
        if address[1] not in self.ports:
            self.ports[address[1]] = KeptPort()
        return f"127.0.0.1:{self.ports[address[1]].number}"

    def _draw(self, step: Picture) -> None:
        """A call of this run must have gone as the picture on disk tells; times and counts may differ."""
        kept = self.page.parent / step.path
        shows = _gist(kept.read_text(encoding="utf-8")) if kept.exists() else "(no picture)"
        drawn = picture(self.scratch / step.evidence, shows)
        if comparable(shows, step.varies) != comparable(_gist(drawn), step.varies):
            where = f"{self.page.name}:{step.line} {step.path}"
            self.found.drifts.append(f"{where}\n-{shows}\n+{_gist(drawn)}")
            self.found.pictures[step.path] = drawn


def _gist(svg: str) -> str:
    found = GIST.search(svg)
    return found[1] if found else "(it says nothing)"
