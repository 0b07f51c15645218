//! The states a message and its recipients can be in.

use serde::{Deserialize, Serialize};

/// Where a message stands; the words operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// Waits for its first attempt, or for its account.
    Ready,
    /// An attempt is under way.
    Sending,
    /// Waits for its next attempt.
    Deferred,
    /// Waits for an operator.
    Held,
    /// Given up; content kept for `keep_failed`.
    Failed,
    /// Every recipient accepted by the remote; history only.
    Delivered,
    /// Removed by an operator; history only, and never in a listing of the queue.
    Deleted,
}

impl MessageState {
    /// Every state, in the order of their numbers on disk.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Sending,
        Self::Deferred,
        Self::Held,
        Self::Failed,
        Self::Delivered,
        Self::Deleted,
    ];

    /// The states of messages that a listing of the queue can show.
    pub const LISTED: [Self; 6] = [
        Self::Ready,
        Self::Sending,
        Self::Deferred,
        Self::Held,
        Self::Failed,
        Self::Delivered,
    ];

    /// The number on disk.
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
    }

    /// The word operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Sending => "sending",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Deleted => "deleted",
        }
    }

    /// Whether it counts against the bounds of the queue.
    pub fn waits(self) -> bool {
        match self {
            Self::Ready | Self::Sending | Self::Deferred | Self::Held => true,
            Self::Failed | Self::Delivered | Self::Deleted => false,
        }
    }
}

/// Where one recipient of a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// Not decided yet.
    Pending,
    /// The remote has taken the message for this recipient.
    Delivered,
    /// Refused for good, or expired.
    Failed,
}

impl RecipientState {
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Delivered,
            2 => Self::Failed,
            _ => Self::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_disk_come_back_as_the_same_state() {
        for state in MessageState::ALL {
            assert_eq!(MessageState::from_number(state.number()), Some(state));
        }
        for state in [
            RecipientState::Pending,
            RecipientState::Delivered,
            RecipientState::Failed,
        ] {
            assert_eq!(RecipientState::from_number(state.number()), state);
        }
        assert_eq!(MessageState::from_number(99), None);
        assert_eq!(MessageState::from_number(-1), None);
    }
}
