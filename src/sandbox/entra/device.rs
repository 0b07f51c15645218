//! `/{tenant}/oauth2/v2.0/devicecode` for the device, `/devicelogin` for the person (facts D.11).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::json_answer;
use super::client::App;
use super::devices::LIFETIME;
use super::page::{self, Field, Filled};
use super::refusal::Refusal;
use super::request::Request;
use super::scope::Scope;
use super::sign_in::check_consent;
use super::tenant::{self, Concrete};
use super::users::User;
use crate::sandbox::Shared;

const TITLE: &str = "Enter code";
/// Where the person goes.
pub(super) const LOGIN: &str = "/devicelogin";

pub(super) async fn code(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match start(&shared, &tenant, &headers, &body) {
        Ok(body) => json_answer(StatusCode::OK, body.to_string()),
        Err(refusal) => refusal.answer(&shared.entra.clock),
    }
}

/// Any application gets a code: that it must be public is only found out at the token endpoint.
fn start(
    shared: &Shared,
    tenant: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Refusal> {
    let request = Request::read(headers, body)?;
    request.refuse_resource()?;
    let client_id = request.client_id()?;
    let scope = request.required("scope")?;
    let multi_tenant = shared.entra.registration().multi_tenant;
    let concrete = Concrete::Optional { multi_tenant };
    tenant::check(tenant, &shared.settings.tenant_id, concrete)?;
    let app = App::find(shared, client_id)?;
    let scope = Scope::decode(scope)?;
    scope.single()?;
    let interval = shared.settings.device_interval;
    let now = shared.entra.clock.moment();
    let codes = shared.entra.devices.start(app, scope, interval, now)?;
    let page = request.url(LOGIN);
    let user_code = codes.user_code;
    Ok(json!({
        "user_code": user_code,
        "device_code": codes.device_code,
        "verification_uri": page,
        "expires_in": LIFETIME.as_secs(),
        "interval": interval.as_secs(),
        "message": format!(
            "To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."
        ),
    }))
}

pub(super) async fn login(State(shared): State<Arc<Shared>>) -> Response {
    ask(&shared, "", "", None)
}

pub(super) async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let filled = Filled::decode(&body);
    match settle(&shared, &filled) {
        Ok(text) => page::done(text),
        Err(refusal) => {
            let (user_code, user) = (filled.field("user_code"), filled.field("user"));
            ask(&shared, user_code, user, Some(&refusal))
        }
    }
}

fn settle(shared: &Shared, filled: &Filled) -> Result<&'static str, Refusal> {
    let entra = &shared.entra;
    let now = entra.clock.moment();
    let user_code = filled.field("user_code");
    // Entra asks for the code first, and for the name on the next page.
    entra.devices.check(user_code, now)?;
    if filled.declined() {
        entra.devices.answer(user_code, None, now)?;
        return Ok("You have declined to sign in. You can close this window.");
    }
    let user = User::find(&shared.settings, filled.field("user"))?;
    check_consent(&entra.registration())?;
    entra.devices.answer(user_code, Some(user), now)?;
    Ok("You have signed in on your device. You can close this window.")
}

fn ask(shared: &Shared, user_code: &str, user: &str, refusal: Option<&Refusal>) -> Response {
    let fields = [
        Field {
            name: "user_code",
            label: "Code displayed on your app or device",
            value: user_code,
        },
        Field {
            name: "user",
            label: "User name",
            value: user,
        },
    ];
    page::form(TITLE, &fields, refusal, &shared.entra.clock)
}
