//! `/{tenant}/oauth2/v2.0/authorize`: a person signs in, and the browser takes a code back (facts D.11).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use oauth2::url::form_urlencoded;

use super::client::App;
use super::orders::Order;
use super::page::{self, Field, Filled};
use super::refusal::{Kind, Refusal};
use super::scope::Scope;
use super::sign_in::{SignIn, check_consent};
use super::tenant::{self, Concrete};
use super::users::User;
use crate::sandbox::Shared;
use crate::sandbox::content::printable;
use crate::sandbox::form;
use crate::sandbox::voice::guid;

/// The values of `prompt`; other words are refused.
const PROMPTS: [&str; 4] = ["login", "none", "consent", "select_account"];
const TITLE: &str = "Sign in";

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = match Asked::decode(&shared, &tenant, query.as_deref()) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(&shared),
    };
    match shared.entra.orders.take() {
        Some(Order::SignIn(name)) => asked.sign_in(&shared, &name),
        Some(Order::Decline) => asked.decline(&shared),
        None if asked.prompt.as_deref() == Some("none") => {
            let text = "Session information is not sufficient for single-sign-on.";
            let refusal = Refusal::new(Kind::LoginRequired, 50_058, text);
            asked.way_back.refuse(&shared, &refusal)
        }
        None => ask(&shared, &asked.login_hint, None),
    }
}

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let asked = match Asked::decode(&shared, &tenant, query.as_deref()) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(&shared),
    };
    let filled = Filled::decode(&body);
    if filled.declined() {
        asked.decline(&shared)
    } else {
        asked.sign_in(&shared, filled.field("user"))
    }
}

/// A request that is right in all.
struct Asked {
    app: App,
    way_back: WayBack,
    scope: Scope,
    challenge: String,
    nonce: Option<String>,
    prompt: Option<String>,
    login_hint: String,
}

impl Asked {
    fn decode(shared: &Shared, tenant: &str, query: Option<&str>) -> Result<Self, Misled> {
        let fields = form::decode(query.unwrap_or_default().as_bytes());
        let fields = fields.ok_or_else(Refusal::malformed)?;
        let field = |name: &str| {
            fields
                .iter()
                .find(|(known, value)| known == name && !value.is_empty())
                .map(|(_, value)| value.as_str())
        };
        let required = |name: &str| field(name).ok_or_else(|| Refusal::missing(name));

        // Until the redirect URI is known to be the application's, only the person can be told.
        let registration = shared.entra.registration();
        let multi_tenant = registration.multi_tenant;
        let concrete = Concrete::Optional { multi_tenant };
        tenant::check(tenant, &shared.settings.tenant_id, concrete)?;
        let app = App::find(shared, required("client_id")?)?;
        if registration.redirect_uris.is_empty() {
            let text = "No reply address is registered for the application.";
            return Err(Refusal::request(500_113, text).into());
        }
        let Some(redirect_uri) = field("redirect_uri") else {
            return Err(Refusal::request(900_971, "No reply address provided.").into());
        };
        if !registration.allows(redirect_uri) {
            let text = format!(
                "The redirect URI '{}' specified in the request does not match the redirect URIs configured for the \
                 application '{}'. Make sure the redirect URI sent in the request matches one added to your \
                 application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more \
                 about how to troubleshoot this error.",
                printable(redirect_uri.as_bytes()),
                app.id(shared),
            );
            return Err(Refusal::request(50_011, text).into());
        }
        let way_back = WayBack {
            redirect_uri: redirect_uri.to_owned(),
            state: field("state").map(str::to_owned),
        };

        let asked = (|| {
            if required("response_type")? != "code" {
                let text = "The sandbox only knows the response_type 'code' for this application.";
                return Err(Refusal::new(Kind::UnsupportedResponseType, 70_005, text));
            }
            if field("response_mode").is_some_and(|mode| mode != "query") {
                let text = "'response_mode' is not 'query', the only one of the sandbox.";
                return Err(Refusal::request(70_007, text));
            }
            let scope = Scope::decode(required("scope")?)?;
            let challenge = code_challenge(field)?;
            let prompt = field("prompt");
            if prompt.is_some_and(|prompt| !PROMPTS.contains(&prompt)) {
                let text = "Value for the 'prompt' request parameter is not valid.";
                return Err(Refusal::request(90_023, text));
            }
            Ok((scope, challenge.to_owned(), prompt.map(str::to_owned)))
        })();
        match asked {
            Ok((scope, challenge, prompt)) => Ok(Self {
                app,
                way_back,
                scope,
                challenge,
                nonce: field("nonce").map(str::to_owned),
                prompt,
                login_hint: field("login_hint").unwrap_or_default().to_owned(),
            }),
            Err(refusal) => Err(Misled {
                refusal,
                way_back: Some(way_back),
            }),
        }
    }

