//! What the server machine says. Constants, so that an ordinary reply allocates nothing.

use crate::mail::MailboxError;
use crate::smtp::{CommandError, Reply, Verb, reply};

pub(super) const GREETING: Reply = Reply::new(220, None, "ESMTP exorelay");
/// RFC 2034 section 4: no enhanced code in the replies to HELO and EHLO.
pub(super) const HELLO: Reply = Reply::new(250, None, "");
pub(super) const RESET: Reply = reply(250, (2, 0, 0), "Ok");
pub(super) const NOOP: Reply = reply(250, (2, 0, 0), "Ok");
pub(super) const SENDER_OK: Reply = reply(250, (2, 1, 0), "Sender ok");
pub(super) const RECIPIENT_OK: Reply = reply(250, (2, 1, 5), "Recipient ok");
pub(super) const SEND_CONTENT: Reply =
    Reply::new(354, None, "Send the message; end with <CRLF>.<CRLF>");
pub(super) const BYE: Reply = reply(221, (2, 0, 0), "Bye");
pub(super) const HELP: Reply = reply(
    214,
    (2, 0, 0),
    "exorelay takes EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT",
);
pub(super) const CANNOT_VERIFY: Reply = reply(
    252,
    (2, 1, 5),
    "Cannot verify the address; send the message and it will be tried",
);

/// RFC 3207 section 4.
pub(super) const START_TLS: Reply = reply(220, (2, 0, 0), "Ready to start TLS");
pub(super) const TLS_FIRST: Reply = reply(530, (5, 7, 0), "Must issue a STARTTLS command first");
pub(super) const TLS_ACTIVE: Reply = reply(503, (5, 5, 1), "TLS is active already");
/// RFC 4954 sections 4 and 6.
pub(super) const AUTHENTICATED: Reply = reply(235, (2, 7, 0), "Authentication successful");
pub(super) const AUTH_FIRST: Reply = reply(530, (5, 7, 0), "Authentication required");
pub(super) const AUTH_ACTIVE: Reply = reply(503, (5, 5, 1), "Authenticated already");
pub(super) const AUTH_IN_TRANSACTION: Reply = reply(
    503,
    (5, 5, 1),
    "AUTH is not possible after MAIL; send RSET first",
);
pub(super) const AUTH_NEEDS_TLS: Reply = reply(
    538,
    (5, 7, 11),
    "Encryption required for authentication; send STARTTLS first",
);
pub(super) const MECHANISM_UNKNOWN: Reply = reply(
    504,
    (5, 5, 4),
    "Authentication mechanism not supported; use PLAIN or LOGIN",
);
pub(super) const AUTH_CANCELLED: Reply = reply(501, (5, 7, 0), "Authentication cancelled");
pub(super) const NOT_BASE64: Reply = reply(501, (5, 5, 2), "Cannot decode the base64 response");
pub(super) const NOT_PLAIN: Reply = reply(
    501,
    (5, 5, 2),
    "Not a PLAIN response with a name and a password",
);
pub(super) const NO_NAME: Reply = reply(501, (5, 5, 2), "The name is empty");
pub(super) const GO_AHEAD: Reply = Reply::new(334, None, "");
/// `Username:`
pub(super) const NAME: Reply = Reply::new(334, None, "VXNlcm5hbWU6");
/// `Password:`
pub(super) const PASSWORD: Reply = Reply::new(334, None, "UGFzc3dvcmQ6");
const AUTH_SYNTAX: Reply = reply(501, (5, 5, 4), "Syntax: AUTH mechanism [initial-response]");

