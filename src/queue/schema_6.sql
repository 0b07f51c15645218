-- Version 6: what each mailbox has presented to its service, so that a restart does not forget it.
ALTER TABLE message ADD COLUMN mailbox TEXT;       -- whose quota the attempt under way uses
ALTER TABLE message ADD COLUMN presenting INTEGER; -- recipients of the attempt under way
-- A message for many goes out in parts: this round goes on with the recipients from this number on.
ALTER TABLE message ADD COLUMN next_recipient INTEGER NOT NULL DEFAULT 0;

-- queue_s: the second of queue time it happened in; kept for a day.
CREATE TABLE presented (
    queue_s    INTEGER NOT NULL,
    mailbox    TEXT NOT NULL,
    messages   INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    PRIMARY KEY (queue_s, mailbox)
) WITHOUT ROWID;
