//! What clients needed, and which have fallen silent.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::client::{Client, ClientError};
use super::routes::Answers;
use crate::queue::{ClientRecord, Heard, Queue};

/// One `[client.NAME]`. Keys may be added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The NAME.
    pub name: String,
    /// Whom it is for.
    pub network: String,
    /// When a message of any of its clients was last accepted, as long as the section is there; other clients
    /// do not push it out.
    pub last_message_at: Option<Timestamp>,
    /// The client that sent it.
    pub last_client: Option<String>,
    /// `silent_after`; none: it is not watched.
    pub silent_after_seconds: Option<u64>,
    /// For how long nothing has come while mail could be taken in, since the last message or since it is watched;
    /// none: it is not watched.
    pub quiet_seconds: Option<u64>,
    /// That is too long.
    pub silent: bool,
}

impl ClientStatus {
    /// Every section, by its name.
    pub fn all(queue: &Queue) -> Vec<Self> {
        queue.heard().into_iter().map(Self::of).collect()
    }

    /// What the queue knows of one.
    pub fn of(heard: Heard) -> Self {
        let second = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
        Self {
            silent: heard.is_silent(),
            last_message_at: heard.last_message_at.map(second),
            last_client: heard.last_client,
            silent_after_seconds: heard.section.silent_after.map(|time| time.as_secs()),
            quiet_seconds: heard.quiet.map(|quiet| quiet.as_secs()),
            name: heard.section.name,
            network: heard.section.network,
        }
    }
}

/// They are in memory, and a thousand at most.
pub(super) async fn list(State(answers): State<Answers>) -> Json<Vec<ClientRecord>> {
    Json(answers.queue.clients())
}

impl Client {
    /// Every client that is remembered; those seen last come first.
    pub async fn clients(&self) -> Result<Vec<ClientRecord>, ClientError> {
        let response = self.get(&["v1", "clients"], &[]).await?;
        self.decode(response).await
    }
}
