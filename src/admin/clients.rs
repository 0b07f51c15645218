//! What clients needed.

use axum::Json;
use axum::extract::State;

use super::client::{Client, ClientError};
use super::routes::Answers;
use crate::queue::ClientRecord;

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
