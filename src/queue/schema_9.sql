-- What each client needed, as far as it was seen lately (see clients/).
-- record: a ClientRecord in JSON. seen_ms: queue time; unseen for keep_delivered, it is forgotten.
CREATE TABLE client (
    client  TEXT PRIMARY KEY,
    seen_ms INTEGER NOT NULL,
    record  TEXT NOT NULL
) WITHOUT ROWID;
