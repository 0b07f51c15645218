-- Version 4: what is still to be told to whoever sent a message, and which messages tell it.
-- message.tell: 0 nothing, 1 that it is delayed, 2 that it has failed, -1 nothing, as its delay was told
-- What failed under earlier versions is nobody's news any more.
ALTER TABLE message ADD COLUMN tell INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN notice_to TEXT; -- it is a notice itself, to this address; null: it is none
CREATE INDEX message_owing ON message (account, reverse_path, seq) WHERE tell > 0;
CREATE INDEX message_notice ON message (notice_to, received_wall_ms) WHERE notice_to IS NOT NULL;
