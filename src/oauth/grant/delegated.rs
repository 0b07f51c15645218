//! For a person who has signed in: the refresh token, RFC 6749 section 6.
//!
//! Each renewal may bring another refresh token (facts D.6: Entra always does), and then the old one is on
//! its way out: at Entra it lives on for weeks, elsewhere until the new one is used. So the new one is saved
//! before the access token that came with it is handed out. As long as it cannot be saved neither is used
//! at all, both are kept in memory, and every later request begins with another try to save: whatever dies
//! meanwhile, the file holds a token that works. No error ever removes a refresh token.

mod shelf;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use oauth2::{RefreshToken, Scope, TokenResponse};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use self::shelf::Shelf;
use super::Granted;
use super::authentication::{Authentication, Proof};
use super::exchange::Exchange;
use crate::oauth::claims::Claims;
use crate::oauth::error::{FaultError, OperatorError, TokenError};
use crate::oauth::settings::{Settings, SettingsError};
use crate::oauth::store::{SignIn, StoredToken, TokenLock, TokenStore};
use crate::secret::Secret;

#[derive(Debug)]
pub(in crate::oauth) struct Delegated {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    exchange: Exchange,
    authentication: Authentication,
    scopes: Vec<Scope>,
    client_id: String,
    shelf: Shelf,
    unsaved: Mutex<Option<Unsaved>>,
    sign_in: watch::Sender<Option<SignIn>>,
}

/// What came of one request.
#[derive(Debug)]
struct Renewal {
    token: StoredToken,
    granted: Result<Granted, TokenError>,
    received_at: Instant,
}

/// A renewal that waits for its file.
#[derive(Debug)]
struct Unsaved {
    /// The token it was made with. If another one is stored by now, somebody has signed in since.
    parent: Secret,
    renewal: Renewal,
}

impl Delegated {
    pub(in crate::oauth) fn new(
        settings: Settings,
        store: TokenStore,
        account: String,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            shared: Arc::new(Shared {
                exchange: Exchange::new(&settings)?,
                scopes: settings.scopes(),
                client_id: settings.client_id.clone(),
                authentication: Authentication::new(settings.client_id, settings.credential),
                shelf: Shelf::new(store, account),
                unsaved: Mutex::default(),
                sign_in: watch::Sender::default(),
            }),
        })
    }

    pub(super) fn sign_in(&self) -> watch::Receiver<Option<SignIn>> {
        self.shared.sign_in.subscribe()
    }

    pub(super) async fn obtain(&self) -> Result<Granted, TokenError> {
        let shared = &self.shared;
        // Without the lock, which would make a folder where there may be nothing to keep.
        shared.stored().await?;
        let lock = shared.shelf.lock().await?;
        let stored = shared.stored().await?;
        self.detached(lock, stored).await
    }

    /// As [`crate::oauth::import`].
    pub(in crate::oauth) async fn import(&self, token: StoredToken) -> Result<Granted, TokenError> {
        let shared = &self.shared;
        let lock = Arc::new(shared.shelf.lock().await?);
        let mut renewal = shared.renew(&token).await?;
        if renewal.token.user.is_none()
            && let Ok(granted) = &renewal.granted
        {
            let claims = Claims::decode(&granted.token);
            let user = claims.map(|claims| claims.upn);
            renewal.token.user = user.filter(|user| !user.is_empty());
        }
        let saved = shared.shelf.save(&lock, &renewal.token).await;
        saved.map_err(TokenError::Operator)?;
        renewal.granted
    }

    /// On a task of its own: who does not wait for the outcome any more must not cost the token that the
    /// server is just giving.
    async fn detached(&self, lock: TokenLock, stored: StoredToken) -> Result<Granted, TokenError> {
        let shared = Arc::clone(&self.shared);
        let work = async move { shared.renew_and_save(lock, stored).await };
        let done = tokio::spawn(work.in_current_span()).await;
        // It panicked, or the runtime is shutting down.
        done.unwrap_or(Err(TokenError::Fault(FaultError::Request)))
    }
}

