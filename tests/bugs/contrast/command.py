"""`python -m tests.bugs contrast`: the ways that people use beside `oncerpc`, under the same faults, as one table.

Progress goes to stderr, the table to stdout and to contrast.md in the folder of the logs. Exit code 0: ours doubled,
lost and refused nothing, and each of the others did. 1: not so. 2: wrong usage. 69: the runtime could not be started.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chaos.runtime.base import ServerError
from chaos.runtime.links import Links
from chaos.runtime.postgresql import PostgreSQL
from chaos.runtime.toxiproxy import Toxiproxy, ToxiproxyFailed, ToxiproxyMissing
from oncekv import console
from tests.bugs.contrast.trials import TRIALS, Came, World, try_variant
from tests.bugs.contrast.variants import OURS, Variant, variants

__all__ = ["Results", "is_good", "main", "measure", "render"]

OUT = Path("out/contrast")
TABLE = "contrast.md"
DATABASES = ("sqlite", "postgresql")
AT_ONCE = 3
Results = Mapping[tuple[Variant, str], Mapping[str, Came]]
"""By variant and database, what came of each trial."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = console.Parser(prog="python -m tests.bugs contrast", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="one alone (default: both)")
    parser.add_argument("--transfers", type=int, default=3, metavar="N", help="in each trial (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where the logs go (default: {OUT})")
    args = parser.parse_args(argv)
    if args.transfers < 1:
        parser.error("--transfers must be 1 or more")
    if args.out.exists() and any(args.out.iterdir()) and not (args.out / TABLE).is_file():
        parser.error(f"{args.out} is not an earlier contrast; name another --out")
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    (args.out / TABLE).touch()
    try:
        results = measure([args.database] if args.database else DATABASES, args.transfers, args.out)
    except (ServerError, ToxiproxyMissing, ToxiproxyFailed) as error:
        print(f"contrast: {error}", file=sys.stderr)
        return console.UNAVAILABLE
    table = render(results)
    (args.out / TABLE).write_text(f"{table}\n", encoding="utf-8")
    print(table)
    return 0 if is_good(results) else 1


def measure(databases: Sequence[str], transfers: int, folder: Path) -> Results:
    """Put every variant through every trial. Raises ServerError, ToxiproxyMissing, ToxiproxyFailed."""
    found: dict[tuple[Variant, str], Mapping[str, Came]] = {}
    with Toxiproxy(folder / "toxiproxy.log") as toxiproxy:
        links = Links("127.0.0.1", toxiproxy.port)
        for database in databases:
            with _postgresql(database, folder) as postgresql, ThreadPoolExecutor(AT_ONCE) as pool:
                world = World(folder.absolute() / database, links, postgresql)
                jobs = {one: pool.submit(try_variant, one, world, transfers) for one in variants()}
                for variant, job in jobs.items():
                    found[variant, database] = job.result()
                    print(f"contrast: {variant.title} on {database}: {_sum(found[variant, database])}", file=sys.stderr)
    return found


@contextlib.contextmanager
def _postgresql(database: str, folder: Path) -> Iterator[PostgreSQL | None]:
    if database != "postgresql":
        yield None
        return
    with contextlib.closing(PostgreSQL(folder / "postgresql.log")) as server:
        yield server


def is_good(results: Results) -> bool:
    """Whether ours stayed right in everything, and each of the others failed somewhere."""
    return all(
        all(came.good for came in trials.values()) == (variant == OURS) for (variant, _), trials in results.items()
    )


def render(results: Results) -> str:
    """The table, in Markdown; the figures of the databases stand behind each other where they differ."""
    head = ["", *TRIALS, "doubled / lost / refused for ever"]
    shown = list(dict.fromkeys(variant for variant, _ in results))
    databases = list(dict.fromkeys(database for _, database in results))
    rows = [[variant.title, *_row([results[variant, database] for database in databases])] for variant in shown]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    transfers = next(iter(next(iter(results.values())).values())).transfers
    note = (
        f"{transfers} transfer{'s' if transfers > 1 else ''} a trial on {' and on '.join(databases)}"
        + (", in this order where they came out differently" if len(databases) > 1 else "")
        + "; empty: each told ok, and once in the table."
    )
    return "\n".join([*lines, "", note])


def _row(by_database: Sequence[Mapping[str, Came]]) -> list[str]:
    cells = [_alike([_in_words(trials[trial]) for trials in by_database]) for trial in TRIALS]
    return [*cells, _alike([_sum(trials) for trials in by_database])]


def _alike(texts: Sequence[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else "; ".join(text or "–" for text in texts)


def _in_words(came: Came) -> str:
    figures = {"doubled": came.doubled, "lost": came.lost, "refused for ever": came.refused}
    return ", ".join(f"{count} {what}" for what, count in figures.items() if count)


def _sum(trials: Mapping[str, Came]) -> str:
    came = trials.values()
    return " / ".join(str(sum(getattr(one, what) for one in came)) for what in ("doubled", "lost", "refused"))