pub(super) const NOT_IMPLEMENTED: Reply = reply(502, (5, 5, 1), "Command not implemented");
pub(super) const UNKNOWN: Reply = reply(500, (5, 5, 2), "Command not recognized");
pub(super) const LINE_TOO_LONG: Reply = reply(500, (5, 5, 2), "Line too long");
pub(super) const BAD_SEQUENCE: Reply = reply(503, (5, 5, 1), "Command out of sequence");
pub(super) const NESTED_MAIL: Reply = reply(
    503,
    (5, 5, 1),
    "Sender already given; send RSET to begin anew",
);
pub(super) const MAIL_FIRST: Reply = reply(503, (5, 5, 1), "Send MAIL first");
/// RFC 5321 section 3.3 leaves the choice between 503 and 554; RFC 2920 section 3.1 wants no 354.
pub(super) const NO_VALID_RECIPIENTS: Reply = reply(554, (5, 5, 1), "No valid recipients");
pub(super) const TOO_MANY_RECIPIENTS: Reply = reply(
    452,
    (4, 5, 3),
    "Too many recipients; send the message to these first",
);
pub(super) const TOO_LARGE: Reply = reply(
    552,
    (5, 3, 4),
    "Message size exceeds the limit of this relay",
);
pub(super) const SMTPUTF8_NEEDED: Reply = reply(
    553,
    (5, 6, 7),
    "A non-ASCII address needs the SMTPUTF8 parameter of MAIL",
);
pub(super) const PARAMETER_UNKNOWN: Reply = reply(
    555,
    (5, 5, 4),
    "Parameter not recognized or not implemented",
);
pub(super) const TOO_MANY_ERRORS: Reply =
    reply(421, (4, 7, 0), "Too many errors; closing the connection");

pub(super) const TOO_MANY_COMMANDS: Reply = reply(
    421,
    (4, 7, 0),
    "Too many commands without a message; closing the connection",
);

const NULL_FORWARD_PATH: Reply = reply(501, (5, 1, 3), "The null path <> cannot be a recipient");
const POSTMASTER: Reply = reply(
    550,
    (5, 1, 3),
    "This relay has no mailboxes, not even a postmaster's; add a domain",
);
const SENDER_NO_DOMAIN: Reply = reply(
    553,
    (5, 1, 7),
    "The sender has no domain; set it to a full address such as scanner@contoso.com",
);
const SENDER_TOO_LONG: Reply = reply(553, (5, 1, 7), "The sender is too long");
const SENDER_SYNTAX: Reply = reply(
    553,
    (5, 1, 7),
    "The sender is not of the form local-part@domain",
);
const RECIPIENT_NO_DOMAIN: Reply = reply(
    553,
    (5, 1, 3),
    "The recipient has no domain; set it to a full address such as jane@contoso.com",
);
const RECIPIENT_TOO_LONG: Reply = reply(553, (5, 1, 3), "The recipient is too long");
const RECIPIENT_SYNTAX: Reply = reply(
    553,
    (5, 1, 3),
    "The recipient is not of the form local-part@domain",
);
const MAIL_SYNTAX: Reply = reply(501, (5, 5, 4), "Syntax: MAIL FROM:<address> parameters");
const RCPT_SYNTAX: Reply = reply(501, (5, 5, 4), "Syntax: RCPT TO:<address> parameters");
const NO_ARGUMENT: Reply = reply(501, (5, 5, 4), "The command takes no argument");
const PARAMETER_MALFORMED: Reply = reply(501, (5, 5, 4), "The value of a parameter is malformed");

/// The reply to a line that cannot be carried out; `None` for one that deserves no reply.
pub(super) fn to_error(error: CommandError) -> Option<Reply> {
    Some(match error {
        CommandError::NotSmtp => return None,
        CommandError::Syntax(Verb::Mail) => MAIL_SYNTAX,
        CommandError::Syntax(Verb::Rcpt) => RCPT_SYNTAX,
        CommandError::Syntax(Verb::Auth) => AUTH_SYNTAX,
        CommandError::Syntax(_) => NO_ARGUMENT,
        CommandError::ReversePath(MailboxError::NoDomain) => SENDER_NO_DOMAIN,
        CommandError::ReversePath(MailboxError::TooLong) => SENDER_TOO_LONG,
        CommandError::ReversePath(MailboxError::Syntax) => SENDER_SYNTAX,
        CommandError::ForwardPath(MailboxError::NoDomain) => RECIPIENT_NO_DOMAIN,
        CommandError::ForwardPath(MailboxError::TooLong) => RECIPIENT_TOO_LONG,
        CommandError::ForwardPath(MailboxError::Syntax) => RECIPIENT_SYNTAX,
        CommandError::NullForwardPath => NULL_FORWARD_PATH,
        CommandError::PostmasterWithoutDomain => POSTMASTER,
        CommandError::UnknownParameter => PARAMETER_UNKNOWN,
        CommandError::MalformedParameter(_) => PARAMETER_MALFORMED,
    })
}
