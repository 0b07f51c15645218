//! Sends what is due: the tokio shell round [`crate::smtp::Client`].
//!
//! A [`Dispatcher`] for each account leases messages from the queue and gives them to its workers,
//! each of which owns one connection. It promises to keep to the upstream's limits and to blame a
//! message only for what is the message's fault: trouble of network, token, tenant or throttle
//! opens the account's circuit, keeps the mail and is probed until it is over. It knows nothing of
//! listeners: the queue is where they meet.

mod attempt;
mod circuit;
mod connection;
mod content;
mod day;
mod dial;
mod dispatcher;
mod journal;
mod known;
mod letter;
mod members;
mod notices;
mod pacing;
mod pause;
mod quota;
mod rules;
mod sender;
mod settings;
mod status;
mod tenant;
mod trouble;
mod visit;
mod worker;

pub use connection::Encryption;
pub use dispatcher::Dispatcher;
pub use known::{Known, SignInFault};
pub use notices::{
    Destination, Explain, Explanation, NoticeAccount, NoticeSettings, Notices, NoticesHandle,
    meaning,
};
pub use pause::{Cause, PausePolicy, Probe, State};
pub use quota::Quota;
pub use rules::{Rule, Verdict, classify, explain};
pub use sender::{Rewrites, SenderPolicy};
pub use settings::{Settings, Timeouts};
pub use status::{Pace, Status, Throttled, TroubleStatus, UnknownReplies};
pub use tenant::Tenant;
pub use visit::{Barrier, Obstacle, Stage, Visit};
