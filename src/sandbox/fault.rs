//! Faults that somebody ordered: by step of the dialogue, by answer of the token endpoint, or by recipient.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::entra::Aadsts;
use super::replies;

/// Orders that wait for one step; an order above this replaces the oldest.
const ORDERS_MAX: usize = 1_000;

/// A place in the dialogue where a [`Fault`] can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The connection was accepted; nothing was said.
    Connect,
    /// In the place of the greeting.
    Greeting,
    /// EHLO or HELO, before TLS and after it.
    Ehlo,
    /// The command STARTTLS.
    StartTls,
    /// After its 220, in the place of the TLS handshake.
    Handshake,
    /// The verdict on the credentials.
    Auth,
    /// MAIL.
    Mail,
    /// Each RCPT.
    Rcpt,
    /// DATA, before the 354.
    Data,
    /// Once the first octets of content have come.
    Content,
    /// The final dot has been read; the message is not accepted yet.
    EndOfData,
    /// The final reply to a message has been sent.
    AfterReply,
}

/// What happens at a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This text goes out, as it is, plus CRLF if it does not end in a line feed. A text that starts with 2 or 3 only
    /// replaces the words of a success; any other refuses the step, 421 closes the connection as well. At `Connect`,
    /// `Handshake` and `Content`, where no reply belongs, it is sent and the connection closed.
    Reply(String),
    /// The connection is closed without a word; a message in progress is not accepted.
    Disconnect,
    /// Nothing more is said until the client gives up. During `Content` nothing more is read either.
    Hang,
    /// At `EndOfData`: the message is accepted and the connection closed before the reply, the one case in which a
    /// client cannot know. At any other step like `Disconnect`.
    DisconnectAfterAccept,
}

/// What the token endpoint does instead of answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// `503` with an empty body.
    Off,
    /// The connection is closed before the answer is whole.
    Cut,
    /// `AADSTS7000215`, whatever the secret.
    RefuseSecret,
    /// The right answer, later.
    Slow(Duration),
    /// `429`, with `Retry-After` where given.
    Throttle {
        /// Seconds.
        retry_after: Option<u64>,
    },
    /// `200` with a page, as a proxy that wants a sign-in gives it.
    Html,
    /// `200` with half of a JSON body.
    Garbage,
    /// A refusal of Entra's.
    Aadsts(&'static Aadsts),
}

/// Who gets which fault, how many times.
#[derive(Debug)]
pub(super) struct Faults {
    smtp: Orders<Step, Fault>,
    token: Orders<(), TokenFault>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self {
            smtp: Orders::new(),
            token: Orders::new(),
        }
    }

    pub(super) fn order_smtp(&self, step: Step, fault: Fault, count: Option<usize>) {
        self.smtp.order(step, fault, count);
    }

    pub(super) fn order_token(&self, fault: Option<TokenFault>, count: Option<usize>) {
        // One state of the endpoint at a time: "off" ends "slow".
        self.token.clear();
        if let Some(fault) = fault {
            self.token.order((), fault, count);
        }
    }

    pub(super) fn strike(&self, step: Step) -> Option<Fault> {
        self.smtp.take(&step)
    }

    pub(super) fn strike_token(&self) -> Option<TokenFault> {
        self.token.take(&())
    }

    pub(super) fn clear(&self) {
        self.smtp.clear();
        self.token.clear();
    }
}

/// First ordered, first struck; an order without a count stays until it is cleared.
#[derive(Debug)]
struct Orders<K, F> {
    waiting: Mutex<HashMap<K, VecDeque<Order<F>>>>,
    /// Zero nearly always: sessions look here first and need no lock.
    armed: AtomicUsize,
}

#[derive(Debug)]
struct Order<F> {
    fault: F,
    remaining: Option<usize>,
}

impl<K: Eq + Hash, F: Clone> Orders<K, F> {
    fn new() -> Self {
        Self {
            waiting: Mutex::new(HashMap::new()),
            armed: AtomicUsize::new(0),
        }
    }

    fn order(&self, key: K, fault: F, count: Option<usize>) {
        if count == Some(0) {
            return;
        }
        let mut waiting = self.lock();
        let orders = waiting.entry(key).or_default();
        if orders.len() == ORDERS_MAX {
            orders.pop_front();
        }
        orders.push_back(Order {
            fault,
            remaining: count,
        });
        self.count(&waiting);
    }

    fn take(&self, key: &K) -> Option<F> {
        if self.armed.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut waiting = self.lock();
        let orders = waiting.get_mut(key)?;
        let order = orders.front_mut()?;
        let fault = order.fault.clone();
        if let Some(remaining) = &mut order.remaining {
            *remaining -= 1;
            if *remaining == 0 {
                orders.pop_front();
            }
        }
        self.count(&waiting);
        Some(fault)
    }

