-- The outbox: one client's calls that have no reply yet. One client at a time.

-- Exactly one row.
CREATE TABLE session (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    calls_begun INTEGER NOT NULL DEFAULT 0  -- how many calls were ever put in
);

-- A call stands here from before its first attempt leaves until its reply is about to be handed over.
CREATE TABLE calls (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which they were put in
    open_key TEXT NOT NULL,                     -- Idempotency-Key of the session.open that gives its session
    session  TEXT,                              -- a secret: whoever holds it is the client. NULL: nothing was ever sent
    seq      INTEGER NOT NULL,
    method   TEXT NOT NULL,
    params   TEXT NOT NULL                      -- JSON, without _meta
);

INSERT INTO session (only_row) VALUES (1)
