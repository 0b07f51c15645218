//! One of an account's connections, and the attempts made over it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::delivery::attempt::{Attempt, Reasons, wants_new_connection};
use crate::delivery::connection::{Connection, ConnectionError};
use crate::delivery::quota::Tenure;
use crate::delivery::rules::{Verdict, classify};
use crate::delivery::sender::Sending;
use crate::delivery::settings::IDLE_MAX;
use crate::delivery::status::UnknownReplies;
use crate::delivery::trouble::{Trouble, reply_in};
use crate::delivery::{Settings, journal};
use crate::oauth::{AccessToken, Refusal, TokenSource};
use crate::queue::{Disposition, Lease, Queue, Retry, Settlement, StorageError};

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
    /// Transactions that reached the service and count against its rate.
    pub(super) presented: usize,
    pub(super) was_probe: bool,
    /// Without trouble: whether it shows that the account can send.
    pub(super) conclusive: bool,
    pub(super) unknown: UnknownReplies,
    /// A reply that did not deliver, or what broke the attempt off.
    pub(super) failure: Option<String>,
}

/// What every worker of an account shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) queue: Queue,
    pub(super) tokens: TokenSource,
    pub(super) tls: Arc<ClientConfig>,
    /// How many workers wait for a token in the place of one that was refused.
    pub(super) refreshing: watch::Sender<usize>,
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
                },
            };
            let report = match job {
                Some(Job::Probe) => self.probe().await,
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

    /// A connection from before the trouble would prove nothing.
    async fn probe(&mut self) -> Report {
        self.close().await;
        let mut unknown = UnknownReplies::default();
        let (trouble, conclusive) = match self.connect().await {
            Ok(_) => (None, true),
            Err(NoConnection::Trouble(trouble)) => {
                unknown.note_trouble(&trouble);
                (Some(trouble), false)
            }
            Err(NoConnection::Stopped) => (None, false),
        };
        Report {
            worker: self.number,
            trouble,
            presented: 0,
            was_probe: true,
            conclusive,
            unknown,
            failure: None,
        }
    }

    async fn deliver(&mut self, lease: Lease) -> Report {
        let started_at = SystemTime::now();
        tracing::debug!(queue_id = %lease.id, account = lease.account, "attempt");
        let mut attempt = Attempt::default();
        let count = lease.envelope.recipients().len();
        let step = self.shared.settings.recipients_per_message_max.max(1);
        let mut parts: VecDeque<Range<usize>> = (0..count)
            .step_by(step)
            .map(|start| start..count.min(start + step))
            .collect();
        let shared = Arc::clone(&self.shared);
        let mut sending = Sending::begin(&shared.settings, &shared.queue, &lease).await;
        if let Some(reply) = sending.refused() {
            attempt.refuse_beforehand(&lease, reply);
            parts.clear();
        }
        while let Some(range) = parts.pop_front() {
            let part = self.send_part(&lease, range, &mut sending, &mut attempt);
            let Some(split) = part.await else {
                break;
            };
            for range in split.into_iter().rev() {
                parts.push_front(range);
            }
            if attempt.is_refused() {
                for range in parts.drain(..) {
                    attempt.refuse(&lease, range);
                }
            }
        }
        let note = sending.note().filter(|_| attempt.presented > 0);
        let Attempt {
            recipients,
            trouble,
            stopped,
            presented,
            reply,
            uncertain,
            conclusive,
            reasons,
            unknown,
            ..
        } = attempt;
        if stopped && recipients.is_empty() {
            // The lease goes back as if it had never been taken.
            return Report {
                worker: self.number,
                trouble: None,
                presented,
                was_probe: false,
                conclusive: false,
                unknown,
                failure: None,
            };
        }
        // A network that is down is an attempt that failed; trouble of the account is none.
        let counts = trouble
            .as_ref()
            .is_none_or(|trouble| trouble.pause.ages_mail());
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
            note,
        };
        self.settle(lease, settlement, reasons).await;
        Report {
            worker: self.number,
            trouble,
            presented,
            was_probe: false,
            conclusive,
            unknown,
            failure,
        }
    }

    /// Sends the message to a part of its recipients. Returns those to be sent to separately; `None`
    /// when there is no point in going on.
    async fn send_part(
        &mut self,
        lease: &Lease,
        range: Range<usize>,
        sending: &mut Sending<'_>,
        attempt: &mut Attempt,
    ) -> Option<Vec<Range<usize>>> {
        let envelope = lease.envelope.part(range.clone())?;
        let mut may_reconnect = true;
        loop {
            let connection = match self.connect().await {
                Ok(connection) => connection,
                Err(NoConnection::Trouble(trouble)) => {
                    attempt.reply.clone_from(&trouble.reason);
                    attempt.unknown.note_trouble(&trouble);
                    attempt.trouble = Some(trouble);
                    return None;
                }
                Err(NoConnection::Stopped) => {
                    attempt.stopped = true;
                    return None;
                }
            };
            let was_used = connection.is_used();
            let dressed = sending.envelope(&envelope);
            let sent = connection.send(&dressed, sending.letter()).await;
            match sent {
                Ok(outcome) => {
                    attempt.presented += 1;
                    let again = wants_new_connection(&outcome.recipients);
                    if again {
                        self.close().await;
                    }
                    if again && may_reconnect {
                        may_reconnect = false;
                        continue;
                    }
                    if sending.changes_after(&outcome.recipients).await {
                        continue;
                    }
                    attempt.sender_remark = sending.remark();
                    let decided = outcome.recipients.into_iter().map(Some).collect();
                    let rest = attempt.take(lease, range, decided);
                    if attempt.trouble.is_some() {
                        // Whatever is mended shows on a new connection, if anywhere.
                        self.close().await;
                        return None;
                    }
                    return Some(rest);
                }
                Err(interrupted) => {
                    self.connection = None;
                    // The remote had closed the idle connection, or wants a new one: nobody's failure.
                    let is_stale = was_used && interrupted.is_stale();
                    if may_reconnect && (is_stale || interrupted.wants_new_connection()) {
                        may_reconnect = false;
                        attempt.presented += usize::from(!is_stale);
                        continue;
                    }
                    attempt.presented += 1;
                    attempt.interrupt(lease, range, *interrupted);
                    return None;
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
        let error = match self.open_with(&token).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let said = reply_in(&error).map(|(step, reply)| classify(step, reply).verdict);
        let token = match said {
            // Perhaps only the token is to blame: one new one, and one more try (facts C.1).
            Some(Verdict::RefreshToken(_))
                if self.shared.tokens.refused(&token) != Refusal::TooSoon =>
            {
                self.new_token().await?
            }
            Some(Verdict::NewConnection(_)) => token,
            _ => return Err(Trouble::of_connection(&error)),
        };
        let opened = self.open_with(&token).await;
        opened.map_err(|error| Trouble::of_connection(&error))
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
        let token = self.shared.tokens.token().await;
        token.map_err(|unavailable| Trouble::of_token(&unavailable))
    }

    /// In the place of one that was refused.
    async fn new_token(&self) -> Result<AccessToken, Trouble> {
        let _shown = Refreshing::begin(&self.shared.refreshing);
        self.token().await
    }

    async fn settle(&self, mut lease: Lease, settlement: Settlement, reasons: Reasons) {
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
        journal::log(
            &outcome,
            &settlement,
            reasons,
            id.as_str(),
            &account,
            attempt,
        );
    }
}

/// Shows for as long as it lives that a new token is waited for.
struct Refreshing<'a>(&'a watch::Sender<usize>);

impl<'a> Refreshing<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
