-- Version 3: clients take turns (see turn.rs).
-- Not one index more for new mail: message_waiting leads to each client's oldest message now, and the
-- other one knows deferred mail only, by the moment at which it is due.
DROP INDEX message_waiting;
CREATE INDEX message_waiting ON message (account, state, client, due_ms) WHERE state < 4;
CREATE INDEX message_deferred ON message (account, due_ms) WHERE state = 2;
