//! SMTP: octets to meaning and back, and the two sides of a session as machines.
//!
//! # What this room promises
//! - **Framing comes first.** [`LineFramer`], [`ReplyDecoder`] and [`ContentDecoder`] cut whole lines,
//!   replies and contents out of a stream, under limits on length and number; only then does a
//!   grammar see them, and it must use up all of what it is given. How the network cuts the octets
//!   never matters.
//! - **Nothing can be smuggled.** Content that came through [`ContentDecoder`] and leaves through
//!   [`ContentEncoder`] ends where it ends, for every hop. No text of a peer that is kept here holds a
//!   line end or another control character.
//! - **The machines never guess.** [`Session`] and [`Client`] take one line or one reply and say what
//!   comes next; a call out of turn changes nothing. [`Client`] never goes on in plaintext where
//!   STARTTLS was asked for, and says for each recipient which [`Step`] decided.
//! - **Secrets stay secret.** The XOAUTH2 response is a [`crate::secret::Secret`] until it is written.
//!
//! # What it refuses to know
//! Sockets, TLS, time, tasks: the shells in `listener` and `delivery` own those, timeouts included.
//! Where messages are stored and who may send: the shell answers [`Action::CheckSender`],
//! [`Action::CheckRecipient`] and [`Action::CheckLogin`]. Where tokens come from, and what Exchange Online means by a reply.
//!
//! # A server's shell
//! Write [`Session::greeting`]; then feed each [`Line`] to the session and carry out the [`Action`].
//!
//! # A client's shell
//! Write what [`Client::take_output`] gives, decode replies while [`Client::expecting`] names a step,
//! feed them to [`Client::receive`], and carry out the [`Event`].

mod client;
mod command;
mod data;
mod line;
mod reply;
mod server;
#[cfg(test)]
mod tests;
mod xoauth2;

pub use client::{
    Capabilities, Client, ClientError, ClientSettings, ErrorChallenge, Event, Step, Tls,
    TransactionOutcome,
};
pub use command::{Command, CommandError, MailParameters, RcptParameters, Verb};
pub use data::{BareNewline, ContentDecoder, ContentEncoder, ContentProgress};
pub use line::{AUTH_LINE_MAX_OCTETS, COMMAND_LINE_MAX_OCTETS, Line, LineFramer};
pub(crate) use reply::reply;
pub use reply::{Reply, ReplyDecoder, ReplyError, Severity};
pub use server::{Action, Demand, ServerSettings, Session};
pub use xoauth2::{Xoauth2Credentials, Xoauth2Error, decode_xoauth2_response, xoauth2_response};
