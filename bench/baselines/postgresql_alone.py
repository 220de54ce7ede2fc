"""PostgreSQL alone: the same exactly-once write, a transaction for each call, by its own clients, no server between.

By pgbench, which comes with it and is written in C, prepared statements and all; and by psycopg, as a service in Python
would do it. Each connection is one client with a session of its own, as in every other load here. Same promise, same
statements: compare the identity with its record, put the value, put the record, forget what is acknowledged.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg

from bench.load.plan import KEYS, VALUE
from bench.load.wrk import Load, load_of, read_load
from bench.process import child
from chaos.runtime.postgresql import find_binaries

__all__ = [
    "FIND",
    "FORGET",
    "PUT",
    "RECORD",
    "OwnClientFailed",
    "make_tables",
    "pgbench_load",
    "postgresql_version",
    "psycopg_load",
]

GRACE_S = 30.0
PSYCOPG_PROCESSES = 2
"""One would be held by Python's lock."""
SCHEMA = """
CREATE TABLE kv (key text PRIMARY KEY, value text NOT NULL, version bigint NOT NULL);
CREATE TABLE record (session bigint, seq bigint, version bigint NOT NULL, PRIMARY KEY (session, seq));
"""
FIND = "SELECT version FROM record WHERE session = {} AND seq = {}"
PUT = (
    "INSERT INTO kv VALUES ({}, {}, 1)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = kv.version + 1 RETURNING version"
)
RECORD = "INSERT INTO record VALUES ({}, {}, {})"
FORGET = "DELETE FROM record WHERE session = {} AND seq < {}"
_SCRIPT = rf"""
\set key random(0, {KEYS - 1})
\set seq :seq + 1
\set session :run * 1000 + :client_id
BEGIN;
{FIND.format(":session", ":seq")};
{PUT.format("'k' || :key", f"'{VALUE}'")} \gset
{RECORD.format(":session", ":seq", ":version")};
{FORGET.format(":session", ":seq")};
COMMIT;
"""
_RUNS = itertools.count(1)


class OwnClientFailed(Exception):
    """A client of PostgreSQL's gave no figures; the message ends with what it said."""


def postgresql_version() -> str:
    """Of the server's binaries; nothing where there are none."""
    binaries = find_binaries()
    if binaries is None:
        return ""
    done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().rpartition(" (PostgreSQL) ")[2].partition(" ")[0]


def make_tables(url: str) -> None:
    """In an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)


def pgbench_load(url: str, folder: Path, *, connections: int, seconds: int) -> Load:
    """Load the database with pgbench. Raises OwnClientFailed."""
    (folder / "put.pgbench").write_text(_SCRIPT, encoding="utf-8")
    words = [_pgbench(), "--no-vacuum", "--protocol=prepared", f"--client={connections}", "--jobs=1"]
    words += [f"--time={seconds}", f"--define=run={next(_RUNS)}", "--define=seq=0", f"--file={folder / 'put.pgbench'}"]
    words += ["--log", f"--log-prefix={folder / 'pgbench'}", url]
    _run(words, seconds)
    latencies_us: list[int] = []
    for log in folder.glob("pgbench.*"):  # client, number, latency, script, seconds, microseconds
        latencies_us += [int(line.split()[2]) for line in log.read_text().splitlines()]
        log.unlink()
    return load_of(latencies_us, seconds)


def psycopg_load(url: str, *, connections: int, seconds: int) -> Load:
    """Load the database with psycopg, a thread for each connection. Raises OwnClientFailed."""
    words = [sys.executable, "-m", "bench.baselines.psycopg_load"]
    said = _run([*words, url, str(next(_RUNS)), str(connections), str(PSYCOPG_PROCESSES), str(seconds)], seconds)
    return read_load(said)


def _pgbench() -> str:
    binaries = find_binaries()
    beside = binaries and (binaries / "initdb").resolve().with_name("pgbench")
    if beside and beside.exists():
        return str(beside)
    found = shutil.which("pgbench")
    if found is None:
        raise OwnClientFailed("there is no pgbench; on Debian: apt-get install postgresql")
    return found


def _run(words: list[str], seconds: int) -> str:
    with child(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            output, _ = process.communicate(timeout=seconds + GRACE_S)
        except subprocess.TimeoutExpired:
            raise OwnClientFailed(f"{Path(words[0]).name} did not end within {GRACE_S:g} s of its time") from None
    said = output.decode(errors="replace")
    if process.returncode:
        raise OwnClientFailed(f"{Path(words[0]).name}: {(said.strip().splitlines() or ['it said nothing'])[-1]}")
    return said
