//! What was answered, and what stands in the settings already.

use std::path::PathBuf;

use super::way::Way;
use crate::oauth::Cloud;
use crate::secret::Secret;

/// Everything that is asked. An empty text is a setting that is left out.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) way: Way,
    /// Of Microsoft's ways.
    pub(super) cloud: Cloud,
    pub(super) tenant_id: String,
    pub(super) client_id: String,
    pub(super) secret: SecretAnswer,
    pub(super) credential_expires: String,
    pub(super) certificate: String,
    pub(super) certificate_key: String,
    pub(super) federated_token_file: String,
    pub(super) mailbox: String,
    /// None: the listeners stay as they are.
    pub(super) reach: Option<Reach>,
    /// `sender`, `none` or an address.
    pub(super) bounce_to: String,
}

/// What becomes of the application's secret.
#[derive(Clone, Debug)]
pub(super) enum SecretAnswer {
    /// It stays where it is.
    Keep,
    /// The application has none.
    None,
    /// To be kept in a file of its own.
    New(Secret),
    /// A place that somebody else fills, `{ credential = NAME }`.
    Place {
        /// `file`, `env` or `credential`.
        kind: String,
        /// Path or name.
        name: String,
    },
}

/// Who may connect to the one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// `ADDRESS:PORT`.
    pub(super) address: String,
    /// Networks besides loopback; empty: this machine only.
    pub(super) networks: Vec<String>,
}

/// What stands in the settings before: the defaults.
#[derive(Clone, Debug)]
pub(super) struct Present {
    /// Texts as they stand; the secret is [`SecretAnswer::Keep`] when there is one.
    pub(super) answers: Answers,
    /// The file that holds the secret, when one does.
    pub(super) secret_file: Option<PathBuf>,
    /// The listener that [`Answers::reach`] is about.
    pub(super) listener: String,
    /// Why listeners stay as they are.
    pub(super) listeners_untouched: Option<&'static str>,
}

impl Reach {
    /// Whether the address is out of reach of other hosts.
    pub(super) fn is_local(&self) -> bool {
        self.address.starts_with("127.") || self.address.starts_with("[::1]")
    }
}
