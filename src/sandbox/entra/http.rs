//! The control interface of the login service over HTTP.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

use super::federation::FederatedToken;
use super::refresh::Rotation;
use super::registration::{Permission, Registration};
use crate::sandbox::Control;

const DONE: StatusCode = StatusCode::NO_CONTENT;

/// What can be ordered, see `help.txt`.
pub(in crate::sandbox) fn control() -> Router<Control> {
    Router::new()
        .route("/faults/token", post(fault))
        .route("/entra/registration", post(registration))
        .route("/entra/signin", post(sign_in))
        .route("/entra/decline", post(decline))
        .route("/entra/access", post(access))
        .route("/entra/rotation", post(rotation))
        .route("/entra/revoke", post(revoke))
        .route("/entra/expire", post(expire))
        .route("/entra/clock", post(clock))
        .route("/entra/federated-token", post(federated_token))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultOrder {
    aadsts: u32,
    times: Option<usize>,
}

async fn fault(State(control): State<Control>, Query(order): Query<FaultOrder>) -> Response {
    if control.aadsts_fault(order.aadsts, order.times) {
        return DONE.into_response();
    }
    let text = "the sandbox does not know this AADSTS number\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

/// What is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistrationOrder {
    redirect_uris: Option<Vec<String>>,
    public_client_flows: Option<bool>,
    multi_tenant: Option<bool>,
    permission: Option<Permission>,
    consent: Option<bool>,
}

async fn registration(
    State(control): State<Control>,
    Json(order): Json<RegistrationOrder>,
) -> StatusCode {
    let now = control.registration();
    control.register(Registration {
        redirect_uris: order.redirect_uris.unwrap_or(now.redirect_uris),
        public_client_flows: order.public_client_flows.unwrap_or(now.public_client_flows),
        multi_tenant: order.multi_tenant.unwrap_or(now.multi_tenant),
        permission: order.permission.unwrap_or(now.permission),
        consent: order.consent.unwrap_or(now.consent),
    });
    DONE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    user: String,
}

async fn sign_in(State(control): State<Control>, Query(order): Query<User>) -> StatusCode {
    control.sign_in(&order.user);
    DONE
}

async fn decline(State(control): State<Control>) -> StatusCode {
    control.decline_sign_in();
    DONE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessOrder {
    user: String,
    mailbox: String,
}

async fn access(State(control): State<Control>, Query(order): Query<AccessOrder>) -> StatusCode {
    control.grant_access(&order.user, &order.mailbox);
    DONE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationOrder {
    mode: Rotation,
}

async fn rotation(
    State(control): State<Control>,
    Query(order): Query<RotationOrder>,
) -> StatusCode {
    control.set_rotation(order.mode);
    DONE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    user: Option<String>,
}

async fn revoke(State(control): State<Control>, Query(whose): Query<Whose>) -> StatusCode {
    control.revoke_sign_ins(whose.user.as_deref());
    DONE
}

async fn expire(State(control): State<Control>, Query(whose): Query<Whose>) -> StatusCode {
    control.expire_sign_ins(whose.user.as_deref());
    DONE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOrder {
    offset: i64,
}

async fn clock(State(control): State<Control>, Query(order): Query<ClockOrder>) -> StatusCode {
    control.set_clock_offset(order.offset);
    DONE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenOrder {
    issuer: Option<String>,
    subject: Option<String>,
    audience: Option<String>,
    lifetime: Option<i64>,
}

async fn federated_token(
    State(control): State<Control>,
    Query(order): Query<TokenOrder>,
) -> Response {
    let wanted = FederatedToken {
        issuer: order.issuer,
        subject: order.subject,
        audience: order.audience,
        lifetime_seconds: order.lifetime,
    };
    match control.federated_token(&wanted) {
        Ok(token) => token.reveal().to_owned().into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}
