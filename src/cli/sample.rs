//! A small message of our own, for trying things out.

use jiff::Zoned;

use crate::mail::{Mailbox, date_time};

/// What it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub(super) from: &'a Mailbox,
    pub(super) to: &'a Mailbox,
    /// For the Message-ID.
    pub(super) hostname: &'a str,
    /// ASCII.
    pub(super) subject: &'a str,
    /// ASCII lines that end in CRLF, none of them with a dot at its beginning.
    pub(super) text: &'a str,
}

impl Sample<'_> {
    /// The whole message (RFC 5322), without the dot at its end.
    pub(super) fn compose(&self) -> String {
        let Self {
            from,
            to,
            hostname,
            subject,
            text,
        } = self;
        format!(
            "From: <{from}>\r\n\
             To: <{to}>\r\n\
             Subject: {subject}\r\n\
             Date: {}\r\n\
             Message-ID: <{:016x}.exorelay@{hostname}>\r\n\
             Auto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\
             \r\n\
             {text}",
            date_time(&Zoned::now()),
            fastrand::u64(..),
        )
    }
}
