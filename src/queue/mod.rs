//! The durable queue: the one place where `listener` and `delivery` meet.
//!
//! It promises that a [`Receipt`] means stable storage, that a [`Lease`] is held by one attempt at a
//! time, and that every message stays until its [`Settlement`] ends it or an operator does. It
//! refuses to know SMTP, accounts' settings or tokens: accounts are names, alone or joined to
//! pools, replies are text.
//!
//! ```text
//! Queue::draft -> Draft -> commit -> Receipt            taken in
//! Queue::lease -> Lease -> settle(Settlement) | release tried, as often as it takes
//! Queue::change -> Change -> step, step, ...            an operator's hands
//! Reader::debts -> Owing -> Draft::commit_notice        who is still to be told
//! Queue::reroute -> Reroute -> step, step, ...          other settings
//! Reader::list, show, history, export; verify           looking, without touching
//! Queue::incidents -> Incidents                         what is wrong, and who was told
//! Queue::heard -> Heard                                 which clients have fallen silent
//! ```
//!
//! One thread owns the one connection that writes. Whatever waits for it is done in one transaction
//! and one fsync, then every waiter gets its answer: the more sessions push, the more messages share
//! the price of a sync. Listings use read-only connections of their own.
//!
//! Nothing above this room may assume that a lease is local to the process or that ids are
//! consecutive: a store shared by several relays can take this one's place.
//!
//! What is assumed of the filesystem: fsync of a file makes its octets durable, fsync of a folder
//! makes its entries durable, and `flock` works. Network filesystems promise none of it.

mod batch;
mod bounds;
mod change;
mod clients;
mod clock;
mod commits;
mod content;
mod denied;
mod draft;
mod error;
mod event;
mod export;
mod filter;
mod heard;
mod history;
mod id;
mod import;
mod incident;
mod insert;
mod lease;
mod lock;
mod near;
mod notice;
mod op;
mod opening;
mod owing;
mod pool;
mod presented;
mod query;
mod records;
mod reroute;
mod retention;
mod schedule;
mod schema;
mod settle;
mod shares;
mod state;
mod store;
mod turn;
mod verify;
mod writer;

pub use bounds::{Full, Limits};
pub use change::{Action, Change, Skip, Tally};
pub use clients::{ClientRecord, Quirk, Quirks, Refusal, SeenMessage, Sighting};
pub use commits::CommitCounts;
pub use content::Content;
pub use denied::DeniedSender;
pub use draft::{Draft, Receipt};
pub use error::{DraftError, OpenError, StorageError};
pub use event::{Actor, Through};
pub use export::{Piece, Sidecar};
pub use filter::{
    AddressPattern, AddressPatternError, Filter, Selection, SelectionError, SelectionRequest,
};
pub use heard::{Heard, Section};
pub use history::HistoryFilter;
pub use id::{QueueId, QueueIdError};
pub(crate) use import::Newlines;
pub use import::{Import, ImportError, ImportRecipient, ImportRequest};
pub use incident::{
    Alarm, Finding, Hook, Incident, IncidentKind, Incidents, News, Owed, ProbePlan, Told, Urgency,
};
pub use insert::{Origin, Submission};
pub use lease::{Lease, Leased, LeasedMessage};
pub use notice::{NoticeError, NoticeOf};
pub use owing::{Case, Debt, Owing};
pub use pool::{pool_key, pool_members};
pub use presented::{Presented, Sender};
pub use query::Reader;
pub use records::{
    AttemptRecord, Counts, EventRecord, MessageDetail, MessageRecord, RecipientRecord,
};
pub use reroute::{Facts, Reroute, Way};
pub use schedule::Backoff;
pub use settle::{Disposition, Note, Outcome, RecipientOutcome, Retry, Settlement};
pub use state::{MessageState, RecipientState};
pub use store::{Queue, Retention, Settings};
pub use verify::{Problem, Verdict, verify};

#[cfg(test)]
pub(crate) mod tests;
