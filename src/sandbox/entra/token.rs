//! `/{tenant}/oauth2/v2.0/token`: every grant that Entra gives a mail program (facts D.7 to D.11).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{broken, json_answer};
use super::client::{App, Proof, no_credential, wrong_secret};
use super::refusal::{Kind, Refusal};
use super::registration::Permission;
use super::request::Request;
use super::scope::{self, Scope};
use super::sign_in::{SignIn, check_consent};
use super::tenant::{self, Concrete};
use crate::sandbox::Shared;
use crate::sandbox::content::printable;
use crate::sandbox::fault::TokenFault;
use crate::sandbox::ledger::{Count, GrantType};
use crate::sandbox::tokens::{Grant, Holder};
use crate::secret::Secret;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request::read(&headers, &body);
    let grant_type = match &request {
        Ok(request) => GrantType::of(request.field("grant_type")),
        Err(_) => GrantType::Other,
    };
    shared.ledger.count(Count::TokenRequest(grant_type));
    let mut refuse_secret = false;
    match shared.faults.strike_token() {
        None => {}
        Some(TokenFault::RefuseSecret) => refuse_secret = true,
        Some(TokenFault::Slow(delay)) => wait(&shared, delay).await,
        Some(fault) => return broken(&fault, &shared.entra.clock),
    }
    let granted = request.and_then(|request| {
        let exchange = Exchange {
            shared: &shared,
            tenant: &tenant,
            request,
            refuse_secret,
        };
        exchange.grant(grant_type)
    });
    match granted {
        Ok(body) => json_answer(StatusCode::OK, body.to_string()),
        Err(refusal) => refusal.answer(&shared.entra.clock),
    }
}

pub(super) async fn not_post(State(shared): State<Arc<Shared>>) -> Response {
    shared.ledger.count(Count::TokenRequest(GrantType::Other));
    let text = "The endpoint only accepts POST requests.";
    Refusal::request(900_561, text).answer(&shared.entra.clock)
}

/// Returns early when the sandbox stops.
async fn wait(shared: &Shared, delay: Duration) {
    shared
        .stop
        .run_until_cancelled(tokio::time::sleep(delay))
        .await;
}

impl GrantType {
    fn of(grant_type: Option<&str>) -> Self {
        match grant_type {
            Some("client_credentials") => Self::ClientCredentials,
            Some("authorization_code") => Self::AuthorizationCode,
            Some("refresh_token") => Self::RefreshToken,
            Some(DEVICE_CODE) => Self::DeviceCode,
            _ => Self::Other,
        }
    }
}

/// One request, checked in the order in which Entra does.
struct Exchange<'a> {
    shared: &'a Shared,
    tenant: &'a str,
    request: Request,
    refuse_secret: bool,
}

