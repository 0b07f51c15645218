//! What an operator can do to an account.

use axum::Json;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::routing::post;

use super::client::{Client, ClientError};
use super::hands::actor;
use super::peer::Peer;
use super::protocol::Renewing;
use super::routes::{Answers, Failure};

pub(super) fn router() -> Router<Answers> {
    Router::new().route("/v1/accounts/{name}/renew", post(renew))
}

/// Answers at once: `status` tells what comes of it.
async fn renew(
    State(answers): State<Answers>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Renewing>, Failure> {
    let unknown = |why: String| Failure::new(StatusCode::NOT_FOUND, why);
    let Path(account) = name.map_err(|rejection| unknown(rejection.body_text()))?;
    let actor = actor(peer).await?;
    if !answers.status.renew(&account) {
        return Err(unknown("there is no such account".to_owned()));
    }
    tracing::info!(
        actor = actor.name,
        account,
        "an operator had a new token asked for"
    );
    Ok(Json(Renewing { account }))
}

impl Client {
    /// Has the daemon ask for a new token of the account at once; whether it has such an account.
    pub async fn renew(&self, account: &str) -> Result<bool, ClientError> {
        let path = ["v1", "accounts", account, "renew"];
        match self.post(&path, "application/json", "".into()).await {
            Ok(response) => {
                let Renewing { .. } = self.decode(response).await?;
                Ok(true)
            }
            Err(ClientError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
