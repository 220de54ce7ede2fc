"""9. What the library costs: the same Flask view with its own transaction, and retry-safe, in turn.

Both take their orders in the same application, served the same way, on the same database; each request of the
retry-safe one has a key of its own, as a client's calls have. The view is written as most are, by an ORM session, and
as barely as one can be, by three statements as text. The cost is the time that it adds to a request, per pair of
rounds.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import requests

from bench.baselines.ports import await_answer, free_port
from bench.load.plan import Shape, put_load
from bench.load.wrk import Load
from bench.process import child
from bench.progress import progress
from bench.report.result_set import Part
from bench.report.stats import paired
from bench.run import Run
from chaos.runtime.base import ServerError
from chaos.runtime.postgresql import PostgreSQL

__all__ = ["COLUMN", "COST", "NAME", "ORDINARY", "VIEWS", "measure"]

NAME = "library"
DATABASES = ("SQLite", "PostgreSQL")
STYLES = {"ORM": "orm", "text": "core"}
VIEWS = [f"{database}, {style}" for database in DATABASES for style in STYLES]
ORDINARY = "{}: its own transaction"
SAFE = "{}: retry-safe"
COST = "{}: added to the time of a request, in %"
COLUMN = "16 connections"
CONNECTIONS = 16
ITEMS = 1_000


def measure(run: Run) -> None:
    """Pairs of rounds on either database; who goes first changes, so that neither gains by it."""
    part = run.part(Part(NAME, "9. Cost of the library (a Flask view, and the same retry-safe)", "requests/s"))
    with ExitStack() as stack:
        folder = stack.enter_context(run.folder("library"))
        urls = {}
        for database in DATABASES:
            try:
                urls[database] = stack.enter_context(_server(folder / database, database))
            except ServerError as error:
                progress(f"the library on {database} is not measured: {error}")
                run.result_set.facts.setdefault("not_measured", {})[f"the library on {database}"] = str(error)
        places = [
            (f"{database}, {style}", url, path) for database, url in urls.items() for style, path in STYLES.items()
        ]
        for _, url, path in places:
            for identity in (True, False):
                _load(url, path, folder, identity=identity, seconds=1)  # warms up; not counted
        for pair in run.rounds(run.effort.pairs, "the library's cost"):
            for view, url, path in places:
                _pair(run, part, folder, view, url, path, safe_first=bool(pair % 2))


def _pair(run: Run, part: Part, folder: Path, view: str, url: str, path: str, *, safe_first: bool) -> None:
    found = {}
    for identity in (safe_first, not safe_first):
        load = _load(url, path, folder, identity=identity, seconds=run.effort.seconds)
        run.add(part, (SAFE if identity else ORDINARY).format(view), COLUMN, load.per_s, load.faults)
        found[identity] = load.per_s
    for ratio in paired([found[False]], [found[True]]):
        run.add(part, COST.format(view), COLUMN, (ratio - 1) * 100)


def _load(url: str, path: str, folder: Path, *, identity: bool, seconds: int) -> Load:
    whole = f"/{path}/{'retry-safe' if identity else 'ordinary'}"
    shape = Shape(script="library", identity=identity, keys=ITEMS, path=whole)
    lanes = [f"lane{number}" for number in range(CONNECTIONS)]
    return put_load(url, folder, shape, lanes, connections=CONNECTIONS, seconds=seconds)


@contextlib.contextmanager
def _server(folder: Path, database: str) -> Iterator[str]:
    """The two views on a database of that kind; their URL."""
    folder.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        store = f"sqlite:///{folder}/shop.db"
        if database == "PostgreSQL":
            postgresql = stack.enter_context(contextlib.closing(PostgreSQL(folder / "postgresql.log", durable=True)))
            store = postgresql.make_database()
        log = stack.enter_context((folder / "server.log").open("ab"))
        words = [sys.executable, "-m", "bench.baselines.library_serve", store, str(port)]
        process = stack.enter_context(child(words, stdout=log, stderr=log))
        await_answer(process, folder / "server.log", lambda: requests.get(f"{url}/healthz", timeout=1).ok)
        yield url