impl Exchange<'_> {
    fn grant(&self, grant_type: GrantType) -> Result<Value, Refusal> {
        let named = self.request.required("grant_type")?;
        self.request.refuse_resource()?;
        match grant_type {
            GrantType::ClientCredentials => self.client_credentials(),
            GrantType::AuthorizationCode => self.authorization_code(),
            GrantType::RefreshToken => self.refresh_token(),
            GrantType::DeviceCode => self.device_code(),
            GrantType::ManagedIdentity | GrantType::Other => {
                let text = format!(
                    "The app requested an unsupported grant type '{}'.",
                    printable(named.as_bytes())
                );
                Err(Refusal::new(Kind::UnsupportedGrantType, 70_003, text))
            }
        }
    }

    fn client_credentials(&self) -> Result<Value, Refusal> {
        let client_id = self.request.client_id()?;
        let scope = self.request.required("scope")?;
        let (app, proof) = self.authenticate(client_id, Concrete::Required)?;
        if app == App::Public {
            return Err(no_credential());
        }
        let audience = scope::of_application(scope)?;
        let has_role = self.shared.entra.registration().permission == Permission::AppRole;
        let token = self.access_token(app, proof, audience, Holder::Application { has_role })?;
        Ok(self.body(&token))
    }

    fn authorization_code(&self) -> Result<Value, Refusal> {
        let (app, proof) = self.authenticate_for_person()?;
        let wanted = self.wanted()?;
        let now = self.shared.entra.clock.moment();
        let sign_in = self.shared.entra.codes.redeem(&self.request, app, now)?;
        self.person(&sign_in, proof, wanted.as_ref(), None)
    }

    fn device_code(&self) -> Result<Value, Refusal> {
        let (app, proof) = self.authenticate_for_person()?;
        if proof == Proof::None && !self.shared.entra.registration().public_client_flows {
            return Err(no_credential());
        }
        let device_code = self.request.required("device_code")?;
        let wanted = self.wanted()?;
        let now = self.shared.entra.clock.moment();
        let sign_in = self.shared.entra.devices.poll(device_code, app, now)?;
        self.person(&sign_in, proof, wanted.as_ref(), None)
    }

    fn refresh_token(&self) -> Result<Value, Refusal> {
        let (app, proof) = self.authenticate_for_person()?;
        let shown = self.request.required("refresh_token")?;
        let wanted = self.wanted()?;
        let entra = &self.shared.entra;
        let now = entra.clock.moment();
        let sign_in = entra.refresh_tokens.redeem(shown, app, now)?;
        self.person(&sign_in, proof, wanted.as_ref(), Some(shown))
    }

    /// The scope of the request, where one is not demanded; it must be right before anything is used up.
    fn wanted(&self) -> Result<Option<Scope>, Refusal> {
        check_consent(&self.shared.entra.registration())?;
        let Some(wanted) = self.request.field("scope") else {
            return Ok(None);
        };
        let wanted = Scope::decode(wanted)?;
        wanted.single()?;
        Ok(Some(wanted))
    }

    fn authenticate_for_person(&self) -> Result<(App, Proof), Refusal> {
        let multi_tenant = self.shared.entra.registration().multi_tenant;
        let client_id = self.request.client_id()?;
        self.authenticate(client_id, Concrete::Optional { multi_tenant })
    }

    fn authenticate(&self, client_id: &str, concrete: Concrete) -> Result<(App, Proof), Refusal> {
        let shared = self.shared;
        tenant::check(self.tenant, &shared.settings.tenant_id, concrete)?;
        let app = App::find(shared, client_id)?;
        let path = format!("/{}/oauth2/v2.0/token", self.tenant);
        let proof = app.authenticate(shared, &self.request, &self.request.url(&path))?;
        if self.refuse_secret && proof == Proof::Secret {
            return Err(wrong_secret(client_id));
        }
        Ok((app, proof))
    }

    /// A token for somebody who signed in; `shown` is the refresh token of the request.
    fn person(
        &self,
        sign_in: &SignIn,
        proof: Proof,
        wanted: Option<&Scope>,
        shown: Option<&str>,
    ) -> Result<Value, Refusal> {
        let entra = &self.shared.entra;
        let access = sign_in.access(wanted);
        let holder = Holder::Person {
            user: sign_in.user.name.clone(),
            object_id: sign_in.user.object_id.clone(),
            permissions: access.permissions.clone(),
        };
        let token = self.access_token(sign_in.app, proof, &access.resource, holder)?;
        let mut body = self.body(&token);
        let mut add = |name: &str, value: &str| {
            if let Some(fields) = body.as_object_mut() {
                fields.insert(name.to_owned(), value.into());
            }
        };
        add("scope", &access.scope());
        if sign_in.scope.offline {
            let refresh_token = entra
                .refresh_tokens
                .issue(sign_in.clone(), shown, &entra.clock)?;
            add("refresh_token", refresh_token.reveal());
        }
        if sign_in.scope.openid {
            let client_id = sign_in.app.id(self.shared);
            let tenant_id = &self.shared.settings.tenant_id;
            let id_token = sign_in.id_token(client_id, tenant_id, &entra.clock)?;
            add("id_token", id_token.reveal());
        }
        Ok(body)
    }

    fn access_token(
        &self,
        app: App,
        proof: Proof,
        audience: &str,
        holder: Holder,
    ) -> Result<Secret, Refusal> {
        let settings = &self.shared.settings;
        let grant = Grant {
            tenant_id: &settings.tenant_id,
            client_id: app.id(self.shared),
            audience,
            proof,
            lifetime: settings.token_lifetime,
            holder,
        };
        let token = self.shared.tokens.issue(grant, &self.shared.entra.clock)?;
        self.shared.ledger.count(Count::TokenIssued);
        Ok(token)
    }

    fn body(&self, token: &Secret) -> Value {
        let expires_in = self.shared.settings.token_lifetime.as_secs();
        json!({
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "access_token": token.reveal(),
        })
    }
}
