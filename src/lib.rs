//! exorelay: a local SMTP relay that queues durably and forwards to Exchange Online.
//!
//! ```text
//! cli                     the commands
//! relay                   builds every part, starts, reloads, drains; the only room that knows all of them
//! config      admin       settings in, questions answered
//! listener    delivery    sockets, timeouts, tasks; they meet only at the queue
//! alert                   calls for help, which need no mail
//! queue       oauth       what outlives a connection      (sandbox: the other side, for trying out)
//! smtp                    the codec and two machines, without I/O
//! mail   secret   telemetry   tls   proxy   owner   file_version   unix_socket   shared words
//! ```
//!
//! Imports point downwards only; a test keeps it so.
#![doc = include_str!("../docs/message.md")]

pub mod admin;
pub mod alert;
pub mod cli;
pub mod config;
pub mod delivery;
mod file_version;
pub mod listener;
pub mod mail;
pub mod oauth;
mod owner;
pub mod proxy;
pub mod queue;
pub mod relay;
pub mod sandbox;
pub mod secret;
pub mod smtp;
pub mod telemetry;
pub mod tls;
pub mod unix_socket;
