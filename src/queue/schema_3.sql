-- Version 3.
-- message.due_ms of what has ended: when it ended, in queue time. How long it is kept is measured by it.
-- meta.wall_ahead_ms: by how much the wall clock was ahead of queue time at queue_ms.

-- Versions 1 and 2 did not always store their clock before they died, left due_ms alone when a message
-- was deleted, and let queue time leap with the wall clock at a start. The latter may be wrong now, or may
-- have been: what had ended is as old as the clocks agree on.
INSERT OR IGNORE INTO meta (key, value)
    SELECT 'queue_ms', max(due_ms) FROM message WHERE state <> 2 HAVING count(*) > 0;
DROP INDEX message_ended;
WITH clock (queue_ms, wall_ms) AS (
    SELECT value, min(
        value,
        unixepoch() * 1000,
        (SELECT received_wall_ms FROM message ORDER BY seq DESC LIMIT 1))
    FROM meta WHERE key = 'queue_ms'
)
UPDATE message SET due_ms = queue_ms - max(0, wall_ms - coalesce(ended_wall_ms, wall_ms))
    FROM clock WHERE state >= 4;
CREATE INDEX message_ended ON message (state, due_ms) WHERE state >= 4;

-- Clients take turns (see turn.rs).
-- Not one index more for new mail: message_waiting leads to each client's oldest message now, and the
-- other one knows deferred mail only, by the moment at which it is due.
DROP INDEX message_waiting;
CREATE INDEX message_waiting ON message (account, state, client, due_ms) WHERE state < 4;
CREATE INDEX message_deferred ON message (account, due_ms) WHERE state = 2;
