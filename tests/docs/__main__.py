"""`python -m tests.docs [--update] [PAGE …]`: run the tour, and say where what it shows is not what comes out.

Each page has a scratch directory and ports of its own; three run side by side. `--update` writes what came out into
the pages and their pictures: look at the diff before you commit it. Exit code 0: nothing drifted. 1: something did, and
stderr has a diff for each; with `--update` it is mended.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chaos.report.records import EvidenceMissing
from tests.docs.check import Found, run_page
from tests.docs.page import PageError
from tests.docs.rules import UnknownRule
from tests.docs.shell import ShellStuck

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIDE_BY_SIDE = 3


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--update", action="store_true", help="write what came out into the pages")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="(default: the tour, docs/add-a-fault.md)")
    args = parser.parse_args(argv)
    chosen = args.pages or pages()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        runs = zip(chosen, pool.map(_run, chosen), strict=True)
        good = [_is_good(page, found, args.update) for page, found in runs]
    return 0 if all(good) else 1


def pages() -> list[Path]:
    """Those that are run."""
    return [*sorted(DOCS.glob("tour/[0-9]-*.md")), DOCS / "add-a-fault.md"]


def _run(page: Path) -> Found | str:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="oncekv-tour-") as scratch:
        try:
            return run_page(page, Path(scratch))
        except (EvidenceMissing, PageError, UnknownRule, ShellStuck) as error:
            return f"{page.name}: {error}"
        finally:
            _say(f"{page.name}: {time.monotonic() - began:.0f} s")


def _is_good(page: Path, found: Found | str, update: bool) -> bool:
    if isinstance(found, str):
        _say(found)
        return False
    for line in (*found.left_out, *found.failures, *found.drifts):
        _say(f"\n{line}")
    if update and not found.failures:
        page.write_text(found.text, encoding="utf-8")
        for name, drawn in found.pictures.items():
            (page.parent / name).parent.mkdir(exist_ok=True)
            (page.parent / name).write_text(drawn, encoding="utf-8")
        return True
    return not found.failures and not found.drifts


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
