-- What MAIL and RCPT said of notices (RFC 3461), each in the form of the parameter's value; null: nothing.
ALTER TABLE message ADD COLUMN ret TEXT;                  -- FULL or HDRS
ALTER TABLE message ADD COLUMN envelope_id TEXT;          -- xtext
ALTER TABLE recipient ADD COLUMN notify TEXT;             -- NEVER, or a list of SUCCESS, FAILURE, DELAY
ALTER TABLE recipient ADD COLUMN original_recipient TEXT; -- addr-type ";" xtext
