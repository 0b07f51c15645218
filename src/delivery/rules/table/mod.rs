//! The rules by topic, in the order in which they are asked.

mod auth;
mod content;
mod mailbox;
mod others;
mod quota;
mod recipient;
mod sender;
mod service;

use crate::delivery::PausePolicy;
use crate::delivery::rules::matching::{Said, Stage};
use crate::delivery::rules::{Rule, Verdict};

/// Quotas come first: their texts name the cause where codes are shared. Other services' codes come
/// before the general rules for AUTH.
const TOPICS: [&[Rule]; 8] = [
    quota::RULES,
    sender::RULES,
    mailbox::RULES,
    others::RULES,
    auth::RULES,
    service::RULES,
    content::RULES,
    recipient::RULES,
];

/// Every rule that knows its replies, in order.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    TOPICS.into_iter().flatten()
}

/// 2yz to the end of data, whatever its words (facts A.4).
pub(super) const ACCEPTED: Rule = Rule {
    key: "accepted",
    when: &[],
    verdict: Verdict::Delivered,
    sentence: "Exchange Online has accepted the message.",
    remedy: "Nothing is to be done; failures after this come as mail to the sending mailbox.",
};

const UNDECIDED: Rule = Rule {
    key: "undecided",
    when: &[],
    verdict: Verdict::RetryMessage,
    sentence: "Exchange Online agreed to go on, and nothing was decided yet.",
    remedy: "Nothing is to be done; the message is tried again.",
};

const UNKNOWN_AT_CONNECT: Rule = Rule {
    key: "unknown_at_connect",
    when: &[],
    verdict: Verdict::PauseAccount(PausePolicy::NETWORK),
    sentence: "The server refused the connection before anybody had signed in.",
    remedy: "Check host and port in [account.NAME.smtp], and that nothing between here and there answers in its place.",
};

const UNKNOWN_AT_AUTH_LATER: Rule = Rule {
    key: "unknown_at_auth_later",
    when: &[],
    verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN_AWAY),
    sentence: "The server put the sign-in off, in words that exorelay does not know.",
    remedy: "If it lasts, look the reply up under Health > Service health in the Microsoft 365 admin centre.",
};

const UNKNOWN_AT_AUTH: Rule = Rule {
    key: "unknown_at_auth",
    when: &[],
    verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
    sentence: "The server refused the sign-in, in words that exorelay does not know.",
    remedy: "Read the reply; check the app's permission, the mailbox and its SMTP AUTH switch: Get-CASMailbox MAILBOX | fl SmtpClientAuthenticationDisabled.",
};

const UNKNOWN_DEFERRAL: Rule = Rule {
    key: "unknown_deferral",
    when: &[],
    verdict: Verdict::RetryMessage,
    sentence: "The server put the message off, in words that exorelay does not know.",
    remedy: "Nothing for now, the message is tried again; if it lasts, read the reply and ask Microsoft with its id.",
};

const UNKNOWN_REFUSAL: Rule = Rule {
    key: "unknown_refusal",
    when: &[],
    verdict: Verdict::FailMessage,
    sentence: "The server refused the message for good, in words that exorelay does not know.",
    remedy: "Read the reply, mend what it names, then: exorelay queue retry ID.",
};

const UNKNOWN_RECIPIENT_REFUSAL: Rule = Rule {
    key: "unknown_recipient_refusal",
    verdict: Verdict::FailRecipient,
    sentence: "The server refused the recipient for good, in words that exorelay does not know.",
    ..UNKNOWN_REFUSAL
};

/// In the order of the page in docs.
pub(super) const FALLBACKS: [&Rule; 8] = [
    &ACCEPTED,
    &UNDECIDED,
    &UNKNOWN_AT_CONNECT,
    &UNKNOWN_AT_AUTH_LATER,
    &UNKNOWN_AT_AUTH,
    &UNKNOWN_DEFERRAL,
    &UNKNOWN_RECIPIENT_REFUSAL,
    &UNKNOWN_REFUSAL,
];

/// Where no rule knows the reply: its class decides (RFC 5321 section 4.2.1). Before MAIL there is no
/// message it could concern (facts C.3).
pub(super) fn fallback(said: &Said) -> &'static Rule {
    match (said.stage, said.code) {
        (None | Some(Stage::EndOfData), ..300) => &ACCEPTED,
        (_, ..400) => &UNDECIDED,
        (Some(Stage::Connect), _) => &UNKNOWN_AT_CONNECT,
        (Some(Stage::Auth), ..500) => &UNKNOWN_AT_AUTH_LATER,
        (Some(Stage::Auth), _) => &UNKNOWN_AT_AUTH,
        (_, ..500) => &UNKNOWN_DEFERRAL,
        (Some(Stage::Rcpt), _) => &UNKNOWN_RECIPIENT_REFUSAL,
        _ => &UNKNOWN_REFUSAL,
    }
}
