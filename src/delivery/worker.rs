//! One of an account's connections, and the attempts made over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::delivery::connection::{Connection, ConnectionError, Interrupted, Rest};
use crate::delivery::outcome::{Verdict, judge};
use crate::delivery::parts::Parts;
use crate::delivery::quota::Tenure;
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
    Deliver(Box<Lease>),
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) worker: usize,
    /// Trouble that is no message's fault.
    pub(super) trouble: Option<Trouble>,
    /// Transactions that reached the service and count against its rate.
    pub(super) presented: usize,
    pub(super) was_probe: bool,
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
    presented: usize,
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
                    rest = connection.rest() => {
                        match rest {
                            Rest::Disturbed => self.connection = None,
                            Rest::LongEnough => self.close().await,
                        }
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
                    presented: 0,
                    was_probe: true,
                    failure: None,
                },
                Some(Job::Deliver(lease)) => self.deliver(*lease).await,
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

    async fn deliver(&mut self, lease: Lease) -> Report {
        let started_at = SystemTime::now();
        tracing::debug!(queue_id = %lease.id, account = lease.account, "attempt");
        let mut attempt = Attempt::default();
        let most = self.shared.settings.recipients_per_message_max;
        let mut parts = Parts::new(lease.envelope.recipients().len(), most);
        while let Some(part) = parts.next() {
            if !self
                .send_part(&lease, &part, &mut parts, &mut attempt)
                .await
            {
                break;
            }
        }
        let Attempt {
            recipients,
            trouble,
            stopped,
            presented,
            reply,
            uncertain,
        } = attempt;
        if stopped && recipients.is_empty() {
            // The lease goes back as if it had never been taken.
            return Report {
                worker: self.number,
                trouble: None,
                presented,
                was_probe: false,
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
            retry: if stopped {
                Retry::After(Duration::ZERO)
            } else if counts {
                Retry::Scheduled
            } else {
                Retry::WithoutCounting
            },
            started_at,
            remote: self.shared.settings.host.clone(),
            connection: (presented > 0).then_some(self.connection_number).flatten(),
            uncertain,
            reply,
        };
        self.settle(lease, settlement).await;
        Report {
            worker: self.number,
            trouble,
            presented,
            was_probe: false,
            failure,
        }
    }

    /// Sends the message to a part of its recipients; false when there is no point in going on.
    async fn send_part(
        &mut self,
        lease: &Lease,
        part: &[usize],
        parts: &mut Parts,
        attempt: &mut Attempt,
    ) -> bool {
        let Some(envelope) = lease.envelope.part(part) else {
            return false;
        };
        let mut may_reconnect = true;
        loop {
            let connection = match self.connect().await {
                Ok(connection) => connection,
                Err(NoConnection::Trouble(trouble)) => {
                    attempt.reply.clone_from(&trouble.reason);
                    attempt.trouble = Some(trouble);
                    return false;
                }
                Err(NoConnection::Stopped) => {
                    attempt.stopped = true;
                    return false;
                }
            };
            let was_used = connection.is_used();
            match connection
                .send(&envelope, lease.size_bytes, &lease.content)
                .await
            {
                Ok(outcome) => {
                    attempt.presented += 1;
                    let left_over = outcome.left_over();
                    let taken = outcome.taken();
                    let mut decided: Vec<_> = outcome.recipients.into_iter().map(Some).collect();
                    let mut next = Vec::with_capacity(left_over.len());
                    for index in left_over {
                        if let (Some(fate), Some(one)) = (decided.get_mut(index), part.get(index)) {
                            *fate = None;
                            next.push(*one);
                        }
                    }
                    parts.put_back(&next, taken);
                    attempt.take(lease, part, decided.into_iter());
                    return attempt.trouble.is_none();
                }
                Err(interrupted) => {
                    self.connection = None;
                    if was_used && may_reconnect && interrupted.is_stale() {
                        // The remote had closed the idle connection: nobody's failure.
                        may_reconnect = false;
                        continue;
                    }
                    attempt.presented += 1;
                    attempt.interrupt(lease, part, *interrupted);
                    return false;
                }
            }
        }
    }

    /// A connection on which a message can be sent: the one there is, or a new one.
    async fn connect(&mut self) -> Result<&mut Connection, NoConnection> {
        if let Some(connection) = &mut self.connection {
            if !connection.is_quiet().await {
                self.connection = None;
            } else if !connection.is_fresh() {
                self.close().await;
            }
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
            Connection::open(settings, &self.shared.tls, self.tenure.slot()).await?;
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
    /// Notes how each recipient of the part was decided.
    fn take(
        &mut self,
        lease: &Lease,
        part: &[usize],
        decided: impl Iterator<Item = Option<(Step, Reply)>>,
    ) {
        for (index, decided) in part.iter().zip(decided) {
            let (Some(number), Some((step, reply))) = (lease.numbers.get(*index), decided) else {
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

    /// Notes what is known of a part whose transaction broke off; the rest is tried again.
    fn interrupt(&mut self, lease: &Lease, part: &[usize], interrupted: Interrupted) {
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
        self.take(lease, part, decided.into_iter());
        let numbers = part.iter().map(|index| lease.numbers.get(*index));
        for (index, number) in numbers.enumerate() {
            if let Some(number) = number
                && undecided.get(index).copied().unwrap_or(true)
            {
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
