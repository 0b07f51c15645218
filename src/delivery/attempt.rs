//! What an attempt finds out about each recipient.

use std::collections::HashSet;

use tokio::time::Instant;

use crate::delivery::connection::Interrupted;
use crate::delivery::rules::{Rule, Verdict, classify, explain};
use crate::delivery::status::UnknownReplies;
use crate::delivery::trouble::{Trouble, reply_in};
use crate::queue::{Disposition, Lease, RecipientOutcome, Retry};
use crate::smtp::{Reply, Step};

/// What an attempt has found out so far.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) recipients: Vec<RecipientOutcome>,
    pub(super) trouble: Option<Trouble>,
    /// Given up before it reached the service: nobody's failure.
    pub(super) stopped: bool,
    /// Mail transactions that the service has heard of; a second one only over a new connection that it
    /// asked for.
    pub(super) transactions: u32,
    /// The service has counted the last of them by then.
    pub(super) counted_by: Option<Instant>,
    /// What stands for all of it in listings.
    pub(super) reply: String,
    /// Somebody was not delivered to.
    fell_short: bool,
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
    /// The service has heard of the message, and has counted it by then.
    pub(super) fn heard(&mut self, counted_by: Instant) {
        self.transactions += 1;
        self.counted_by = Some(counted_by);
    }

    /// Notes how each recipient was decided, as far as it was.
    pub(super) fn take(&mut self, lease: &Lease, decided: Vec<Option<(Step, Reply)>>) {
        let mut last = None;
        for (number, one) in lease.numbers.iter().zip(decided) {
            let Some((step, reply)) = one else {
                continue;
            };
            let rule = classify(Some(step), &reply);
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
            // Of several replies one that did not deliver says more than one that did.
            self.fell_short |= disposition != Disposition::Delivered;
            if disposition != Disposition::Delivered || !self.fell_short {
                self.reply.clone_from(&text);
            }
            self.recipients.push(RecipientOutcome {
                number: *number,
                disposition,
                reply: text,
            });
        }
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

    /// Notes what is known of a transaction that broke off; the rest is tried again.
    pub(super) fn interrupt(&mut self, lease: &Lease, interrupted: Interrupted) {
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
        let undecided = |(at, number): (usize, &u32)| {
            let is_open = decided.get(at).is_none_or(Option::is_none);
            is_open.then_some(*number)
        };
        let numbers = lease.numbers.iter().enumerate();
        let open: Vec<u32> = numbers.filter_map(undecided).collect();
        self.take(lease, decided);
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
        let deferred = open.into_iter().map(|number| RecipientOutcome {
            number,
            disposition: Disposition::Deferred,
            reply: text.clone(),
        });
        self.recipients.extend(deferred);
        self.reply = text;
        self.uncertain |= uncertain;
    }

    /// Refuses the message for everybody, without asking the service.
    pub(super) fn refused_beforehand(lease: &Lease, reply: String) -> Self {
        let mut attempt = Self::default();
        if let Some(rule) = explain(&reply) {
            attempt.reasons.note(Disposition::Failed, rule);
        }
        for number in &lease.numbers {
            attempt.recipients.push(RecipientOutcome {
                number: *number,
                disposition: Disposition::Failed,
                reply: reply.clone(),
            });
        }
        attempt.reply.clone_from(&reply);
        attempt.refused = Some(reply);
        attempt
    }

    /// What becomes of those who are not decided.
    pub(super) fn retry(&self, lease: &Lease) -> Retry {
        let named: HashSet<u32> = self.recipients.iter().map(|one| one.number).collect();
        let mut left_over = lease
            .numbers
            .iter()
            .filter(|number| !named.contains(number));
        let rest = lease.rest.as_ref();
        // Trouble of the account is no attempt; a network that is down is one that failed.
        match &self.trouble {
            Some(trouble) if !trouble.pause.ages_mail() => return Retry::WithoutCounting,
            Some(_) => return Retry::Scheduled,
            None => {}
        }
        match left_over.next().or(rest) {
            // No part of what was refused as a whole is presented again.
            Some(_) if self.refused.is_some() => Retry::RefuseRest,
            Some(from) => Retry::Rest { from: *from },
            None => Retry::Scheduled,
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
