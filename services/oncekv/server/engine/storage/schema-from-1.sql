-- From schema 1, in which a record was found by (session, seq), to schema 2, in which it has a slot of its session's.
-- Watermarks stand with the sessions and are the highest there are, so the records need to carry none.
ALTER TABLE record RENAME TO record_1;
CREATE TABLE record (
    place  INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL,
    acked  INTEGER NOT NULL,
    answer BLOB NOT NULL
);
INSERT INTO record
SELECT session * 1024 + row_number() OVER (PARTITION BY session ORDER BY seq) - 1, seq, 0,
    CAST(fingerprint || iif(failed, x'01', x'00') || body AS BLOB)
FROM record_1;
DROP TABLE record_1;
