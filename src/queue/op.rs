//! What is asked of the writer, and what it answers once a transaction is on stable storage.

use tokio::sync::oneshot;

use crate::queue::change::{self, Changed};
use crate::queue::denied;
use crate::queue::heard;
use crate::queue::insert::NewMessage;
use crate::queue::lease::Dropped;
use crate::queue::notice::Telling;
use crate::queue::reroute::{self, Moved};
use crate::queue::retention::Swept;
use crate::queue::settle::Settled;
use crate::queue::{Incident, Leased, Outcome, Receipt, Settlement, StorageError};

pub(super) type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// A request to the writer.
#[derive(Debug)]
pub(super) enum Op {
    Commit {
        message: Box<NewMessage>,
        answer: Answer<Receipt>,
    },
    Lease {
        account: String,
        max: usize,
        answer: Answer<Leased>,
    },
    Settle {
        seq: i64,
        /// Who has tried to send it.
        account: String,
        settlement: Box<Settlement>,
        answer: Answer<Outcome>,
    },
    Maintain {
        answer: Answer<Swept>,
    },
    Change {
        request: Box<change::Request>,
        answer: Answer<Changed>,
    },
    Tell {
        telling: Telling,
        answer: Answer<()>,
    },
    Reroute {
        request: Box<reroute::Request>,
        answer: Answer<Moved>,
    },
    Denied {
        request: denied::Request,
        answer: Answer<u64>,
    },
    /// Answered once every incident is stored as it is known now.
    Incidents {
        answer: Answer<()>,
    },
    /// Leases were dropped, or incidents are to be stored.
    Look,
    Close,
}

impl Op {
    pub(super) fn inline_bytes(&self) -> usize {
        match self {
            Self::Commit { message, .. } => message.content.inline_bytes(),
            _ => 0,
        }
    }

    pub(super) fn refuse(self, error: &StorageError) {
        match self {
            Self::Commit { message, answer } => {
                drop(message);
                let _ = answer.send(Err(error.clone()));
            }
            Self::Lease { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Settle { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Maintain { answer } => drop(answer.send(Err(error.clone()))),
            Self::Change { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Tell { answer, .. } | Self::Incidents { answer } => {
                let _ = answer.send(Err(error.clone()));
            }
            Self::Reroute { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Denied { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Look | Self::Close => {}
        }
    }
}

/// One transaction while it is being written.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) done: Vec<Done>,
    /// Leases that were dropped and are given back by it.
    pub(super) released: Vec<Dropped>,
    pub(super) released_accounts: Vec<String>,
    /// Incidents that it stores.
    pub(super) incidents: Vec<Incident>,
    /// Why it does not, should that be so.
    pub(super) incidents_refused: Option<StorageError>,
    /// Sections of clients that it takes messages in from.
    pub(super) heard: heard::Messages,
    /// COMMIT was begun: from here on it may be on the disk, whatever is said of it.
    pub(super) is_ending: bool,
}

impl Transaction {
    /// How many it takes in.
    pub(super) fn messages(&self) -> usize {
        let is_message = |done: &&Done| matches!(done, Done::Committed(..));
        self.done.iter().filter(is_message).count()
    }

    /// An account without due mail proves nothing about the disk.
    pub(super) fn has_written(&self) -> bool {
        !self.released_accounts.is_empty()
            || !self.incidents.is_empty()
            || self.done.iter().any(|done| match done {
                Done::Leased(leased, _) => !leased.leases.is_empty(),
                Done::IncidentsStored(_) => false,
                _ => true,
            })
    }
}

/// What to tell whom once the transaction is on stable storage.
#[derive(Debug)]
pub(super) enum Done {
    Committed(Box<NewMessage>, Answer<Receipt>),
    Leased(Leased, Answer<Leased>),
    Settled(Box<Settled>, Answer<Outcome>),
    Maintained(Swept, Answer<Swept>),
    Changed(Box<Changed>, Answer<Changed>),
    Told(Answer<()>),
    Rerouted(Moved, Answer<Moved>),
    Denied(denied::Effect, Answer<u64>),
    IncidentsStored(Answer<()>),
}

impl Done {
    /// `in_doubt`: the transaction may be on the disk all the same.
    pub(super) fn fail(self, error: &StorageError, in_doubt: bool) {
        match self {
            Self::Committed(message, answer) => {
                let _ = answer.send(Err(error.clone()));
                if in_doubt {
                    tracing::error!(
                        queue_id = %message.id,
                        "message was refused, but may have been stored; it may be sent twice"
                    );
                    message.keep_files();
                }
            }
            Self::Leased(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Settled(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Maintained(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Changed(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Told(answer) | Self::IncidentsStored(answer) => {
                let _ = answer.send(Err(error.clone()));
            }
            Self::Rerouted(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Denied(_, answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}
