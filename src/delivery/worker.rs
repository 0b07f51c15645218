//! One of an account's connections, and the attempts made over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::delivery::attempt::{Attempt, Reasons, wants_new_connection};
use crate::delivery::connection::{Connection, ConnectionError, Rest};
use crate::delivery::pacing::latest_count;
use crate::delivery::quota::{Heard, Tenure};
use crate::delivery::rules::{Verdict, classify};
use crate::delivery::sender::Sending;
use crate::delivery::status::UnknownReplies;
use crate::delivery::trouble::{Trouble, reply_in};
use crate::delivery::{Settings, journal};
use crate::oauth::{AccessToken, Refusal, TokenSource};
use crate::queue::{Disposition, Lease, Queue, Sender, Settlement, StorageError};
use crate::telemetry::life::log_attempt;

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
    /// That the service has heard of the message, if it has.
    pub(super) heard: Option<Heard>,
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
                    rest = connection.rest() => {
                        match rest {
                            Rest::Disturbed => self.connection = None,
                            Rest::LongEnough => self.close().await,
                        }
                        continue;
                    }
                    () = self.tenure.gives_way() => {
                        self.close().await;
                        continue;
                    }
                },
            };
            let report = match job {
                Some(Job::Probe) => self.probe().await,
                Some(Job::Deliver(lease)) => {
                    let (queue_id, account) = (lease.id.as_str(), lease.account.as_str());
                    let span = tracing::error_span!("attempt", queue_id, account);
                    self.deliver(*lease).instrument(span).await
                }
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
            heard: None,
            conclusive,
            unknown,
            failure: None,
        }
    }

    async fn deliver(&mut self, mut lease: Lease) -> Report {
        let started_at = SystemTime::now();
        log_attempt(lease.id.as_str(), &lease.account);
        let shared = Arc::clone(&self.shared);
        let mut sending = Sending::begin(&shared.settings, &shared.queue, &lease).await;
        let attempt = match sending.refused() {
            Some(reply) => Attempt::refused_beforehand(&lease, reply),
            None => self.attempt(&mut lease, &mut sending).await,
        };
        let note = sending.note().filter(|_| attempt.transactions > 0);
        let retry = attempt.retry(&lease);
        let Attempt {
            recipients,
            trouble,
            stopped,
            transactions,
            counted_by,
            reply,
            uncertain,
            conclusive,
            reasons,
            unknown,
            ..
        } = attempt;
        let failure = recipients
            .iter()
            .rfind(|recipient| recipient.disposition != Disposition::Delivered)
            .map(|recipient| recipient.reply.clone());
        let settlement = Settlement {
            recipients,
            retry,
            started_at,
            remote: self.shared.settings.host.clone(),
            connection: counted_by.and(self.connection_number),
            transactions,
            uncertain,
            reply,
            note,
        };
        let heard = counted_by.map(|counted_by| Heard {
            counted_by,
            recipients: settlement.submitted(),
        });
        if !stopped {
            // Else the lease goes back as if it had never been taken.
            self.settle(lease, settlement, reasons).await;
        }
        Report {
            worker: self.number,
            trouble,
            heard,
            conclusive,
            unknown,
            failure,
        }
    }

    /// Sends the message, or the part of it that was leased, in one transaction.
    async fn attempt(&mut self, lease: &mut Lease, sending: &mut Sending<'_>) -> Attempt {
        let mut attempt = Attempt::default();
        let mut may_reconnect = true;
        loop {
            let connection = match self.connect().await {
                Ok(connection) => connection,
                Err(NoConnection::Trouble(trouble)) => {
                    attempt.reply.clone_from(&trouble.reason);
                    attempt.unknown.note_trouble(&trouble);
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
            let dressed = sending.envelope(&lease.envelope);
            let sent = connection.send(&dressed, sending.letter()).await;
            let dot = connection.final_dot();
            let counted_by = latest_count(dot, lease.size_bytes, Instant::now());
            // The remote had closed the idle connection: nobody's failure, and it has heard of nothing.
            let is_stale = matches!(&sent, Err(broken) if was_used && broken.is_stale());
            let again = match &sent {
                Ok(outcome) => wants_new_connection(&outcome.recipients),
                Err(broken) => is_stale || broken.wants_new_connection(),
            };
            if sent.is_err() {
                self.connection = None;
            } else if again {
                self.close().await;
            }
            if !(is_stale && may_reconnect) {
                attempt.heard(counted_by);
            }
            if again && may_reconnect {
                may_reconnect = false;
                if is_stale || self.tenure.again(counted_by, Instant::now()) {
                    continue;
                }
                "the service wants a new connection".clone_into(&mut attempt.reply);
                return attempt;
            }
            if let Ok(outcome) = &sent
                && sending.changes_after(&outcome.recipients).await
            {
                if self.tenure.again(counted_by, Instant::now()) {
                    continue;
                }
                // It leaves with the other sender as soon as there is a place for it.
                "the service refuses the sender; the message is sent again with another"
                    .clone_into(&mut attempt.reply);
                return attempt;
            }
            attempt.sender_remark = sending.remark();
            match sent {
                Ok(outcome) => {
                    let left_over = outcome.left_over();
                    if !left_over.is_empty() {
                        self.ask_for_less(outcome.taken());
                    }
                    let mut decided: Vec<_> = outcome.recipients.into_iter().map(Some).collect();
                    for index in left_over {
                        if let Some(fate) = decided.get_mut(index) {
                            *fate = None;
                        }
                    }
                    attempt.take(lease, decided);
                    if attempt.trouble.is_some() {
                        // Whatever is mended shows on a new connection, if anywhere.
                        self.close().await;
                    }
                }
                Err(interrupted) => attempt.interrupt(lease, *interrupted),
            }
            return attempt;
        }
    }

    /// The server took so many recipients and had no room for others: repeating that gets the mailbox
    /// throttled (facts B.3), so it is not asked for more again, whatever the message.
    fn ask_for_less(&self, taken: usize) {
        let settings = &self.shared.settings;
        let sender = Sender {
            mailbox: settings.mailbox.clone(),
            recipients_max: taken.max(1),
        };
        self.shared.queue.set_sender(&settings.account, &sender);
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
        let token = self.shared.tokens.token().await;
        let account = self.shared.settings.account.as_str();
        token.map_err(|unavailable| Trouble::of_token(&unavailable, account))
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
                    tracing::error!(%error, "what became of the message could not be stored; it may be sent twice");
                    return;
                }
                Err((unsettled, error)) => {
                    // A message that was delivered must not be sent again because the disk is full.
                    tracing::warn!(%error, "what became of the message is not stored yet");
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
