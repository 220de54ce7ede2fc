-- The PostgreSQL schema of one OnceKV store, version 1 (oncekv_schema.version), in the schema that the search path names first.
-- An effect (oncekv_kv) and its dedup record (oncekv_record, oncekv_keyed) change in one transaction, so that a crash leaves
-- both or neither. Keys, values and names are bytea: PostgreSQL's text knows no NUL, and orders by a collation.

-- What the store is for. `version` counts a key's changes since it was created. A version of 0 is never seen by others: with
-- it a transaction keeps a key absent that it has looked at, and removes the row before it commits.
CREATE TABLE oncekv_kv (
    key     bytea PRIMARY KEY,
    value   bytea NOT NULL,
    version bigint NOT NULL
);

-- Who may call. A group locks the rows of its sessions before anything else, so of two servers that are handed one
-- identity one waits for the other, and then finds its record. `number` stands for the session in the places of its records;
-- numbers come in blocks from oncekv_session_block, and none twice. `expires_ms` is a time of the lease clock.
-- `acked` is the watermark, unless one of its records knows a higher one: records at or below the watermark are gone,
-- and a call at or below it is refused.
CREATE TABLE oncekv_session (
    number     bigint PRIMARY KEY,
    name       bytea NOT NULL UNIQUE,
    lease_ms   bigint NOT NULL,
    expires_ms bigint NOT NULL,
    acked      bigint NOT NULL
);
CREATE INDEX oncekv_session_by_expiry ON oncekv_session (expires_ms);
CREATE SEQUENCE oncekv_session_block;

-- What ran: one dedup record per call that has an effect or a recorded error, until it is acknowledged.
-- `place` = oncekv_session.number * 1024 + slot; a session's next record takes the slot of one that is acknowledged.
-- `acked` is the session's watermark when the row was written. The highest of oncekv_session.acked and of these counts.
-- `answer`: a fingerprint of 16 bytes, which tells a retry from another call; a byte, 1 if the reply is an error; the reply.
CREATE TABLE oncekv_record (
    place  bigint PRIMARY KEY,
    seq    bigint NOT NULL,
    acked  bigint NOT NULL,
    answer bytea NOT NULL
);

-- The same for calls under an Idempotency-Key. `scope` stands for the caller's token. Two servers that run one key at the same
-- moment meet at the primary key: the second transaction waits, is refused, begins again and finds the record.
CREATE TABLE oncekv_keyed (
    scope      bytea NOT NULL,
    key        bytea NOT NULL,
    answer     bytea NOT NULL,
    expires_ms bigint NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX oncekv_keyed_by_expiry ON oncekv_keyed (expires_ms);

-- How many sessions and records there are, so that nobody has to count a large table: the sum of these rows. Each
-- process that commits writes one of them, so that they do not wait for each other; one row alone may be below zero.
CREATE TABLE oncekv_count (
    shard    bigint PRIMARY KEY,
    sessions bigint NOT NULL,
    records  bigint NOT NULL
);
INSERT INTO oncekv_count SELECT shard, 0, 0 FROM generate_series(0, 15) AS shard;

-- One row: starts, and the lease clock. It has counted to `clock_ms` when the database's own clock said `saved_ms`; whichever
-- server finds that to be a moment ago moves both on, so it stands still while no server runs.
CREATE TABLE oncekv_clock (
    one      bigint PRIMARY KEY CHECK (one = 1),
    boot     bigint NOT NULL,
    clock_ms bigint NOT NULL,
    saved_ms bigint NOT NULL
);
INSERT INTO oncekv_clock VALUES (1, 0, 0, 0);

-- The mark that each transaction of a group leaves. Whoever got no answer to a commit writes the same mark, as a `fence`:
-- that waits for a commit that is still in flight, and then either meets the group's mark (it was committed) or stands
-- in its way for good (it was not, and never will be). `writer` comes from oncekv_writer, `number` counts its groups.
CREATE TABLE oncekv_group (
    writer  bigint NOT NULL,
    number  bigint NOT NULL,
    fence   boolean NOT NULL,
    made_ms bigint NOT NULL,
    PRIMARY KEY (writer, number)
);
CREATE SEQUENCE oncekv_writer;
