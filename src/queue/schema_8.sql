-- Senders that an account's mailbox may not send as, so that the next message need not find out again.
-- address: in lower case. until_ms: queue time at which it is forgotten.
CREATE TABLE denied_sender (
    account  TEXT NOT NULL,
    address  TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (account, address)
) WITHOUT ROWID;
CREATE INDEX denied_sender_until ON denied_sender (until_ms);
