//! Senders that accounts were refused: looking at them, and forgetting them.

use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::routing::{get, post};

use super::client::{Client, ClientError};
use super::hands::actor;
use super::peer::Peer;
use super::protocol::{ForgetRequest, Forgotten};
use super::routes::{Answers, Failure};
use crate::queue::DeniedSender;

pub(super) fn router() -> Router<Answers> {
    Router::new()
        .route("/v1/senders", get(list))
        .route("/v1/senders/forget", post(forget))
}

async fn list(State(answers): State<Answers>) -> Json<Vec<DeniedSender>> {
    Json(answers.queue.denied_senders())
}

async fn forget(
    State(answers): State<Answers>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Result<Json<ForgetRequest>, JsonRejection>,
) -> Result<Json<Forgotten>, Failure> {
    let Json(request) =
        request.map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))?;
    let actor = actor(peer).await?;
    let (account, address) = (request.account.as_deref(), request.address.as_deref());
    let forgotten = answers.queue.forget_denied(account, address).await;
    let senders = forgotten.map_err(|error| Failure::storage(&error))?;
    tracing::info!(
        actor = actor.name,
        senders,
        address,
        "an operator had refused senders forgotten"
    );
    Ok(Json(Forgotten { senders }))
}

impl Client {
    /// Every refused sender that is remembered.
    pub async fn denied_senders(&self) -> Result<Vec<DeniedSender>, ClientError> {
        let response = self.get(&["v1", "senders"], &[]).await?;
        self.decode(response).await
    }

    /// Has an address, or all, of an account, or of every one, forgotten; how many were.
    pub async fn forget_denied(
        &self,
        account: Option<&str>,
        address: Option<&str>,
    ) -> Result<u64, ClientError> {
        let request = ForgetRequest {
            account: account.map(str::to_owned),
            address: address.map(str::to_owned),
        };
        let response = self.post_json(&["v1", "senders", "forget"], &request);
        let Forgotten { senders } = self.decode(response.await?).await?;
        Ok(senders)
    }
}
