//! One of an account's connections, and the attempts made over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::delivery::connection::{Connection, ConnectionError, Interrupted};
use crate::delivery::outcome::{Verdict, judge};
use crate::delivery::pacing::latest_count;
use crate::delivery::quota::{Heard, Tenure};
use crate::delivery::settings::IDLE_MAX;
use crate::delivery::{Cause, Settings, journal};
use crate::oauth::{AccessToken, Refusal, TokenSource};
use crate::queue::{Disposition, Lease, Queue, RecipientOutcome, Retry, Settlement, StorageError};
use crate::smtp::{ClientError, Reply, Step};

/// What the dispatcher wants done.
#[derive(Debug)]
pub(super) enum Job {
    /// Find out whether the account can authenticate; keep the connection.
    Probe,
    /// Try to send a message.
    Deliver(Lease),
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) worker: usize,
    /// Trouble that is no message's fault.
    pub(super) trouble: Option<Trouble>,
    /// That the service has heard of the message, if it has.
    pub(super) heard: Option<Heard>,
    /// A reply that did not deliver, or what broke the attempt off.
    pub(super) failure: Option<String>,
}

/// Why the account cannot send.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) cause: Cause,
    pub(super) reason: String,
}

/// What every worker of an account shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) queue: Queue,
    pub(super) tokens: TokenSource,
    pub(super) tls: Arc<ClientConfig>,
}

pub(super) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    tenure: Tenure,
    /// What is under way ends; nothing new is begun.
    stop: CancellationToken,
    connection: Option<Connection>,
    /// Of the connection opened last, as in the log.
    connection_number: Option<u64>,
}

/// Connections of this process have numbers, so that the history of a message leads to its log lines.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Why there is no connection.
#[derive(Debug)]
enum NoConnection {
    /// It could not be had.
    Trouble(Trouble),
    /// The dispatcher was told to stop before there was one.
    Stopped,
}

impl From<Trouble> for NoConnection {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// What an attempt has found out so far.
#[derive(Debug, Default)]
struct Attempt {
    recipients: Vec<RecipientOutcome>,
    trouble: Option<Trouble>,
    /// Given up before it reached the service: nobody's failure.
    stopped: bool,
    /// The service has counted the message by then, if it has heard of it.
    counted_by: Option<Instant>,
    reply: String,
    /// Some part of it was lost between the final dot and the reply.
    uncertain: bool,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        tenure: Tenure,
        stop: CancellationToken,
    ) -> Self {
        Self {
            number,
            shared,
            tenure,
            stop,
            connection: None,
            connection_number: None,
        }
    }