impl Shared {
    /// What is stored, if it is of use.
    async fn stored(&self) -> Result<StoredToken, TokenError> {
        let stored = self.shelf.load().await.map_err(TokenError::Operator)?;
        self.sign_in
            .send_replace(stored.as_ref().map(StoredToken::sign_in));
        let account = Box::from(self.shelf.account());
        Err(TokenError::Operator(match stored {
            Some(stored) if stored.client_id.eq_ignore_ascii_case(&self.client_id) => {
                return Ok(stored);
            }
            Some(stored) => OperatorError::OtherClient {
                account,
                signed_in: stored.client_id.into(),
                configured: self.client_id.as_str().into(),
            },
            None => OperatorError::NotSignedIn { account },
        }))
    }

    async fn renew_and_save(
        &self,
        lock: TokenLock,
        mut stored: StoredToken,
    ) -> Result<Granted, TokenError> {
        let lock = Arc::new(lock);
        if let Some(kept) = self.unsaved_of(&stored) {
            let kept = self.save(&lock, &stored, kept).await?;
            let age = kept.received_at.elapsed();
            match kept.granted {
                Ok(Granted { token, lifetime }) if age < lifetime / 2 => {
                    let lifetime = lifetime.saturating_sub(age);
                    return Ok(Granted { token, lifetime });
                }
                Ok(_) | Err(_) => stored = kept.token,
            }
        }
        let renewal = self.renew(&stored).await?;
        self.save(&lock, &stored, renewal).await?.granted
    }

    /// Saves what `parent` was exchanged for, or keeps it until that is possible.
    async fn save(
        &self,
        lock: &Arc<TokenLock>,
        parent: &StoredToken,
        renewal: Renewal,
    ) -> Result<Renewal, TokenError> {
        match self.shelf.save(lock, &renewal.token).await {
            Ok(()) => {}
            Err(error) if renewal.token.refresh_token != parent.refresh_token => {
                let parent = parent.refresh_token.clone();
                *self.unsaved() = Some(Unsaved { parent, renewal });
                return Err(TokenError::Operator(error));
            }
            // The token in the file goes on working; only its date is old.
            Err(error) => tracing::warn!(%error, "the sign-in was renewed, which cannot be noted"),
        }
        self.sign_in.send_replace(Some(renewal.token.sign_in()));
        Ok(renewal)
    }

    /// One exchange; nothing is stored yet.
    async fn renew(&self, stored: &StoredToken) -> Result<Renewal, TokenError> {
        let request = |proof| self.renew_with(proof, stored);
        self.authentication
            .in_turn(&self.exchange.endpoint, request)
            .await
    }

    async fn renew_with(&self, proof: Proof, stored: &StoredToken) -> Result<Renewal, TokenError> {
        let client = self.authentication.client(&self.exchange.endpoint, &proof);
        let refresh_token = RefreshToken::new(stored.refresh_token.reveal().to_owned());
        let mut request = client
            .exchange_refresh_token(&refresh_token)
            .add_scopes(self.scopes.iter().cloned());
        for (name, value) in proof.extra_params() {
            request = request.add_extra_param(name, value);
        }
        let received = request.request_async(&self.exchange.http).await;
        let response = received.map_err(|error| {
            let sent = proof.sent().into_iter().chain([&stored.refresh_token]);
            self.exchange.explain(error, sent)
        })?;
        let mut token = StoredToken {
            renewed_at: Timestamp::now(),
            ..stored.clone()
        };
        // Not every server rotates; RFC 6749 section 6 leaves it open.
        if let Some(next) = response.refresh_token().map(RefreshToken::secret)
            && !next.is_empty()
        {
            token.refresh_token = Secret::new(next.as_str());
        }
        Ok(Renewal {
            token,
            granted: self.exchange.accept(
                response.token_type(),
                response.access_token().secret(),
                response.expires_in(),
            ),
            received_at: Instant::now(),
        })
    }

    /// The renewal of what is stored that still waits to be saved.
    fn unsaved_of(&self, stored: &StoredToken) -> Option<Renewal> {
        let unsaved = self.unsaved().take()?;
        (unsaved.parent == stored.refresh_token).then_some(unsaved.renewal)
    }

    fn unsaved(&self) -> MutexGuard<'_, Option<Unsaved>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
