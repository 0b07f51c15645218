//! One account at work: its token, its dispatcher, and what is carried over when it changes.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::StartError;
use super::expiry::Perishable;
use super::view::AccountView;
use crate::config::{Access, Account as Section, Settings};
use crate::delivery::{Cause, Dispatcher, Quota, Status, Tenant};
use crate::oauth::{TokenSource, TokenStatus, is_shared_tenant};
use crate::queue::Queue;
use crate::secret::SecretSource;
use crate::tls;

/// What an account was made of, and what of it may serve its successor.
#[derive(Debug)]
pub(super) struct Account {
    section: Section,
    /// Given in EHLO.
    hostname: String,
    trusted: Trusted,
    /// What a person's sign-in is encrypted with.
    sign_in_key: Option<SecretSource>,
    tokens: Arc<Tokens>,
    quota: Quota,
    tenant: Tenant,
    operator_acted: Arc<Notify>,
    status: watch::Receiver<Status>,
}

/// What an account has in common with others.
#[derive(Debug)]
pub(super) struct Shares {
    /// What its mailbox may use, also in the hands of the dispatcher before.
    pub(super) quota: Quota,
    /// What keeps all of its tenant from sending.
    pub(super) tenant: Tenant,
}

/// An account that is ready to work.
#[derive(Debug)]
pub(super) struct Opened {
    account: Account,
    dispatcher: Dispatcher,
    /// Nobody renews the token yet.
    renew: bool,
}

/// An account at work.
#[derive(Debug)]
pub(super) struct Running {
    account: Account,
    stop: CancellationToken,
    leasing_ended: CancellationToken,
}

/// What an operator can do to an account at work.
#[derive(Clone, Debug)]
pub struct Handle {
    source: TokenSource,
    status: watch::Receiver<Status>,
    operator_acted: Arc<Notify>,
}

#[cfg(test)]
impl Handle {
    /// Of an account that does nothing.
    pub(super) fn idle(source: TokenSource) -> Self {
        Self {
            source,
            status: watch::channel(Status::default()).1,
            operator_acted: Arc::default(),
        }
    }
}

/// The content of `ca_file`s: one that was replaced makes for another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trusted {
    smtp: Option<Vec<u8>>,
    oauth: Option<Vec<u8>>,
}

/// A token source that is renewed for as long as anybody holds it: attempts of a dispatcher that was
/// told to stop may still need a token.
#[derive(Debug)]
struct Tokens {
    source: TokenSource,
    stop: CancellationToken,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Trusted {
    /// Files that cannot be read are as good as absent here; using them says what is wrong.
    pub(super) async fn read(section: &Section) -> Self {
        let smtp = section.smtp.ca_file.clone();
        let oauth = section.oauth.ca_file.clone();
        let content = |path: Option<&Path>| path.and_then(|path| std::fs::read(path).ok());
        let read = spawn_blocking(move || Self {
            smtp: content(smtp.as_deref()),
            oauth: content(oauth.as_deref()),
        });
        read.await.unwrap_or(Self {
            smtp: None,
            oauth: None,
        })
    }
}

impl Account {
    /// Whether new settings leave it as it is.
    pub(super) fn is_unchanged(
        &self,
        settings: &Settings,
        section: &Section,
        trusted: &Trusted,
    ) -> bool {
        self.section == *section
            && self.hostname == settings.hostname
            && self.trusted == *trusted
            && self.sign_in_key == sign_in_key(settings, section)
            // A file that has gone is a problem to be told.
            && section.smtp.ca_file.is_some() == trusted.smtp.is_some()
            && section.oauth.ca_file.is_some() == trusted.oauth.is_some()
    }

    /// Whether a token for one serves the other.
    fn signs_in_as(&self, settings: &Settings, section: &Section, trusted: &Trusted) -> bool {
        let alike = Section {
            mailbox: section.mailbox.clone(),
            smtp: section.smtp.clone(),
            sender: section.sender.clone(),
            credential_expires: section.credential_expires,
            ..self.section.clone()
        };
        alike == *section
            && self.section.smtp.proxy == section.smtp.proxy
            && self.trusted.oauth == trusted.oauth
            && self.sign_in_key == sign_in_key(settings, section)
    }

    pub(super) fn name(&self) -> &str {
        &self.section.name
    }

    /// The mailbox as the service counts it.
    pub(super) fn mailbox(&self) -> String {
        mailbox_key(&self.section)
    }

    pub(super) fn quota(&self) -> &Quota {
        &self.quota
    }

    pub(super) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Whether the service counts both as one tenant. Under `common` each may be of another.
    pub(super) fn is_of_tenant(&self, section: &Section) -> bool {
        let of = &self.section;
        (of.provider, of.cloud) == (section.provider, section.cloud)
            && of.tenant_id.eq_ignore_ascii_case(&section.tenant_id)
            && !is_shared_tenant(&section.tenant_id)
    }

