//! The replies that only the shell can decide on (DESIGN 6); the machine knows the others.

use std::time::Duration;

use crate::mail::{Mailbox, ReversePath};
use crate::queue::Receipt;
use crate::smtp::{Reply, reply};

pub(super) const ACCESS_DENIED: Reply = reply(
    554,
    (5, 7, 1),
    "This relay does not serve your network; ask its administrator",
);
pub(super) const TOO_MANY_CONNECTIONS: Reply =
    reply(421, (4, 7, 0), "Too many connections; try again later");
pub(super) const TOO_MANY_MESSAGES: Reply = reply(
    452,
    (4, 3, 1),
    "Too many messages at the same moment; try again later",
);
pub(super) const STOPPING: Reply =
    reply(421, (4, 3, 2), "This service is stopping; try again later");
/// RFC 4954 section 6; the same for a name that does not exist.
pub(super) const LOGIN_FAILED: Reply = reply(535, (5, 7, 8), "Authentication credentials invalid");
/// RFC 4954 section 6.
pub(super) const LOGIN_PUT_OFF: Reply = reply(
    454,
    (4, 7, 0),
    "Cannot check the password now; try again later",
);
pub(super) const TOO_MANY_A_MINUTE: Reply = reply(
    421,
    (4, 7, 0),
    "Too many connections in a minute; try again later",
);
pub(super) const TIMEOUT: Reply = reply(421, (4, 4, 2), "Timeout; closing the connection");
pub(super) const FULL: Reply = reply(452, (4, 3, 1), "The queue is full; try again later");
pub(super) const SHARE_USED: Reply = reply(
    452,
    (4, 3, 1),
    "The queue is nearly full and holds much of yours; try again later",
);
pub(super) const STORAGE_FAILED: Reply = reply(
    451,
    (4, 3, 0),
    "The message could not be stored; try again later",
);
pub(super) const TOO_LARGE: Reply = reply(
    552,
    (5, 3, 4),
    "The message is larger than this relay takes",
);
pub(super) const BARE_NEWLINE: Reply = reply(
    550,
    (5, 6, 11),
    "The message has bare CR or LF; lines must end in CRLF",
);
pub(super) const NUL: Reply = reply(550, (5, 6, 0), "The message has NUL characters");
pub(super) const LOOP: Reply = reply(
    554,
    (5, 4, 6),
    "Mail loop: the message has passed too many relays",
);

const NO_ROUTE: Reply = reply(550, (5, 7, 1), "");
const OVER_THE_HOUR: Reply = reply(450, (4, 7, 1), "");
const SHUT_OUT: Reply = reply(421, (4, 7, 0), "");
const RECIPIENT_NOT_ALLOWED: Reply = reply(550, (5, 7, 1), "");

/// No account is to send this, whatever else is said of the message if there is no recipient.
pub(super) fn no_route(reverse_path: &ReversePath, recipient: Option<&Mailbox>) -> Reply {
    let to = recipient.map_or_else(String::new, |mailbox| format!(" to <{mailbox}>"));
    NO_ROUTE.with_text(format!(
        "No account takes mail from <{reverse_path}>{to}: no [[route]] matches and no account is the \
         default; ask the administrator of this relay"
    ))
}

/// `messages_per_hour`.
pub(super) fn over_the_hour(max: u32) -> Reply {
    OVER_THE_HOUR.with_text(format!(
        "This client has sent its {max} messages of this hour; try again later"
    ))
}

/// Too many failed logins.
pub(super) fn shut_out(left: Duration) -> Reply {
    SHUT_OUT.with_text(format!(
        "Too many failed logins; try again in {} s",
        left.as_secs().saturating_add(1)
    ))
}

/// `allow_recipients`.
pub(super) fn recipient_not_allowed(recipient: &Mailbox) -> Reply {
    RECIPIENT_NOT_ALLOWED.with_text(format!(
        "This relay takes no mail to <{recipient}>; ask its administrator (allow_recipients)"
    ))
}

/// The one 250 that promises something, built from the proof that it is kept.
pub(super) fn queued(receipt: &Receipt) -> Reply {
    reply(250, (2, 0, 0), "").with_text(format!("Ok: queued as {}", receipt.queue_id()))
}
