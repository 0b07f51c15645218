-- What kept mail from flowing, and who was told (see incident/). Times ending in _ms are queue time, but for
-- *_wall_ms. kind: account, queue_messages, queue_bytes, queue_disk; account is empty for the latter three.
-- alarm_ms: when it is worth an alarm; null: never. told_*: 0 nobody yet, 1 that it opened, 2 that it
-- recovered too, 3 there was nobody to tell.
CREATE TABLE incident (
    id                TEXT PRIMARY KEY,
    kind              TEXT NOT NULL,
    account           TEXT NOT NULL,
    mailbox           TEXT NOT NULL,
    cause             TEXT NOT NULL,
    state             TEXT NOT NULL,
    rule              TEXT,
    why               TEXT,
    remedy            TEXT,
    reason            TEXT NOT NULL,
    count             INTEGER NOT NULL,
    failures          INTEGER NOT NULL,
    next_probe_ms     INTEGER,
    opened_wall_ms    INTEGER NOT NULL,
    last_wall_ms      INTEGER NOT NULL,
    recovered_ms      INTEGER,
    recovered_wall_ms INTEGER,
    alarm_ms          INTEGER,
    was_urgent        INTEGER NOT NULL,
    told_command      INTEGER NOT NULL,
    told_webhook      INTEGER NOT NULL
) WITHOUT ROWID;