    /// How it does.
    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    pub(super) fn view(&self) -> AccountView {
        AccountView {
            name: self.section.name.clone(),
            mailbox: self.section.mailbox.to_string(),
            host: self.section.smtp.host.clone(),
            delivery: self.status.clone(),
            quota: self.quota.clone(),
            token: self.tokens.source.status(),
            sign_in: self.tokens.source.sign_in(),
            handle: self.handle(),
            perishable: Perishable {
                expires: self.section.credential_expires,
                certificate: self.section.client_certificate.clone(),
            },
        }
    }

    fn handle(&self) -> Handle {
        Handle {
            source: self.tokens.source.clone(),
            status: self.status.clone(),
            operator_acted: Arc::clone(&self.operator_acted),
        }
    }
}

/// Whatever the case it is written in.
pub(super) fn mailbox_key(section: &Section) -> String {
    section.mailbox.as_str().to_lowercase()
}

impl Opened {
    /// Makes ready what `section` asks for. `before` is the account of that name, if there is one.
    /// Nothing is asked of the network.
    pub(super) async fn open(
        settings: &Settings,
        section: &Section,
        trusted: Trusted,
        before: Option<&Account>,
        shares: Shares,
        queue: &Queue,
    ) -> Result<Self, StartError> {
        let tls = client_config(section).await?;
        let kept = before.filter(|before| before.signs_in_as(settings, section, &trusted));
        let tokens = match kept {
            Some(before) => Arc::clone(&before.tokens),
            None => Arc::new(Tokens {
                source: token_source(settings, section).await?,
                stop: CancellationToken::new(),
            }),
        };
        let source = tokens.source.clone();
        let part = settings.delivery_part(section);
        let Shares { quota, tenant } = shares;
        let (its_quota, its_tenant) = (quota.clone(), tenant.clone());
        let dispatcher = Dispatcher::new(part, queue.clone(), source, tls, its_quota, its_tenant);
        Ok(Self {
            renew: kept.is_none(),
            account: Account {
                section: section.clone(),
                hostname: settings.hostname.clone(),
                trusted,
                sign_in_key: sign_in_key(settings, section),
                tokens,
                quota,
                tenant,
                operator_acted: dispatcher.operator_acted(),
                status: dispatcher.status(),
            },
            dispatcher,
        })
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Puts it to work among `tasks`, where `before` has left off.
    pub(super) fn start(
        mut self,
        before: Option<&Account>,
        stop: CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> Running {
        match before {
            Some(before) => self.dispatcher.resume(&before.status.borrow()),
            None => self.dispatcher.recall(),
        }
        let tokens = Arc::clone(&self.account.tokens);
        if self.renew {
            let name = self.account.section.name.as_str();
            let span = tracing::error_span!("token", account = name);
            let (source, stop) = (tokens.source.clone(), tokens.stop.clone());
            // Ends with the last holder of the tokens.
            tokio::spawn(async move { source.run(stop).await }.instrument(span));
        } else if is_failing(&tokens.source) {
            tokens.source.renew_now();
        }
        let leasing_ended = self.dispatcher.leasing_ended();
        let told = stop.clone();
        tasks.spawn(async move {
            self.dispatcher.run(told).await;
            drop(tokens);
        });
        Running {
            account: self.account,
            stop,
            leasing_ended,
        }
    }
}

impl Running {
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// An operator has changed something, perhaps a secret or a right: failures are worth another try.
    pub(super) fn refresh(&self) {
        self.account.handle().refresh();
    }

    /// Ends it. When this returns nothing more is leased; attempts under way end in their own time.
    pub(super) async fn retire(self) -> Account {
        self.stop.cancel();
        self.leasing_ended.cancelled().await;
        self.account
    }
}

impl Handle {
    /// A person has signed in, or a sign-in was forgotten: the token from before is no longer what counts.
    pub(super) fn renew(&self) {
        self.source.renew_now();
        self.operator_acted.notify_one();
    }

    fn refresh(&self) {
        let trouble = self.status.borrow().trouble.clone();
        let cause = trouble.map(|trouble| trouble.cause);
        if is_failing(&self.source) || matches!(cause, Some(Cause::Token | Cause::Authentication)) {
            self.source.renew_now();
        }
        self.operator_acted.notify_one();
    }
}

fn is_failing(source: &TokenSource) -> bool {
    matches!(*source.status().borrow(), TokenStatus::Failing { .. })
}

/// A key that was replaced makes for another token source, where a sign-in is encrypted with it.
fn sign_in_key(settings: &Settings, section: &Section) -> Option<SecretSource> {
    let key = settings.token_store.key.as_ref();
    key.filter(|_| section.access == Access::Delegated).cloned()
}

async fn client_config(section: &Section) -> Result<Arc<ClientConfig>, StartError> {
    let ca_file = section.smtp.ca_file.clone();
    let made = spawn_blocking(move || tls::client_config(ca_file.as_deref())).await?;
    made.map_err(|source| StartError::Tls {
        account: section.name.clone(),
        source,
    })
}

async fn token_source(settings: &Settings, section: &Section) -> Result<TokenSource, StartError> {
    let part = settings.oauth_part(section)?;
    let made = spawn_blocking(move || TokenSource::new(part)).await?;
    let source = made.map_err(|source| StartError::Token {
        account: section.name.clone(),
        source,
    })?;
    Ok(source.counted_for(&section.name))
}
