//! What an attempt finds out about each recipient.

use std::ops::Range;

use crate::delivery::connection::{ConnectionError, Interrupted};
use crate::delivery::rules::{Rule, Verdict, classify, explain};
use crate::delivery::status::UnknownReplies;
use crate::delivery::trouble::{Trouble, reply_in};
use crate::queue::{Disposition, Lease, RecipientOutcome};
use crate::smtp::{ClientError, Reply, Step};

/// What an attempt has found out so far.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) recipients: Vec<RecipientOutcome>,
    pub(super) trouble: Option<Trouble>,
    /// Given up before it reached the service: nobody's failure.
    pub(super) stopped: bool,
    pub(super) presented: usize,
    pub(super) reply: String,
    /// Some part of it was lost between the final dot and the reply.
    pub(super) uncertain: bool,
    /// The service has judged a whole message: the account can send.
    pub(super) conclusive: bool,
    /// The reply that refused the message for every recipient.
    refused: Option<String>,
    pub(super) reasons: Reasons,
    pub(super) unknown: UnknownReplies,
    /// Why nothing could be done about a sender that was refused.
    pub(super) sender_remark: Option<String>,
}

/// The rules behind what is not delivered, for the log: the first of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reasons {
    pub(super) deferred: Option<&'static Rule>,
    pub(super) failed: Option<&'static Rule>,
}

impl Attempt {
    /// Notes how each recipient of the part `range` was decided. Returns those that are to come in
    /// transactions of their own, as ranges.
    pub(super) fn take(
        &mut self,
        lease: &Lease,
        range: Range<usize>,
        decided: Vec<Option<(Step, Reply)>>,
    ) -> Vec<Range<usize>> {
        let begin = range.start;
        let numbers = lease.numbers.get(range).unwrap_or_default();
        let decided: Vec<_> = decided
            .into_iter()
            .map(|one| one.map(|(step, reply)| (classify(Some(step), &reply), step, reply)))
            .collect();
        // Where nobody was accepted, another transaction would fare no better.
        let splits = decided
            .iter()
            .flatten()
            .any(|(rule, ..)| rule.verdict != Verdict::Split);
        let mut rest: Vec<Range<usize>> = Vec::new();
        let mut last = None;
        for (index, (number, one)) in numbers.iter().zip(decided).enumerate() {
            let Some((rule, step, reply)) = one else {
                continue;
            };
            if splits && rule.verdict == Verdict::Split {
                let at = begin + index;
                match rest.last_mut() {
                    Some(run) if run.end == at => run.end = at + 1,
                    _ => rest.push(at..at + 1),
                }
                continue;
            }
            let text = match &self.sender_remark {
                Some(why) if rule.verdict == Verdict::SendAsDenied => format!("{reply}; {why}"),
                _ => reply.to_string(),
            };
            // One reply to MAIL, DATA or the end of data decides all.
            let is_new = last != Some((step, rule));
            last = Some((step, rule));
            if rule.is_unknown() && is_new {
                self.unknown.note(&text);
            }
            let disposition = self.judge(rule, &reply, &text);
            self.conclusive |= step == Step::EndOfData && self.trouble.is_none();
            self.reply.clone_from(&text);
            self.recipients.push(RecipientOutcome {
                number: *number,
                disposition,
                reply: text,
            });
        }
        rest
    }

    fn judge(&mut self, rule: &'static Rule, reply: &Reply, text: &str) -> Disposition {
        let disposition = match rule.verdict {
            Verdict::Delivered => return Disposition::Delivered,
            Verdict::FailRecipient => Disposition::Failed,
            Verdict::FailMessage | Verdict::SendAsDenied => {
                self.refused.get_or_insert_with(|| text.to_owned());
                Disposition::Failed
            }
            Verdict::RetryMessage
            | Verdict::Split
            | Verdict::PauseAccount(_)
            | Verdict::PauseTenant(_)
            | Verdict::RefreshToken(_)
            | Verdict::NewConnection(_) => {
                if let Some(trouble) = Trouble::of_reply(rule, reply) {
                    self.trouble = Some(trouble);
                }
                Disposition::Deferred
            }
        };
        self.reasons.note(disposition, rule);
        disposition
    }

