-- Version 2: what operators did to a message, what was wrong with one that was set aside, and more of
-- how messages came in and went out.
-- message.state: as before, and 6 deleted (no content any more; the row is history).
ALTER TABLE message ADD COLUMN tls TEXT;        -- protocol version of the client's TLS; null: none
ALTER TABLE message ADD COLUMN auth_name TEXT;  -- whom the client authenticated as; null: nobody
ALTER TABLE message ADD COLUMN damage TEXT;     -- why it is quarantined: held, and cannot be sent
ALTER TABLE message ADD COLUMN held_ms INTEGER; -- the account's active time when it was held

-- n only counts up, also when an operator's retry begins the attempts anew.
ALTER TABLE attempt ADD COLUMN uncertain INTEGER NOT NULL DEFAULT 0; -- lost after the final dot
ALTER TABLE attempt ADD COLUMN connection INTEGER;                   -- its number in the log

-- action: retried, flushed, held, released, deleted, imported, quarantined, rerouted
-- through: socket, folder, or daemon for what it did by itself
CREATE TABLE event (
    number  INTEGER PRIMARY KEY,
    seq     INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    action  TEXT NOT NULL,
    actor   TEXT NOT NULL,
    through TEXT NOT NULL,
    detail  TEXT
);
CREATE INDEX event_of ON event (seq);

-- Version 1 said so only in the last reply.
UPDATE message SET damage = substr(last_reply, 10)
    WHERE state = 3 AND state < 4 AND last_reply LIKE 'damaged: %';
