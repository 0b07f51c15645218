//! exorelay: a local SMTP relay that queues durably and forwards to Exchange Online.

pub mod mail;
pub mod sandbox;
pub mod secret;
