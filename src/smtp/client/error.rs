//! Why a session with an upstream server came to nothing.

use crate::smtp::Reply;
use crate::smtp::client::{ErrorChallenge, Step};

/// Each variant is a cause with a remedy of its own; none of them is a recipient's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server does not want to talk.
    #[error("the server refused the connection: {reply}")]
    GreetingRefused {
        /// What it said.
        reply: Reply,
    },
    /// The server is not an ESMTP server, or does not like our name.
    #[error(
        "the server refused EHLO: {reply}; check host and port (a server that knows only HELO cannot authenticate anybody) and the setting hostname"
    )]
    EhloRefused {
        /// What it said.
        reply: Reply,
    },
    /// Something on the way may have removed the offer (RFC 3207 section 6): never go on without.
    #[error(
        "the server does not offer STARTTLS; check host and port, and that no firewall inspects SMTP"
    )]
    StartTlsNotOffered,
    /// The server offered it and then would not.
    #[error("the server refused STARTTLS: {reply}")]
    StartTlsRefused {
        /// What it said.
        reply: Reply,
    },
    /// After TLS, `AUTH` did not list it.
    #[error("the server does not offer AUTH XOAUTH2; check host and port")]
    XoauthNotOffered,
    /// 4yz: try again later. 5yz: the token, the mailbox or the tenant is at fault.
    #[error("the server refused the authentication: {reply}{}", aside(challenge.as_ref()))]
    AuthRefused {
        /// What it said in the end.
        reply: Reply,
        /// What it said of the token before.
        challenge: Option<ErrorChallenge>,
    },
    /// 4yz or 5yz before the content was sent to its end: it is meant for the message, but the session
    /// cannot go on.
    #[error("the server refused the message before its end: {reply}")]
    CutShort {
        /// What it said.
        reply: Reply,
    },
    /// A reply that does not fit its step, or that answers nothing. The session is out of step.
    #[error("unexpected reply: {reply}")]
    Unexpected {
        /// What was waited for; `None` when nothing was.
        step: Option<Step>,
        /// What it said.
        reply: Reply,
    },
    /// 421, which may come at any time (RFC 5321 section 3.8): the server closes the connection.
    #[error("the server closes the connection: {reply}")]
    Goodbye {
        /// What was waited for; `None` when nothing was.
        step: Option<Step>,
        /// What it said.
        reply: Reply,
    },
    /// The shell called something that does not fit the last event; nothing was changed.
    #[error("call out of turn: the session is not in a state for it")]
    OutOfTurn,
}

impl ClientError {
    /// The reply to AUTH, with what the server said of the token before it; `None` for another error.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::AuthRefused { reply, challenge } => {
                Some(format!("{reply}{}", aside(challenge.as_ref())))
            }
            _ => None,
        }
    }
}

fn aside(challenge: Option<&ErrorChallenge>) -> String {
    challenge.map_or_else(String::new, |challenge| format!(" ({challenge})"))
}
