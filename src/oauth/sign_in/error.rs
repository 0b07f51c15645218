//! Why nobody has signed in.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::oauth::error::TokenError;
use crate::oauth::response::ErrorResponse;

/// A sign-in has come to nothing; nothing was kept of it.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// As for any other token.
    #[error(transparent)]
    Token(TokenError),
    /// The application is registered in another way than it is used; the remedy needs words of the settings.
    #[error("{response}; {remedy}")]
    Registration {
        /// Microsoft's own words.
        response: Arc<ErrorResponse>,
        /// What to do about it.
        remedy: String,
    },
    /// The person, or somebody with the device code, said no.
    #[error("the sign-in was declined ({response}); sign in once more and accept")]
    Declined {
        /// The server's own words.
        response: Box<ErrorResponse>,
    },
    /// The code was too old, or used before.
    #[error(
        "the code has expired or was used before; begin again: it is good for some minutes and once"
    )]
    Expired,
    /// An access token alone would serve for an hour.
    #[error("{host} gives no refresh token: {remedy}")]
    NoRefreshToken {
        /// The token endpoint's host.
        host: Box<str>,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Nobody can listen there.
    #[error(
        "{redirect_uri} does not lead to this machine, so the browser's return cannot be awaited"
    )]
    Elsewhere {
        /// `oauth.redirect_uri`.
        redirect_uri: String,
    },
    /// The redirect URI's port.
    #[error("cannot listen on {address} for the browser's return: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SignInError {
    /// Adds what the general catalogue cannot know: which settings are in play.
    pub(super) fn explain(error: TokenError, redirect_uri: &str) -> Self {
        let TokenError::Operator(_) = &error else {
            return Self::Token(error);
        };
        let Some(response) = error.response() else {
            return Self::Token(error);
        };
        let remedy = match response.aadsts() {
            // Redirect URI: another one, none at all.
            Some(50_011 | 500_113 | 900_971) => format!(
                "add the redirect URI {redirect_uri} to the app registration (Authentication), letter by letter"
            ),
            Some(7_000_218) => "the app is registered as Web: give its client_secret, or allow public client flows \
                                (app registration, Authentication)"
                .to_owned(),
            // Redeemed already, expired, expired for a device.
            Some(54_005 | 70_008 | 70_019) => return Self::Expired,
            Some(65_004) => return Self::declined(response),
            None if response.error() == "access_denied" => return Self::declined(response),
            None if response.error() == "invalid_grant" => return Self::Expired,
            _ => return Self::Token(error),
        };
        Self::Registration {
            response: Arc::new(response.clone()),
            remedy,
        }
    }

    fn declined(response: &ErrorResponse) -> Self {
        Self::Declined {
            response: Box::new(response.clone()),
        }
    }
}
