-- The SQLite schema of one OnceKV store, version 3 (PRAGMA user_version).
-- An effect (kv) and its dedup record (record, keyed) change in one transaction, so that a crash leaves both or neither.

-- What the store is for. `version` counts a key's changes since it was created. `crc` is NULL where schema 2 wrote the row.
CREATE TABLE kv (
    key     TEXT PRIMARY KEY NOT NULL,
    value   TEXT NOT NULL,
    version INTEGER NOT NULL,
    crc     INTEGER
);

-- Who may call. `number` stands for the session in the places of its records, and is never given out twice.
-- `expires_ms` is a time of the lease clock (tally.clock_ms), which stands still while no server runs.
-- `acked` is the watermark, unless one of its records knows a higher one: records at or below the watermark are gone,
-- and a call at or below it is refused.
-- `epoch`: a backup has one more than the store that it was made of (tally.epoch). A session of an earlier one may have
-- made calls that the backup does not know.
CREATE TABLE session (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    lease_ms   INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    acked      INTEGER NOT NULL,
    epoch      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX session_by_expiry ON session (expires_ms);

-- What ran: one dedup record per call that has an effect or a recorded error, until it is acknowledged.
-- `place` is the row's id: session.number * 1024 + slot. A session's next record takes the slot of one that is acknowledged, so a
-- client that makes one call after the other has one row, and each of its calls writes that row and no other.
-- `acked` is the session's watermark when the row was written. The highest of session.acked and of these counts.
-- `answer` is one column because each costs: a fingerprint of 16 bytes, which tells a retry from another call; a byte, 1 if
-- the reply is an error, plus 2 if a checksum ends the column; and the reply's result or error object, as it was first sent.
CREATE TABLE record (
    place  INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL,
    acked  INTEGER NOT NULL,
    answer BLOB NOT NULL
);

-- The same for calls under an Idempotency-Key. `scope` stands for the caller's token.
CREATE TABLE keyed (
    scope       BLOB NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    failed      INTEGER NOT NULL,
    body        BLOB NOT NULL,
    expires_ms  INTEGER NOT NULL,
    crc         INTEGER,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX keyed_by_expiry ON keyed (expires_ms);

-- One row: starts, the lease clock, and counts, so that nobody has to count a large table.
CREATE TABLE tally (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    boot            INTEGER NOT NULL,
    clock_ms        INTEGER NOT NULL,
    sessions_opened INTEGER NOT NULL,
    sessions        INTEGER NOT NULL,
    records         INTEGER NOT NULL,
    epoch           INTEGER NOT NULL DEFAULT 0
);
INSERT INTO tally VALUES (1, 0, 0, 0, 0, 0, 0);