    /// Notes what is known of a part whose transaction broke off; the rest is tried again.
    pub(super) fn interrupt(
        &mut self,
        lease: &Lease,
        range: Range<usize>,
        interrupted: Interrupted,
    ) {
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
        let mut open: Vec<usize> = Vec::new();
        for (index, at) in range.clone().enumerate() {
            if decided.get(index).is_none_or(Option::is_none) {
                open.push(at);
            }
        }
        // There is no connection for those that were to come separately: they wait with the others.
        let split = self.take(lease, range, decided);
        open.extend(split.into_iter().flatten());
        if let Some((step, reply)) = reply_in(&error) {
            let rule = classify(step, reply);
            if rule.is_unknown() {
                self.unknown.note(&reply.to_string());
            }
            self.reasons.note(Disposition::Deferred, rule);
            if !uncertain && self.trouble.is_none() {
                self.trouble = Trouble::of_reply(rule, reply);
            }
        }
        for at in open {
            if let Some(number) = lease.numbers.get(at) {
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

    /// Whether the message was refused as a whole; then no part of it is presented again.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Refuses the message for everybody, without asking the service.
    pub(super) fn refuse_beforehand(&mut self, lease: &Lease, reply: String) {
        if let Some(rule) = explain(&reply) {
            self.reasons.note(Disposition::Failed, rule);
        }
        self.reply.clone_from(&reply);
        self.refused = Some(reply);
        self.refuse(lease, 0..lease.numbers.len());
    }

    /// The message was refused as a whole: so are the recipients of a part that was not sent yet.
    pub(super) fn refuse(&mut self, lease: &Lease, range: Range<usize>) {
        let Some(reply) = &self.refused else { return };
        for number in lease.numbers.get(range).unwrap_or_default() {
            self.recipients.push(RecipientOutcome {
                number: *number,
                disposition: Disposition::Failed,
                reply: reply.clone(),
            });
        }
    }
}

impl Reasons {
    fn note(&mut self, disposition: Disposition, rule: &'static Rule) {
        match disposition {
            Disposition::Delivered => {}
            Disposition::Deferred => {
                self.deferred.get_or_insert(rule);
            }
            Disposition::Failed => {
                self.failed.get_or_insert(rule);
            }
        }
    }

    pub(super) fn of(&self, disposition: Disposition) -> Option<&'static Rule> {
        match disposition {
            Disposition::Delivered => None,
            Disposition::Deferred => self.deferred,
            Disposition::Failed => self.failed,
        }
    }
}

/// Whether the server decided nothing but that it wants to be called anew.
pub(super) fn wants_new_connection(decided: &[(Step, Reply)]) -> bool {
    let mut rules = decided
        .iter()
        .map(|(step, reply)| classify(Some(*step), reply));
    rules.all(|rule| matches!(rule.verdict, Verdict::NewConnection(_)))
}

impl Interrupted {
    /// The remote had gone before it heard of the message.
    pub(super) fn is_stale(&self) -> bool {
        let gone = match &self.error {
            ConnectionError::Lost(_) => true,
            ConnectionError::Protocol(ClientError::Goodbye { step, .. }) => {
                matches!(step, None | Some(Step::Mail | Step::Rset))
            }
            ConnectionError::Protocol(ClientError::Unexpected { step, .. }) => step.is_none(),
            _ => false,
        };
        gone && self.is_undecided()
    }

    /// As [`wants_new_connection`].
    pub(super) fn wants_new_connection(&self) -> bool {
        let rule = reply_in(&self.error).map(|(step, reply)| classify(step, reply));
        rule.is_some_and(|rule| matches!(rule.verdict, Verdict::NewConnection(_)))
            && self.is_undecided()
    }

    fn is_undecided(&self) -> bool {
        !self.uncertain && self.decided.iter().all(Option::is_none)
    }
}
