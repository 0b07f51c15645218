-- When each section [client.NAME] was last heard (see heard/).
-- network: as the settings have it; another network is another device. client: who was heard.
-- watched_open_ms, heard_open_ms: open time since which its silence counts, and of its last message; null: it does
-- not, there was none. heard_wall_ms: the same moment by the wall clock.
CREATE TABLE heard (
    section         TEXT PRIMARY KEY,
    network         TEXT NOT NULL,
    watched_open_ms INTEGER,
    heard_open_ms   INTEGER,
    heard_wall_ms   INTEGER,
    client          TEXT NOT NULL
) WITHOUT ROWID;
