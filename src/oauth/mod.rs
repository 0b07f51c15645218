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
mod claims;
mod cloud;
mod endpoint;
mod error;
mod grant;
mod http;
mod journal;
mod once;
mod response;
mod settings;
mod source;
mod state;
mod status;
mod store;
mod token;

pub use claims::Claims;
pub use cloud::{Cloud, is_shared_tenant};
pub use endpoint::{EndpointUrl, EndpointUrlError};
pub use error::{FaultError, OperatorError, RetryError, TokenError};
pub use once::obtain_once;
pub use response::ErrorResponse;
pub use settings::{Credential, Settings, SettingsError, Way};
pub use source::TokenSource;
pub use status::{Refusal, TokenStatus, Unavailable};
pub use store::{Origin, StoreError, StoredToken, TokenStore};
pub use token::AccessToken;
