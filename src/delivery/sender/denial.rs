//! Whom the service has refused.

use crate::delivery::rules::{Verdict, classify};
use crate::delivery::sender::is_of_envelope;
use crate::mail::{Mailbox, ReversePath};
use crate::smtp::{Reply, Step};

/// Between the mailbox and the address it may not send as (facts C.2).
const WORDS: &str = "not allowed to send as ";

/// The refusal of a sender, if that is what kept the message from everybody.
pub(super) fn find(decided: &[(Step, Reply)]) -> Option<(Step, &Reply)> {
    let verdict = |step, reply| classify(Some(step), reply).verdict;
    let mut all = decided.iter();
    if all.any(|(step, reply)| verdict(*step, reply) == Verdict::Delivered) {
        return None;
    }
    let mut all = decided.iter();
    let found = all.find(|(step, reply)| verdict(*step, reply) == Verdict::SendAsDenied);
    found.map(|(step, reply)| (*step, reply))
}

/// The address that it is about. The service's word counts only for an address that is in the message:
/// what is remembered of it concerns the mail of others.
pub(super) fn address(
    step: Step,
    reply: &Reply,
    authors: &[String],
    reverse_path: &ReversePath,
) -> Option<String> {
    let path = reverse_path.mailbox().map(|path| path.as_str().to_owned());
    if is_of_envelope(step) {
        return path;
    }
    let named = named(reply);
    let is_known = |named: &String| {
        let mut known = authors.iter().chain(&path);
        known.any(|known| known.eq_ignore_ascii_case(named))
    };
    let in_message = named.as_ref().filter(|named| is_known(named)).cloned();
    in_message
        .or_else(|| authors.first().cloned())
        .or(named)
        .or(path)
}

/// `SendAsDenied; <mailbox> not allowed to send as <from>; ...`, with angle brackets or without.
fn named(reply: &Reply) -> Option<String> {
    let lines: Vec<_> = reply.lines().collect();
    let text = lines.join(" ");
    let (_, after) = text.split_once(WORDS)?;
    let end = after.find([' ', ';']).unwrap_or(after.len());
    let word = after.get(..end)?.trim_matches(['<', '>']);
    Mailbox::parse(word)
        .ok()
        .map(|mailbox| mailbox.as_str().to_owned())
}
