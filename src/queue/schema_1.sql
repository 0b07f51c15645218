-- Version 1. Times ending in _ms are milliseconds: *_wall_ms since the Unix epoch, due_ms in queue
-- time and born_ms in the account's active time (see clock.rs).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE account (
    name      TEXT PRIMARY KEY,
    active_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- state: 0 ready, 1 sending, 2 deferred, 3 held, 4 failed, 5 delivered
-- stored: 0 no content any more, 1 in table content, 2 in the file content/ID
CREATE TABLE message (
    seq              INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    state            INTEGER NOT NULL,
    account          TEXT NOT NULL,
    due_ms           INTEGER NOT NULL,
    born_ms          INTEGER NOT NULL,
    received_wall_ms INTEGER NOT NULL,
    ended_wall_ms    INTEGER,
    attempts         INTEGER NOT NULL,
    size_bytes       INTEGER NOT NULL,
    stored           INTEGER NOT NULL,
    reverse_path     TEXT NOT NULL,
    eight_bit        INTEGER NOT NULL,
    smtputf8         INTEGER NOT NULL,
    listener         TEXT NOT NULL,
    client           TEXT NOT NULL,
    helo             TEXT NOT NULL,
    subject          TEXT,
    message_id       TEXT,
    last_reply       TEXT
);
CREATE INDEX message_waiting ON message (account, state, due_ms) WHERE state < 4;
CREATE INDEX message_ended ON message (state, ended_wall_ms) WHERE state >= 4;

-- state: 0 pending, 1 delivered, 2 failed
CREATE TABLE recipient (
    seq     INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    address TEXT NOT NULL,
    state   INTEGER NOT NULL,
    reply   TEXT,
    PRIMARY KEY (seq, n)
) WITHOUT ROWID;

CREATE TABLE attempt (
    seq             INTEGER NOT NULL,
    n               INTEGER NOT NULL,
    started_wall_ms INTEGER NOT NULL,
    ended_wall_ms   INTEGER NOT NULL,
    account         TEXT NOT NULL,
    remote          TEXT NOT NULL,
    result          TEXT NOT NULL,
    reply           TEXT NOT NULL,
    PRIMARY KEY (seq, n)
) WITHOUT ROWID;

CREATE TABLE content (
    seq  INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
