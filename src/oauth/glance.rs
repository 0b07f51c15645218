//! A look at the token endpoint that asks for no token: whether it is reached, who it is, and what time it has.

use jiff::Timestamp;

use super::error::{OperatorError, TokenError};
use super::grant::exchange::Exchange;
use super::settings::Settings;
use crate::tls::Seen;

/// What a look at the token endpoint shows.
#[derive(Clone, Debug)]
pub struct Glance {
    /// Its clock, when its answer came; none: its answer says nothing of the time. Or why there was no
    /// answer.
    pub date: Result<Option<Timestamp>, TokenError>,
    /// The certificate it showed; none: it did not come to that, or there is none on loopback.
    pub seen: Option<Seen>,
}

/// Looks once. Reads the trust store (short and blocking), so for commands. Entra answers a request of the wrong kind, and that answer will do.
pub async fn glance(settings: &Settings) -> Glance {
    let (exchange, witness) = match Exchange::witnessed(settings) {
        Ok(made) => made,
        Err(error) => {
            return Glance {
                date: Err(TokenError::Operator(OperatorError::Settings(error.into()))),
                seen: None,
            };
        }
    };
    let date = exchange.date().await;
    Glance {
        date,
        seen: witness.seen(),
    }
}
