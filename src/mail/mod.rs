//! The words of mail: mailboxes, paths, envelopes, status codes. No I/O, no clock.
//!
//! Everything above shares these types; this room knows nothing of what is above it.

mod address_list;
pub mod dsn;
mod envelope;
pub(crate) mod grammar;
mod header;
mod mailbox;
pub mod notice;
mod path;
mod received;
pub mod rewrite;
mod status;
pub mod subject;

pub use address_list::{ListedAddress, listed_addresses};
pub use envelope::{BodyType, Envelope, EnvelopeError, Recipient};
pub use header::{Flaws, HeaderPass, Seen, Supplements};
pub use mailbox::{Mailbox, MailboxError};
pub use notice::NoticeKind;
pub use path::ReversePath;
pub use received::{Received, date_time};
pub use status::{EnhancedStatus, EnhancedStatusError};
