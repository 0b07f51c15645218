//! exorelay: a local SMTP relay that queues durably and forwards to Exchange Online.

pub mod admin;
pub mod cli;
pub mod config;
pub mod mail;
pub mod oauth;
pub mod queue;
pub mod secret;
pub mod tls;
