-- The outbox: one client's session, and its calls that have no reply yet. One client at a time.

-- Exactly one row.
CREATE TABLE session (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    name        TEXT,                       -- a secret: whoever holds it is the client. NULL: none is open yet
    seq_window  INTEGER NOT NULL DEFAULT 1, -- how far seq may lead acked
    next_seq    INTEGER NOT NULL DEFAULT 1, -- no seq from here on was ever sent
    open_key    TEXT,                       -- Idempotency-Key of a session.open whose answer has not come
    calls_begun INTEGER NOT NULL DEFAULT 0  -- how many calls were ever put in
);

-- A call stands here from before its first attempt leaves until its reply is about to be handed over.
CREATE TABLE calls (
    id      INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which they were put in
    session TEXT,                              -- NULL: no identity yet, so no attempt of it was ever sent
    seq     INTEGER,
    method  TEXT NOT NULL,
    params  TEXT NOT NULL                      -- JSON, without _meta
);

INSERT INTO session (only_row) VALUES (1)
