//! How Exchange Online words its replies (facts A.2 to A.4, C).

use std::net::IpAddr;

use jiff::Timestamp;

/// The name that the sandbox goes by: Exchange's shape, with a first label that no real host has.
pub(super) const HOST: &str = "SANDBOX.outlook.office365.com";
/// The mailbox server of the final reply.
const MAILBOX_HOST: &str = "SANDBOX.sandbox.PROD.OUTLOOK.COM";

/// Extensions before TLS (facts A.2); after it AUTH stands in the place of STARTTLS (facts A.3).
const EXTENSIONS: [&str; 8] = [
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "STARTTLS",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "SMTPUTF8",
];

/// The wording of one session: its id ends the greeting and many refusals.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    session_id: String,
}

impl Voice {
    pub(super) fn new() -> Self {
        Self {
            session_id: format!("08DE{:012X}", fastrand::u64(..1 << 48)),
        }
    }

    /// `220 HOST Microsoft ESMTP MAIL Service ready at DATE [ID]`.
    pub(super) fn greeting(&self) -> String {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
        format!(
            "220 {HOST} Microsoft ESMTP MAIL Service ready at {date} [{}]",
            self.session_id
        )
    }

    /// The reply to EHLO, all lines.
    pub(super) fn ehlo(peer: IpAddr, size_max_bytes: u64, tls: bool) -> String {
        let mut reply = format!("250-{HOST} Hello [{peer}]\r\n250-SIZE {size_max_bytes}\r\n");
        let (last, others) = EXTENSIONS.split_last().unwrap_or((&"SMTPUTF8", &[]));
        for &extension in others {
            reply.push_str("250-");
            reply.push_str(match extension {
                "STARTTLS" if tls => "AUTH LOGIN XOAUTH2",
                other => other,
            });
            reply.push_str("\r\n");
        }
        reply.push_str("250 ");
        reply.push_str(last);
        reply
    }

    /// `TEXT [HOST TIME ID]`, the way most refusals end.
    pub(super) fn refusal(&self, text: &str) -> String {
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        format!("{text} [{HOST} {time} {}]", self.session_id)
    }

    /// `TEXT [Hostname=...]`, the way submission's replies end.
    pub(super) fn submission(text: &str) -> String {
        format!("{text} [Hostname={MAILBOX_HOST}]")
    }
}

/// A message id for content without one.
pub(super) fn message_id() -> String {
    format!("<{}@{MAILBOX_HOST}>", guid())
}

/// A random GUID in Microsoft's usual form.
pub(super) fn guid() -> String {
    // The fixed digits say "version 4, variant 1" (RFC 9562 section 5.4).
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        fastrand::u32(..),
        fastrand::u16(..),
        fastrand::u16(..0x1000),
        fastrand::u8(8..12),
        fastrand::u16(..0x1000),
        fastrand::u64(..1 << 48)
    )
}
