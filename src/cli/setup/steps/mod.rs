//! What has to be done at Microsoft (or Google) for an account, with its own ids in place.
//!
//! Facts E.1 to E.4, D.10 and D.12. Where a command needs an id that nobody knows yet, a variable holds its
//! place.

mod entra;
mod exchange;
mod google;
mod powershell;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::way::Way;
use crate::config::{Account, DEFAULT_FILE};
use crate::oauth::{Claims, Cloud, is_shared_tenant};

/// One account's way, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) way: Way,
    pub(super) account: String,
    pub(super) mailbox: String,
    pub(super) cloud: Cloud,
    /// None: not known, or a name that stands for many.
    pub(super) tenant: Option<String>,
    /// None: of a managed identity that has told nothing yet.
    pub(super) client_id: Option<String>,
    /// Of the enterprise application; none: no token yet.
    pub(super) object_id: Option<String>,
    pub(super) certificate: Option<PathBuf>,
    /// No secret: the application is a public client.
    pub(super) is_public: bool,
    pub(super) redirect_uri: String,
    /// The settings file.
    pub(super) file: PathBuf,
}

impl Case {
    /// Of settings that were loaded; `way` tells a browser from another device, and `claims` are those of a
    /// token of the application's own.
    pub(super) fn new(account: &Account, way: Way, file: &Path, claims: Option<&Claims>) -> Self {
        let own = |id: &str| Some(id.to_owned()).filter(|id| !id.is_empty());
        let told = |id: fn(&Claims) -> &String| claims.and_then(|claims| own(id(claims)));
        let tenant = own(&account.tenant_id).filter(|tenant| !is_shared_tenant(tenant));
        Self {
            way,
            account: account.name.clone(),
            mailbox: account.mailbox.to_string(),
            cloud: account.cloud,
            tenant: tenant.or_else(|| told(|claims| &claims.tid)),
            client_id: own(&account.client_id).or_else(|| told(|claims| &claims.appid)),
            object_id: told(|claims| &claims.oid),
            certificate: account.client_certificate.clone(),
            is_public: account.client_secrets.is_empty(),
            redirect_uri: account.oauth.redirect_uri.as_str().to_owned(),
            file: file.to_owned(),
        }
    }

    /// All of it, as it is printed.
    pub(super) fn text(&self) -> String {
        let parts = match self.way {
            Way::Google => vec![google::steps()],
            Way::Secret | Way::Certificate | Way::WorkloadIdentity => vec![
                entra::application(self),
                exchange::roles(self),
                entra::classic(self),
                exchange::classic(self),
            ],
            Way::ManagedIdentity => vec![
                entra::managed_identity(self),
                exchange::roles(self),
                entra::classic(self),
                exchange::classic(self),
            ],
            Way::Browser | Way::Device => vec![entra::delegated(self), exchange::delegated(self)],
        };
        format!("{}\n{}", parts.join("\n"), self.commands())
    }

    /// What to type here when all of that is done.
    fn commands(&self) -> String {
        let exorelay = if self.file == Path::new(DEFAULT_FILE) {
            "exorelay".to_owned()
        } else {
            format!("exorelay --config {}", self.file.display())
        };
        let mut lines = Vec::new();
        if matches!(self.way, Way::Browser | Way::Device | Way::Google) {
            let device = if self.way == Way::Device {
                " --device"
            } else {
                ""
            };
            lines.push(format!(
                "{exorelay} login {}{device}     # signs in, as {}; --paste on a machine without a browser",
                self.account, self.mailbox
            ));
        }
        lines.push(format!("{exorelay} check"));
        lines
            .push("systemctl enable --now exorelay     # or: systemctl reload exorelay".to_owned());
        lines.push(format!("{exorelay} send-test --to YOUR-ADDRESS"));
        let head = if self.way == Way::Google {
            "Then here:"
        } else {
            "Then here; Exchange Online can take from 30 minutes to 2 hours to see a new permission:"
        };
        format!(
            "{head}\n\n  {}\n\nFrom the beginning, with mistakes people make: {}\n",
            lines.join("\n  "),
            self.way.page()
        )
    }
}

/// Where the answers to the next questions are found.
pub(super) const fn before_the_ids(way: Way) -> &'static str {
    match way {
        Way::Secret => {
            "In Entra: App registrations > New registration, for this directory only, without a redirect URI. Its \
             Overview\nshows the ids. Certificates & secrets > New client secret: copy the Value, which is shown \
             once.\n"
        }
        Way::Certificate => {
            "In Entra: App registrations > New registration, for this directory only, without a redirect URI. Its \
             Overview\nshows the ids. Certificates & secrets > Certificates > Upload: the certificate, without its \
             key.\n"
        }
        Way::Browser | Way::Device => {
            "In Entra: App registrations > New registration, for this directory only. Its Overview shows the ids.\n\
             Nothing else of it is needed for these questions.\n"
        }
        Way::ManagedIdentity => {
            "In Azure: switch the identity of the machine on (Identity > System assigned), or assign one to it.\n"
        }
        Way::WorkloadIdentity => {
            "In Entra: App registrations > New registration, for this directory only. Its Overview shows the ids.\n\
             Certificates & secrets > Federated credentials tells whose tokens it takes.\n"
        }
        Way::Google => {
            "In the Google Cloud console: APIs & Services > Credentials > OAuth client ID, type \"Desktop app\".\n"
        }
    }
}
