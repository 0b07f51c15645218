//! exorelay: a local SMTP relay that queues durably and forwards to Exchange Online.

pub mod admin;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod listener;
pub mod mail;
pub mod oauth;
pub mod queue;
pub mod relay;
pub mod sandbox;
pub mod secret;
pub mod smtp;
pub mod telemetry;
pub mod tls;
