//! Access tokens for `AUTH XOAUTH2` (RFC 6749).
//!
//! A [`TokenSource`] holds one account's token and renews it in the background, so that delivery
//! finds one ready: [`TokenSource::token`]. All requests are made by the one task
//! [`TokenSource::run`]; whoever needs a token waits for it or learns why there is none, and can
//! never cause a second request. When there is none, [`TokenError`] says who can mend it.
//!
//! This room knows nothing of mail: that a missing token must not cost a message is the
//! caller's promise.

pub mod aadsts;
mod backoff;
mod blocking;
mod certificate;
mod claims;
mod cloud;
mod endpoint;
mod error;
mod federated;
mod glance;
mod grant;
mod http;
mod journal;
pub mod managed;
mod once;
mod response;
mod settings;
pub mod sign_in;
mod source;
mod state;
mod status;
mod store;
mod token;
mod watch;

pub use certificate::{ClientCertificate, ClientCertificateError, certificate_end};
pub use claims::Claims;
pub use cloud::{Cloud, is_shared_tenant};
pub use endpoint::{EndpointUrl, EndpointUrlError};
pub use error::{FaultError, OperatorError, RetryError, TokenError};
pub use federated::{FederatedTokenError, read_federated_token};
pub use glance::{Glance, glance};
pub use once::{import, obtain_once};
pub use response::ErrorResponse;
pub use settings::{AssertionAlgorithm, Credential, Settings, SettingsError, Way};
pub use source::TokenSource;
pub use status::{Refusal, TokenStatus, Unavailable};
pub use store::{KeyError, Origin, SignIn, StoreError, StoredToken, TokenLock, TokenStore};
pub use token::AccessToken;