    fn sign_in(&self, shared: &Shared, name: &str) -> Response {
        let user = match User::find(&shared.settings, name) {
            Ok(user) => user,
            // Entra stays on its page, so that another name can be tried.
            Err(refusal) => return ask(shared, name, Some(&refusal)),
        };
        let entra = &shared.entra;
        if let Err(mut refusal) = check_consent(&entra.registration()) {
            refusal.kind = Kind::ConsentRequired;
            return self.way_back.refuse(shared, &refusal);
        }
        let sign_in = SignIn {
            app: self.app,
            user,
            scope: self.scope.clone(),
            nonce: self.nonce.clone(),
        };
        let redirect_uri = &self.way_back.redirect_uri;
        let now = entra.clock.moment();
        match entra
            .codes
            .issue(sign_in, redirect_uri, &self.challenge, now)
        {
            Ok(code) => {
                let session = guid();
                self.way_back
                    .redirect(&[("code", &code), ("session_state", &session)])
            }
            Err(error) => self.way_back.refuse(shared, &error.into()),
        }
    }

    fn decline(&self, shared: &Shared) -> Response {
        let text = "User declined to consent to access the app.";
        let refusal = Refusal::new(Kind::AccessDenied, 65_004, text);
        self.way_back.refuse(shared, &refusal)
    }
}

fn ask(shared: &Shared, name: &str, refusal: Option<&Refusal>) -> Response {
    let field = Field {
        name: "user",
        label: "User name",
        value: name,
    };
    page::form(TITLE, &[field], refusal, &shared.entra.clock)
}

/// S256 and nothing else: `plain` protects nobody (RFC 7636 section 7.2).
fn code_challenge<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Result<&'a str, Refusal> {
    let Some(challenge) = field("code_challenge") else {
        let text =
            "The size of the code challenge parameter is not valid: the sandbox demands one.";
        return Err(Refusal::request(50_147, text));
    };
    if field("code_challenge_method") != Some("S256") {
        let text = "The Code_Challenge_method supplied in the request is not 'S256'.";
        return Err(Refusal::request(501_491, text));
    }
    let base64url = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    if challenge.len() != 43 || !challenge.bytes().all(base64url) {
        let text = "Invalid size of Code_Challenge parameter.";
        return Err(Refusal::request(501_491, text));
    }
    Ok(challenge)
}

/// A request that is refused, and whether the application can be told.
struct Misled {
    refusal: Refusal,
    way_back: Option<WayBack>,
}

impl Misled {
    fn answer(&self, shared: &Shared) -> Response {
        match &self.way_back {
            Some(way_back) => way_back.refuse(shared, &self.refusal),
            None => page::refused(&self.refusal, &shared.entra.clock),
        }
    }
}

impl From<Refusal> for Misled {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            way_back: None,
        }
    }
}

/// Where the browser is sent with the answer.
struct WayBack {
    redirect_uri: String,
    state: Option<String>,
}

impl WayBack {
    fn refuse(&self, shared: &Shared, refusal: &Refusal) -> Response {
        let description = refusal.describe(&shared.entra.clock).text;
        let uri = format!(
            "https://login.microsoftonline.com/error?code={}",
            refusal.code
        );
        self.redirect(&[
            ("error", refusal.kind.error()),
            ("error_description", &description),
            ("error_uri", &uri),
        ])
    }

    fn redirect(&self, fields: &[(&str, &str)]) -> Response {
        let mut answer = form_urlencoded::Serializer::new(String::new());
        answer.extend_pairs(fields);
        if let Some(state) = &self.state {
            answer.append_pair("state", state);
        }
        let answer = answer.finish();
        let uri = &self.redirect_uri;
        let has_path = uri
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains(['/', '?']));
        let separator = match (has_path, uri.contains('?')) {
            // A redirect URI without a path comes back with one.
            (false, _) => "/?",
            (true, false) => "?",
            (true, true) => "&",
        };
        let Ok(location) = HeaderValue::try_from(format!("{uri}{separator}{answer}")) else {
            // A registered address that is no address.
            return StatusCode::BAD_REQUEST.into_response();
        };
        let no_store = HeaderValue::from_static("no-store, no-cache");
        let headers = [(LOCATION, location), (CACHE_CONTROL, no_store)];
        (StatusCode::FOUND, headers).into_response()
    }
}
