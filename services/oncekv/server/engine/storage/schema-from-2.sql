-- From schema 2 to schema 3: checksums, which rows get when they are written next, and epochs, which tell sessions from
-- before a restore.
ALTER TABLE kv ADD COLUMN crc INTEGER;
ALTER TABLE keyed ADD COLUMN crc INTEGER;
ALTER TABLE session ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tally ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
