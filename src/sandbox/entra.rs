//! The Entra side: one tenant, two applications, every grant that a mail program can use, with Microsoft's answers.
//!
//! It shares no code with the relay's own OAuth side, so that a mistake there cannot cancel itself out.

mod aadsts;
mod answer;
mod assertion;
mod authorize;
mod certificate;
mod client;
mod clock;
mod codes;
mod control;
mod der;
mod device;
mod devices;
mod federation;
mod http;
mod jwt;
mod orders;
mod page;
mod random;
mod refresh;
mod refusal;
mod registration;
mod request;
mod scope;
mod shelf;
mod sign_in;
mod tenant;
mod token;
mod users;

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::http::header::DATE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};

use self::assertion::Assertions;
use self::codes::Codes;
use self::devices::Devices;
use self::federation::Federation;
use self::orders::Orders;
use self::refresh::RefreshTokens;
use super::{Settings, Shared, StartError};

pub use self::aadsts::{Aadsts, aadsts};
pub use self::certificate::AppCertificateError;
pub use self::federation::FederatedToken;
pub use self::random::RandomError;
pub use self::refresh::Rotation;
pub use self::registration::{Permission, Registration};

pub(super) use self::aadsts::find as find_aadsts;
pub(super) use self::certificate::AppCertificate;
pub(super) use self::client::Proof;
pub(super) use self::clock::{Clock, Moment};
pub(super) use self::http::control;
pub(super) use self::jwt::signing_input;
pub(super) use self::random::{opaque, stable_guid};
pub(super) use self::scope::SEND;
pub(super) use self::shelf::Shelf;

/// A request is under 10 kB, even with a signed assertion.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// What the login service knows and remembers.
pub(super) struct Entra {
    pub(super) clock: Clock,
    registration: RwLock<Registration>,
    certificates: Vec<AppCertificate>,
    assertions: Assertions,
    federation: Federation,
    orders: Orders,
    codes: Codes,
    devices: Devices,
    refresh_tokens: RefreshTokens,
}

impl Entra {
    pub(super) fn new(settings: &Settings) -> Result<Self, StartError> {
        let pems = settings.certificates.iter();
        let certificates: Result<_, _> = pems.map(|pem| AppCertificate::read(pem)).collect();
        Ok(Self {
            clock: Clock::new(),
            registration: RwLock::new(settings.registration.clone()),
            certificates: certificates?,
            assertions: Assertions::new(),
            federation: Federation::generate()?,
            orders: Orders::default(),
            codes: Codes::new(),
            devices: Devices::new(),
            refresh_tokens: RefreshTokens::new(),
        })
    }

    pub(super) fn registration(&self) -> Registration {
        let registration = self.registration.read();
        // Replaced as a whole: a panic elsewhere leaves nothing half done.
        registration.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes back what was ordered of people and of the clock.
    pub(super) fn recover(&self) {
        self.orders.clear();
        self.refresh_tokens.rotate(Rotation::default());
        self.clock.shift(0);
    }
}

/// The endpoints that applications and people use.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(
            "/{tenant}/oauth2/v2.0/token",
            post(token::post).fallback(token::not_post),
        )
        .route(
            "/{tenant}/oauth2/v2.0/authorize",
            get(authorize::get).post(authorize::post),
        )
        .route("/{tenant}/oauth2/v2.0/devicecode", post(device::code))
        .route(device::LOGIN, get(device::login).post(device::answer))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(from_fn_with_state(Arc::clone(&shared), date))
        .with_state(shared)
}

/// The time in the headers is the one in the tokens, also when both are wrong.
async fn date(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let date = shared
        .entra
        .clock
        .now()
        .strftime("%a, %d %b %Y %H:%M:%S GMT");
    if let Ok(date) = HeaderValue::try_from(date.to_string()) {
        response.headers_mut().insert(DATE, date);
    }
    response
}
