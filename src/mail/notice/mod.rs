//! Notices to people whose mail did not arrive: delivery status notifications (RFC 3464) in words that
//! an ordinary reader understands, with a part for programs and the headers of the message.
//!
//! ```text
//! multipart/report; report-type=delivery-status        RFC 6522
//!   text/plain                                         who did not get it, why, what to do
//!   message/delivery-status                            the same for programs
//!   text/rfc822-headers or message/rfc822              what it was
//! ```
//!
//! Notices are ordinary mail from the account's mailbox, since Exchange may refuse a null
//! reverse-path; [`silence`] keeps anybody from being told of a notice all the same. Whatever comes
//! from outside (replies, subjects, addresses) stands in its place and nowhere else: it cannot begin
//! a header field or a part. All of a notice is US-ASCII, but for addresses that are not, and for a
//! message that is returned whole.

mod compose;
mod digest;
mod encoding;
mod fields;
mod report;
mod silence;
#[cfg(test)]
mod tests;
mod words;

use jiff::Zoned;

pub use digest::{Digest, Item};
pub use fields::{header_section, subject_of};
pub use silence::{Silence, silence};

/// What a notice tells of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// It is late, and still tried.
    Delayed,
    /// It was given up for some recipients, or for all.
    Failed,
}

/// Who writes to whom, and when.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    /// The mailbox that sends the notice.
    pub from: &'a str,
    /// Whoever is told.
    pub to: &'a str,
    /// This relay.
    pub hostname: &'a str,
    /// The notice's own queue id.
    pub id: &'a str,
    /// Now; other times are shown in the same time zone.
    pub date: &'a Zoned,
}

/// A notice of one message.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// What it tells.
    pub kind: NoticeKind,
    /// Who writes to whom.
    pub heading: Heading<'a>,
    /// The message.
    pub about: Original<'a>,
    /// Those who did not get it, in the order of the RCPT commands.
    pub recipients: &'a [Undelivered<'a>],
    /// How many more there are than `recipients` has room for.
    pub recipients_left_out: u64,
    /// The host that was spoken to.
    pub remote: Option<&'a str>,
    /// What of the message goes with it.
    pub returned: Returned<'a>,
}

/// The message that a notice is about.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Its queue id.
    pub id: &'a str,
    /// Empty for the null path.
    pub reverse_path: &'a str,
    /// Decoded.
    pub subject: Option<&'a str>,
    /// With its angle brackets.
    pub message_id: Option<&'a str>,
    /// `ENVID=`, decoded (RFC 3461 section 4.4).
    pub envelope_id: Option<&'a str>,
    /// When it was accepted.
    pub received: &'a Zoned,
    /// Who brought it: `10.20.1.15 (scanner)`.
    pub origin: &'a str,
    /// How many recipients have it.
    pub delivered: u64,
    /// When it is given up, as things stand; of delayed ones.
    pub given_up: Option<&'a Zoned>,
}

/// A recipient who did not get it.
#[derive(Clone, Copy, Debug)]
pub struct Undelivered<'a> {
    /// The forward-path.
    pub address: &'a str,
    /// `ORCPT=`, decoded: type and address (RFC 3461 section 4.2).
    pub original: Option<(&'a str, &'a str)>,
    /// The reply that decided it, or the failure; none while there was no attempt.
    pub reply: Option<&'a str>,
    /// When it was last tried, if that is known of this recipient.
    pub last_attempt: Option<&'a Zoned>,
    /// What the reply means.
    pub sentence: Option<&'a str>,
    /// What can be done.
    pub remedy: Option<&'a str>,
}

/// What of the message goes with a notice.
#[derive(Clone, Copy, Debug)]
pub enum Returned<'a> {
    /// Its header section, as much of it as is to be had. Empty: nothing.
    Headers(&'a [u8]),
    /// All of it (`RET=FULL`), where it can stand in a notice as it is; else its header section.
    Message(&'a [u8]),
}

/// A message as it goes to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Header and body, with CRLF line ends.
    pub content: Vec<u8>,
    /// As the header shows it, before encoding.
    pub subject: String,
    /// With its angle brackets.
    pub message_id: String,
}
