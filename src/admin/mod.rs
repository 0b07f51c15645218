//! The admin interface of a running daemon: HTTP over a Unix socket, and what of it only looks over TCP.
//!
//! It promises to answer without disturbing mail: changes are made in small steps, and listings are read from connections of their own, a
//! row at a time, by a bounded number of callers. It refuses to know the parts of the daemon; what
//! they are doing comes from a [`StatusSource`].
//!
//! ```text
//! GET /v1/status          Status
//! GET /v1/queue           one queue::MessageRecord a line, narrowed by queue::Filter
//! GET /v1/queue/{id}      queue::MessageDetail, or 404
//! GET /v1/history         one queue::MessageDetail a line, narrowed by queue::HistoryFilter
//! POST /v1/actions/{action}  queue::SelectionRequest in; a queue::Tally a line, the last with `done`
//! POST /v1/export         queue::SelectionRequest in; for each message a line, then its content
//! POST /v1/import         a line and the content in; the new id
//! GET /v1/clients         an array of queue::ClientRecord
//! GET /metrics            what is counted, for Prometheus
//! GET /v1/timeline        how queue and accounts did lately, see timeline.rs
//! GET /v1/senders         an array of queue::DeniedSender
//! POST /v1/accounts/{name}/renew  the account's name; a new token is asked for, 404 where there is no such account
//! POST /v1/senders/forget `address` and `account` in, each or none; how many `senders` were forgotten
//! ```
//!
//! Everything else, and every failure, is `{"error": "..."}` with the status that fits. The routes
//! know nothing of the socket: those that change nothing are also at `admin.http` ([`HttpServer`]).

mod accounts;
mod cause;
mod client;
mod clients;
mod hands;
mod http;
mod listing;
mod metrics;
mod page;
mod peer;
mod protocol;
mod recent;
mod routes;
mod senders;
mod server;
mod snapshot;
mod socket;
#[cfg(test)]
mod tests;
mod timeline;
mod transfer;
mod user;

pub(crate) use cause::one_line;
pub use client::{Client, ClientError};
pub use clients::ClientStatus;
pub use http::{HttpBindError, HttpPort, HttpServer};
pub use protocol::{
    AccountState, AccountStatus, CommitStatus, DeniedSenderStatus, IncidentStatus, ListenerStatus,
    PaceReport, QueueStatus, Reception, SignInReport, Status, StatusFuture, StatusSource,
    TokenReport, TokenState,
};
pub use server::{BindError, Server};
pub(crate) use snapshot::wall;
pub use timeline::{Pace, SAMPLE_INTERVAL, Sample, Timeline};
pub(crate) use user::{group_id, login_name, user_ids, user_name};