    fn clear(&self) {
        let mut waiting = self.lock();
        waiting.clear();
        self.count(&waiting);
    }

    fn count(&self, waiting: &HashMap<K, VecDeque<Order<F>>>) {
        let armed = waiting.values().map(VecDeque::len).sum();
        self.armed.store(armed, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, VecDeque<Order<F>>>> {
        // Orders are whole at every step: a panic elsewhere leaves nothing half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault that nobody knows is refused: a misspelt rehearsal must not look like a success.
const NO_SUCH_FAULT: &str =
    "550 5.1.3 The sandbox has no such fault; docs/replies.md lists their names";

/// The fault that `fault+NAME@domain` or `fault+CODE@domain` asks for: a documented reply, at the end of data if
/// that is where it belongs and else at RCPT; or any other code of class 4 or 5, at RCPT.
pub(super) fn by_recipient(recipient: &str) -> Option<(Step, String)> {
    let (local_part, _) = recipient.rsplit_once('@')?;
    let code = local_part.strip_prefix("fault+")?;
    if let Some(known) = replies::find(code) {
        let at = match known.at {
            Step::EndOfData => Step::EndOfData,
            _ => Step::Rcpt,
        };
        return Some((at, known.text.to_owned()));
    }
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
    };
    let is_code = code.split('.').count() == 3 && code.split('.').all(is_number);
    let reply = match code.split_once('.') {
        Some(("4", _)) if is_code => "451",
        Some(("5", _)) if is_code => "550",
        _ => return Some((Step::Rcpt, NO_SUCH_FAULT.to_owned())),
    };
    let text = format!("{reply} {code} Fault asked for by the recipient's address");
    Some((Step::Rcpt, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_strike_in_turn_and_run_out() {
        let faults = Faults::new();
        assert_eq!(faults.strike(Step::Mail), None);
        faults.order_smtp(Step::Mail, Fault::Hang, Some(2));
        faults.order_smtp(Step::Mail, Fault::Disconnect, None);
        faults.order_smtp(Step::Rcpt, Fault::Hang, Some(0));
        assert_eq!(faults.strike(Step::Rcpt), None);
        assert_eq!(faults.strike(Step::Mail), Some(Fault::Hang));
        assert_eq!(faults.strike(Step::Mail), Some(Fault::Hang));
        assert_eq!(faults.strike(Step::Mail), Some(Fault::Disconnect));
        assert_eq!(faults.strike(Step::Mail), Some(Fault::Disconnect));
        faults.clear();
        assert_eq!(faults.strike(Step::Mail), None);
    }

    #[test]
    fn the_token_endpoint_has_one_fault_at_a_time() {
        let faults = Faults::new();
        faults.order_token(Some(TokenFault::Off), None);
        faults.order_token(Some(TokenFault::Html), Some(1));
        assert_eq!(faults.strike_token(), Some(TokenFault::Html));
        assert_eq!(faults.strike_token(), None);
        faults.order_token(Some(TokenFault::Off), None);
        faults.order_token(None, None);
        assert_eq!(faults.strike_token(), None);
    }

    #[test]
    fn recipients_ask_for_replies() {
        let text = |recipient: &str| by_recipient(recipient).map(|(_, text)| text);
        assert!(
            text("fault+5.2.252@x.example")
                .unwrap()
                .contains("SendAsDenied")
        );
        assert!(
            text("fault+4.9.9@x.example")
                .unwrap()
                .starts_with("451 4.9.9 ")
        );
        for (recipient, start) in [
            (
                "fault+5.7.139@x",
                "535 5.7.139 Authentication unsuccessful, Smtp",
            ),
            ("fault+submission-quota-exceeded@x", "554 5.2.0 STOREDRV"),
            ("fault+Conditional_Access@x", "535 5.7.139 "),
            ("fault+5.9.9@x", "550 5.9.9 "),
        ] {
            let text = text(recipient).unwrap();
            assert!(text.starts_with(start), "{recipient}: {text}");
        }
        for misspelt in [
            "fault+@x",
            "fault+2.0.0@x",
            "fault+5.1@x",
            "fault+5.1.x@x",
            "fault+no_such_thing@x",
        ] {
            assert_eq!(text(misspelt).as_deref(), Some(NO_SUCH_FAULT), "{misspelt}");
        }
        for other in ["fault@x", "a@x"] {
            assert_eq!(text(other), None, "{other}");
        }
    }
}