    /// Works until the dispatcher closes `jobs`.
    pub(super) async fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        reports: mpsc::Sender<Report>,
    ) {
        loop {
            let job = match &mut self.connection {
                None => jobs.recv().await,
                Some(connection) => tokio::select! {
                    biased;
                    job = jobs.recv() => job,
                    () = connection.stirs() => {
                        self.connection = None;
                        continue;
                    }
                    () = sleep(IDLE_MAX) => {
                        self.close().await;
                        continue;
                    }
                    () = self.tenure.gives_way() => {
                        self.close().await;
                        continue;
                    }
                },
            };
            let report = match job {
                Some(Job::Probe) => Report {
                    worker: self.number,
                    trouble: match self.connect().await {
                        Err(NoConnection::Trouble(trouble)) => Some(trouble),
                        Ok(_) | Err(NoConnection::Stopped) => None,
                    },
                    heard: None,
                    failure: None,
                },
                Some(Job::Deliver(lease)) => self.deliver(lease).await,
                None => break,
            };
            if reports.send(report).await.is_err() {
                break;
            }
        }
        self.close().await;
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }

    async fn deliver(&mut self, mut lease: Lease) -> Report {
        let started_at = SystemTime::now();
        tracing::debug!(queue_id = %lease.id, account = lease.account, "attempt");
        let attempt = self.attempt(&mut lease).await;
        let Attempt {
            recipients,
            trouble,
            stopped,
            counted_by,
            reply,
            uncertain,
        } = attempt;
        if stopped {
            // The lease goes back as if it had never been taken.
            return Report {
                worker: self.number,
                trouble: None,
                heard: None,
                failure: None,
            };
        }
        // A network that is down is an attempt that failed; trouble of the account is none.
        let counts = trouble
            .as_ref()
            .is_none_or(|trouble| trouble.cause.ages_mail());
        let failure = recipients
            .iter()
            .rfind(|recipient| recipient.disposition != Disposition::Delivered)
            .map(|recipient| recipient.reply.clone());
        let settlement = Settlement {
            recipients,
            retry: if !counts {
                Retry::WithoutCounting
            } else if lease.has_rest && trouble.is_none() {
                Retry::Rest
            } else {
                Retry::Scheduled
            },
            started_at,
            remote: self.shared.settings.host.clone(),
            connection: counted_by.and(self.connection_number),
            uncertain,
            reply,
        };
        let heard = counted_by.map(|counted_by| Heard {
            counted_by,
            recipients: settlement.presented().unwrap_or_default(),
        });
        self.settle(lease, settlement).await;
        Report {
            worker: self.number,
            trouble,
            heard,
            failure,
        }
    }

    /// Sends the message, or the part of it that was leased, in one transaction.
    async fn attempt(&mut self, lease: &mut Lease) -> Attempt {
        let mut attempt = Attempt::default();
        let mut may_reconnect = true;
        loop {
            let connection = match self.connect().await {
                Ok(connection) => connection,
                Err(NoConnection::Trouble(trouble)) => {
                    attempt.reply.clone_from(&trouble.reason);
                    attempt.trouble = Some(trouble);
                    return attempt;
                }
                Err(NoConnection::Stopped) => {
                    attempt.stopped = true;
                    return attempt;
                }
            };
            let was_used = connection.is_used();
            lease.present();
            let sent = connection
                .send(&lease.envelope, lease.size_bytes, &lease.content)
                .await;
            let counted_by = latest_count(connection.final_dot(), lease.size_bytes, Instant::now());
            match sent {
                Ok(outcome) => {
                    attempt.counted_by = Some(counted_by);
                    let decided = outcome.recipients.into_iter().map(Some);
                    attempt.take(lease, decided);
                    return attempt;
                }
                Err(interrupted) => {
                    self.connection = None;
                    if was_used && may_reconnect && interrupted.is_stale() {
                        // The remote had closed the idle connection: nobody's failure.
                        may_reconnect = false;
                        continue;
                    }
                    attempt.counted_by = Some(counted_by);
                    attempt.interrupt(lease, *interrupted);
                    return attempt;
                }
            }
        }
    }

    /// A connection on which a message can be sent: the one there is, or a new one.
    async fn connect(&mut self) -> Result<&mut Connection, NoConnection> {
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| !connection.is_fresh())
        {
            self.close().await;
        }
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(NoConnection::Stopped),
                opened = self.open() => opened?,
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn open(&mut self) -> Result<Connection, Trouble> {
        let token = self.token().await?;
        let refused = match self.open_with(&token).await {
            Err(ConnectionError::Protocol(ClientError::AuthRefused { reply })) => reply,
            Ok(connection) => return Ok(connection),
            Err(error) => return Err(network(&error)),
        };
        // Perhaps only the token is to blame: one new one, and one more try (facts C.1).
        if refused.code() >= 500 && self.shared.tokens.refused(&token) != Refusal::TooSoon {
            let token = self.token().await?;
            return match self.open_with(&token).await {
                Err(ConnectionError::Protocol(ClientError::AuthRefused { reply })) => {
                    Err(authentication(&reply))
                }
                Ok(connection) => Ok(connection),
                Err(error) => Err(network(&error)),
            };
        }
        Err(authentication(&refused))
    }

    async fn open_with(&mut self, token: &AccessToken) -> Result<Connection, ConnectionError> {
        let settings = &self.shared.settings;
        let mut connection =
            Connection::open(settings, &self.shared.tls, self.tenure.slot().await).await?;
        connection.authenticate(&settings.mailbox, token).await?;
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        self.connection_number = Some(number);
        tracing::debug!(
            account = settings.account,
            host = settings.host,
            connection = number,
            "connected"
        );
        Ok(connection)
    }

    async fn token(&self) -> Result<AccessToken, Trouble> {
        self.shared
            .tokens
            .token()
            .await
            .map_err(|unavailable| Trouble {
                cause: Cause::Token,
                reason: report(&unavailable),
            })
    }

    async fn settle(&self, mut lease: Lease, settlement: Settlement) {
        let attempt = lease.attempts + 1;
        let (id, account) = (lease.id, lease.account.clone());
        let outcome = loop {
            match lease.settle(&self.shared.queue, settlement.clone()).await {
                Ok(outcome) => break outcome,
                Err((_, error @ (StorageError::Latched | StorageError::Closed))) => {
                    tracing::error!(queue_id = %id, %error, "what became of the message could not be stored; it may be sent twice");
                    return;
                }
                Err((unsettled, error)) => {
                    // A message that was delivered must not be sent again because the disk is full.
                    tracing::warn!(queue_id = %id, %error, "what became of the message is not stored yet");
                    lease = unsettled;
                    sleep(Duration::from_secs(1)).await;
                }
            }
        };
        journal::log(&outcome, &settlement, id.as_str(), &account, attempt);
    }
}

