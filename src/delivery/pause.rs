//! How long an account that cannot send is left alone, and how it is found out that it can again.

use std::time::Duration;

use serde::Serialize;

/// What keeps an account from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The host cannot be reached, or does not speak as it should. Messages grow older meanwhile.
    Network,
    /// There is no access token.
    Token,
    /// The service refuses to authenticate.
    Authentication,
    /// The service asks for fewer connections, or for less haste.
    Throttle,
    /// The service takes nothing from this mailbox or tenant for now: a quota, a block, a right
    /// that is missing.
    Service,
}

/// What an operator makes of an account at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It sends, whenever there is mail.
    #[default]
    Ready,
    /// A new token is being asked for.
    Refreshing,
    /// A limit of the service; it passes by itself.
    Throttled,
    /// Trouble that usually passes by itself.
    Paused,
    /// Somebody has to change something, here or at the service.
    Blocked,
}

/// What shows that an account can send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Opening a connection and authenticating.
    Authentication,
    /// Only a message: authentication succeeds all the while.
    Message,
}

impl Cause {
    const ALL: [Self; 5] = [
        Self::Network,
        Self::Token,
        Self::Authentication,
        Self::Throttle,
        Self::Service,
    ];

    /// The word for programs, and on the disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Token => "token",
            Self::Authentication => "authentication",
            Self::Throttle => "throttle",
            Self::Service => "service",
        }
    }
}

impl State {
    /// The word for programs, and on the disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Refreshing => "refreshing",
            Self::Throttled => "throttled",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
        }
    }
}

/// How an account is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PausePolicy {
    /// What kind of trouble.
    pub cause: Cause,
    /// What it is shown as.
    pub state: State,
    /// Until the first probe; it doubles with each that fails ...
    pub first: Duration,
    /// ... up to this.
    pub longest: Duration,
    /// How it is found out that it is over.
    pub probe: Probe,
}

impl PausePolicy {
    /// Whether messages grow older meanwhile, and use up attempts (promise 4).
    pub(crate) fn ages_mail(&self) -> bool {
        self.cause == Cause::Network
    }

    /// For trouble that no rule knows, or none that this version has.
    pub(crate) fn named(cause: &str, state: &str) -> Option<Self> {
        let cause = Cause::ALL.into_iter().find(|one| one.as_str() == cause)?;
        let is_blocked = state == State::Blocked.as_str();
        Some(match cause {
            Cause::Network => Self::NETWORK,
            Cause::Token if is_blocked => Self::TOKEN_REFUSED,
            Cause::Token => Self::TOKEN,
            Cause::Authentication if is_blocked => Self::SIGN_IN,
            Cause::Authentication => Self::SIGN_IN_AWAY,
            Cause::Throttle => Self::BUSY,
            Cause::Service if is_blocked => Self::BLOCKED,
            Cause::Service if state == State::Throttled.as_str() => Self::SENDER_THROTTLED,
            Cause::Service => Self::PROXY,
        })
    }

    /// A host that is being replaced is away for a moment; one connection costs little.
    pub(crate) const NETWORK: Self = Self {
        cause: Cause::Network,
        state: State::Paused,
        first: Duration::from_secs(1),
        longest: Duration::from_mins(5),
        probe: Probe::Authentication,
    };

    /// The token source has a back-off of its own and wakes us when it succeeds.
    pub(crate) const TOKEN: Self = Self {
        cause: Cause::Token,
        state: State::Paused,
        first: Duration::from_secs(5),
        longest: Duration::from_mins(1),
        probe: Probe::Authentication,
    };

    /// The same, where the app, its secret or its rights are at fault.
    pub(crate) const TOKEN_REFUSED: Self = Self {
        state: State::Blocked,
        ..Self::TOKEN
    };

    /// Directory changes need minutes, and repeated failures look like an attack (facts C.1).
    pub(crate) const SIGN_IN: Self = Self {
        cause: Cause::Authentication,
        state: State::Blocked,
        first: Duration::from_mins(1),
        longest: Duration::from_mins(15),
        probe: Probe::Authentication,
    };

    /// The service's own authentication is away.
    pub(crate) const SIGN_IN_AWAY: Self = Self {
        state: State::Paused,
        first: Duration::from_secs(30),
        longest: Duration::from_mins(5),
        ..Self::SIGN_IN
    };

    /// Somebody else uses the mailbox too (facts B.1).
    pub(crate) const CONNECTIONS: Self = Self {
        cause: Cause::Throttle,
        state: State::Throttled,
        first: Duration::from_secs(15),
        longest: Duration::from_mins(5),
        probe: Probe::Message,
    };

    /// "Back off minutes" (facts B.4).
    pub(crate) const BUSY: Self = Self {
        first: Duration::from_mins(1),
        longest: Duration::from_mins(15),
        ..Self::CONNECTIONS
    };

    /// The front end does not get through to the mailbox.
    pub(crate) const PROXY: Self = Self {
        cause: Cause::Service,
        state: State::Paused,
        ..Self::BUSY
    };

    /// A window of a day slides: room comes back at any moment, and never all at once.
    pub(crate) const DAY_QUOTA: Self = Self {
        cause: Cause::Service,
        state: State::Throttled,
        first: Duration::from_mins(15),
        longest: Duration::from_hours(1),
        probe: Probe::Message,
    };

    /// Every refused try prolongs it: 1 h, 2 h, 4 h (facts B.3).
    pub(crate) const SENDER_THROTTLED: Self = Self {
        first: Duration::from_hours(1),
        longest: Duration::from_hours(4),
        ..Self::DAY_QUOTA
    };

    /// A right that was just given takes half an hour to two hours to work (facts C.2, E.3).
    pub(crate) const PERMISSION: Self = Self {
        cause: Cause::Service,
        state: State::Blocked,
        first: Duration::from_mins(5),
        longest: Duration::from_mins(30),
        probe: Probe::Message,
    };

    /// Somebody has to tidy up, and many refusals in a row bring on `SENDER_THROTTLED`.
    pub(crate) const MAILBOX_FULL: Self = Self {
        first: Duration::from_mins(15),
        longest: Duration::from_hours(4),
        ..Self::PERMISSION
    };

    /// A block that is lifted by hand, in a portal or by Microsoft.
    pub(crate) const BLOCKED: Self = Self {
        first: Duration::from_mins(30),
        longest: Duration::from_hours(4),
        ..Self::PERMISSION
    };
}
