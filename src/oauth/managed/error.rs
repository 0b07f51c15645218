//! What keeps a machine from its identity.

use std::path::PathBuf;

/// For the operator, each with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A web page, a redirection, or a refusal in another service's words.
    #[error(
        "{host} answers {status}, and not as a managed identity endpoint does: check that this machine runs in Azure, and oauth.identity_endpoint if it is set"
    )]
    NotAnEndpoint {
        /// The identity endpoint's host.
        host: Box<str>,
        /// The HTTP status code.
        status: u16,
    },
    /// Azure Arc knows only the machine's own identity.
    #[error(
        "client_id is set, and Azure Arc has no identities to choose from, only the machine's own: leave client_id out"
    )]
    Selector,
    /// The challenge of Azure Arc is none.
    #[error(
        "{host} asks for a key, and not as the Azure Arc agent does ({why}): check oauth.identity_endpoint, and update the agent"
    )]
    Challenge {
        /// The identity endpoint's host.
        host: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The key that the challenge names cannot be used.
    #[error(
        "cannot read {path}, by which the Azure Arc agent knows who may ask it ({why}): add the user that exorelay runs as to the group himds (usermod -aG himds exorelay, or SupplementaryGroups=himds in its unit), and start exorelay again"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What the system said, or what is wrong with it.
        why: Box<str>,
    },
}