impl Attempt {
    /// Notes how each recipient was decided.
    fn take(&mut self, lease: &Lease, decided: impl Iterator<Item = Option<(Step, Reply)>>) {
        for (number, decided) in lease.numbers.iter().zip(decided) {
            let Some((step, reply)) = decided else {
                continue;
            };
            let text = reply.to_string();
            let disposition = match judge(step, &reply) {
                Verdict::Recipient(disposition) => disposition,
                Verdict::Account(cause) => {
                    self.trouble = Some(Trouble {
                        cause,
                        reason: text.clone(),
                    });
                    Disposition::Deferred
                }
            };
            self.reply.clone_from(&text);
            self.recipients.push(RecipientOutcome {
                number: *number,
                disposition,
                reply: text,
            });
        }
    }

    /// Notes what is known of a transaction that broke off; the rest is tried again.
    fn interrupt(&mut self, lease: &Lease, interrupted: Interrupted) {
        let Interrupted {
            error,
            decided,
            uncertain,
        } = interrupted;
        let text = if uncertain {
            format!("{error}, after the final dot: the message may have been delivered")
        } else {
            error.to_string()
        };
        let undecided: Vec<bool> = decided.iter().map(Option::is_none).collect();
        self.take(lease, decided.into_iter());
        for (index, number) in lease.numbers.iter().enumerate() {
            if undecided.get(index).copied().unwrap_or(true) {
                self.recipients.push(RecipientOutcome {
                    number: *number,
                    disposition: Disposition::Deferred,
                    reply: text.clone(),
                });
            }
        }
        self.reply = text;
        self.uncertain |= uncertain;
    }
}

impl Interrupted {
    /// The remote had gone before it heard of the message.
    fn is_stale(&self) -> bool {
        let gone = match &self.error {
            ConnectionError::Lost(_) => true,
            ConnectionError::Protocol(ClientError::Goodbye { step, .. }) => {
                matches!(step, None | Some(Step::Mail | Step::Rset))
            }
            ConnectionError::Protocol(ClientError::Unexpected { step, .. }) => step.is_none(),
            _ => false,
        };
        gone && !self.uncertain && self.decided.iter().all(Option::is_none)
    }
}

fn network(error: &ConnectionError) -> Trouble {
    Trouble {
        cause: Cause::Network,
        reason: error.to_string(),
    }
}

fn authentication(reply: &Reply) -> Trouble {
    Trouble {
        cause: Cause::Authentication,
        reason: reply.to_string(),
    }
}

/// An error with its causes, in one line.
fn report(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
