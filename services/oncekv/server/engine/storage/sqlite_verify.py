"""`oncekv verify` for SQLite (step 10): pages, log, checksums, and whether sessions, records and counts agree.

It reads one snapshot and changes nothing, so a server may serve meanwhile. Guarantee: what it finds is wrong. Limit: a
wrong bit that leaves a sound row without a checksum (a session's, or one that schema 2 wrote) is not found.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from oncekv.server.engine.storage.record_slots import SLOTS
from oncekv.server.engine.storage.sqlite_checksums import Damaged, keyed_crc, row_crc, unsealed
from oncekv.server.engine.storage.sqlite_errors import reason
from oncekv.server.engine.storage.sqlite_log import log_damage
from oncerpc.wire.fingerprint import FINGERPRINT_BYTES
from oncerpc.wire.identity import WINDOW
from oncerpc.wire.jsonrpc import Reply

__all__ = ["Report", "verify"]

FINDINGS_MAX = 20
LEASE_MAX_MS = 24 * 60 * 60 * 1000 * 5 // 4


@dataclass
class Report:
    """How many of each there are, and what is wrong (at most FINDINGS_MAX lines of each check)."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def verify(path: Path) -> Report:
    """Look at all of the store in this file. Raises sqlite3.Error when it cannot be opened, or is none."""
    report = Report()
    with contextlib.closing(_connect(path)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it is one snapshot
        for check in (_log(path), _pages, _tally, _values, _records, _keyed):
            try:
                for _, finding in zip(range(FINDINGS_MAX), check(db, report.counts), strict=False):
                    report.findings.append(finding)
            except sqlite3.Error as error:
                report.findings.append(f"it cannot be read to its end: {reason(error)}")
    return report


Check = Callable[[sqlite3.Connection, dict[str, int]], Iterator[str]]


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    db.text_factory = _text
    return db


def _text(raw: bytes) -> str:
    """What is no UTF-8 any more does not match its checksum either."""
    return raw.decode(errors="replace")


def _log(path: Path) -> Check:
    def check(_db: sqlite3.Connection, _counts: dict[str, int]) -> Iterator[str]:
        if damage := log_damage(path.resolve()):
            yield damage

    return check


def _pages(db: sqlite3.Connection, _counts: dict[str, int]) -> Iterator[str]:
    for (text,) in db.execute(f"PRAGMA integrity_check({FINDINGS_MAX})"):
        if text != "ok":
            yield from (f"pages: {line}" for line in text.splitlines())


def _tally(db: sqlite3.Connection, counts: dict[str, int]) -> Iterator[str]:
    tally = db.execute("SELECT clock_ms, sessions_opened, sessions, records, epoch FROM tally").fetchall()
    if len(tally) != 1:
        yield f"tally: {len(tally)} rows instead of one"
        return
    clock_ms, opened, sessions, records, counts["epoch"] = tally[0]
    counts["sessions"], highest = db.execute("SELECT count(*), coalesce(max(number), 0) FROM session").fetchone()
    (counts["records"],) = db.execute("SELECT count(*) FROM record").fetchone()
    if (sessions, records) != (counts["sessions"], counts["records"]):
        yield (
            f"tally: it counts {sessions} sessions and {records} records,"
            f" there are {counts['sessions']} and {counts['records']}"
        )
    if highest > opened:
        yield f"tally: {opened} sessions were opened, and one has the number {highest}"
    for number, lease_ms, expires_ms, acked, epoch in db.execute(
        "SELECT number, lease_ms, expires_ms, acked, epoch FROM session"
    ):
        is_leased = 0 < lease_ms <= LEASE_MAX_MS and 0 <= expires_ms <= clock_ms + 2 * LEASE_MAX_MS
        if not is_leased or acked < 0 or not 0 <= epoch <= counts["epoch"]:
            yield f"session {number}: it makes no sense"


def _values(db: sqlite3.Connection, counts: dict[str, int]) -> Iterator[str]:
    counts["keys"] = 0
    for key, value, version, crc in db.execute("SELECT key, value, version, crc FROM kv"):
        counts["keys"] += 1
        if not _is_row(key, value, version):
            yield f"key {key!r:.100}: it makes no sense"
        elif crc is not None and crc != row_crc(key, value, version):
            yield f"key {key!r:.100}: its value does not match its checksum"


def _is_row(key: Any, value: Any, version: Any) -> bool:
    return isinstance(key, str) and isinstance(value, str) and type(version) is int and version >= 1


def _records(db: sqlite3.Connection, _counts: dict[str, int]) -> Iterator[str]:
    acked = dict(db.execute("SELECT number, acked FROM session"))
    seqs: set[tuple[int, int]] = set()
    rows = db.execute("SELECT place, seq, acked, answer FROM record").fetchall()
    for place, _, carried, _ in rows:
        number = place // SLOTS
        if number in acked:
            acked[number] = max(acked[number], carried)
    for place, seq, carried, answer in rows:
        number = place // SLOTS
        if number not in acked:
            yield f"record {place}: there is no session {number}"
        elif not acked[number] < seq <= acked[number] + WINDOW:
            yield f"record {place}: call {seq} of session {number} is outside of its window"
        elif (number, seq) in seqs:
            yield f"record {place}: call {seq} of session {number} has another record"
        seqs.add((number, seq))
        try:
            reply = unsealed(place, seq, carried, bytes(answer)).reply
        except Damaged as damage:
            yield f"record {place}: {damage.message}"
        else:
            if not _is_json(reply.body):
                yield f"record {place}: its reply is no JSON"


def _keyed(db: sqlite3.Connection, counts: dict[str, int]) -> Iterator[str]:
    counts["keyed"] = 0
    for key, fingerprint, failed, body, expires_ms, crc in db.execute(
        "SELECT key, fingerprint, failed, body, expires_ms, crc FROM keyed"
    ):
        counts["keyed"] += 1
        is_sound = len(fingerprint) == FINGERPRINT_BYTES and failed in (0, 1) and _is_json(body)
        if not is_sound or (
            crc is not None and crc != keyed_crc(key, fingerprint, Reply(bool(failed), body), expires_ms)
        ):
            yield f"record of Idempotency-Key {key!r:.50}: it does not match its checksum, or makes no sense"


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
