//! Sends what is due: the tokio shell round [`crate::smtp::Client`].
//!
//! A [`Dispatcher`] for each account leases messages from the queue and gives them to its workers,
//! each of which owns one connection. It promises to keep to the upstream's limits and to blame a
//! message only for what is the message's fault: trouble of network, token, tenant or throttle
//! opens the account's circuit, keeps the mail and is probed until it is over. It knows nothing of
//! listeners: the queue is where they meet.

mod circuit;
mod connection;
mod content;
mod day;
mod dispatcher;
mod journal;
mod members;
mod outcome;
mod pacing;
mod quota;
mod settings;
mod status;
mod worker;

pub use circuit::Cause;
pub use dispatcher::Dispatcher;
pub use quota::Quota;
pub use settings::{Settings, Timeouts};
pub use status::{Pace, Status, Throttled, TroubleStatus};
