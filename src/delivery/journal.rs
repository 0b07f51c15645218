//! What an attempt led to, for the log and the counters.

use crate::delivery::attempt::Reasons;
use crate::queue::{Disposition, MessageState, Outcome, RecipientOutcome, Retry, Settlement};
use crate::telemetry::{Attempted, Fate};

/// What is said of some recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Delivered,
    Failed,
    Deferred,
    Expired,
    /// There was no word about anybody, and the attempt is none.
    Undecided,
}

/// One event for each kind of outcome; what was not decided is said by the incident. The last one tells
/// what became of the message.
pub(super) fn log(
    outcome: &Outcome,
    settlement: &Settlement,
    reasons: Reasons,
    id: &str,
    account: &str,
    attempt: u32,
) {
    let events = events(outcome, settlement);
    let fate = fate(outcome, &events);
    let last = events.len().saturating_sub(1);
    let changes = settlement.note.as_ref().map(|note| note.detail.as_str());
    for (index, event) in events.into_iter().enumerate() {
        let concerned = || {
            let recipients = settlement.recipients.iter();
            recipients.filter(|one| said_of(one, outcome) == event)
        };
        let mut decided = concerned().filter(|one| one.disposition != Disposition::Deferred);
        let first = decided.next().or_else(|| concerned().next());
        let rule = first.and_then(|one| reasons.of(one.disposition));
        let attempted = Attempted {
            queue_id: id,
            account,
            listener: &outcome.listener,
            remote: &settlement.remote,
            recipients: concerned().count(),
            attempt,
            reply: first.map_or(&settlement.reply, |one| &one.reply),
            why: rule.map(|rule| rule.sentence),
            remedy: rule.map(|rule| rule.remedy),
            changes,
            fate: fate.filter(|_| index == last),
        };
        match event {
            Event::Delivered => attempted.log_delivered(outcome.age),
            Event::Failed => attempted.log_failed(),
            Event::Deferred => attempted.log_deferred(outcome.retry_in),
            Event::Expired => attempted.log_expired(),
            Event::Undecided => attempted.log_undecided(),
        }
    }
}

/// Those who wait last: it is they who keep the message, or end it by their age.
fn events(outcome: &Outcome, settlement: &Settlement) -> Vec<Event> {
    let order = [
        Event::Delivered,
        Event::Failed,
        Event::Deferred,
        Event::Expired,
    ];
    let recipients = || settlement.recipients.iter();
    let is_said = |event: &Event| recipients().any(|one| said_of(one, outcome) == *event);
    let mut events: Vec<Event> = order.into_iter().filter(is_said).collect();
    // It came to no reply, or those who wait were not part of it.
    if outcome.expired && !events.contains(&Event::Expired) {
        events.push(Event::Expired);
    } else if settlement.recipients.is_empty() {
        // The account or the network was in trouble.
        match settlement.retry {
            Retry::WithoutCounting | Retry::Rest { .. } => events.push(Event::Undecided),
            _ if outcome.state == MessageState::Deferred => events.push(Event::Deferred),
            _ => {}
        }
    }
    events
}

fn said_of(one: &RecipientOutcome, outcome: &Outcome) -> Event {
    match one.disposition {
        Disposition::Delivered => Event::Delivered,
        Disposition::Deferred if outcome.expired => Event::Expired,
        // The message was refused for everybody, also for those who would have waited.
        Disposition::Deferred if outcome.state == MessageState::Failed => Event::Failed,
        Disposition::Deferred => Event::Deferred,
        Disposition::Failed => Event::Failed,
    }
}

/// None: it goes on with the next part of its recipients, or as if it had not been tried.
fn fate(outcome: &Outcome, events: &[Event]) -> Option<Fate> {
    match outcome.state {
        _ if outcome.expired => Some(Fate::Expired),
        MessageState::Delivered => Some(Fate::Delivered { age: outcome.age }),
        MessageState::Failed => Some(Fate::Failed),
        _ => (events.last() == Some(&Event::Deferred)).then_some(Fate::Deferred),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    const AGE: Duration = Duration::from_secs(5);

    fn outcome(state: MessageState, expired: bool) -> Outcome {
        Outcome {
            state,
            retry_in: None,
            expired,
            age: AGE,
            listener: "local".into(),
        }
    }

    fn settlement(dispositions: &[Disposition], state: MessageState) -> Settlement {
        let recipients = (0..).zip(dispositions);
        Settlement {
            recipients: recipients
                .map(|(number, disposition)| RecipientOutcome {
                    number,
                    disposition: *disposition,
                    reply: "said".into(),
                })
                .collect(),
            // The account's own trouble leaves a message as it was.
            retry: match state {
                MessageState::Ready => Retry::WithoutCounting,
                _ => Retry::Scheduled,
            },
            started_at: SystemTime::UNIX_EPOCH,
            remote: "smtp".into(),
            connection: None,
            transactions: 1,
            uncertain: false,
            reply: "said".into(),
            note: None,
        }
    }

    #[test]
    fn each_attempt_says_what_it_did_and_what_became_of_the_message() {
        use Disposition::{Deferred, Delivered, Failed};
        use Event as E;
        use MessageState as M;
        let is_delivered = Some(Fate::Delivered { age: AGE });
        let (is_failed, is_expired) = (Some(Fate::Failed), Some(Fate::Expired));
        let is_deferred = Some(Fate::Deferred);
        for (recipients, state, expired, events_expected, fate_expected) in [
            (
                &[Delivered, Delivered][..],
                M::Delivered,
                false,
                &[E::Delivered][..],
                is_delivered,
            ),
            (
                &[Failed, Delivered],
                M::Failed,
                false,
                &[E::Delivered, E::Failed],
                is_failed,
            ),
            // Somebody was refused in an earlier attempt.
            (&[Delivered], M::Failed, false, &[E::Delivered], is_failed),
            (
                &[Deferred, Failed],
                M::Deferred,
                false,
                &[E::Failed, E::Deferred],
                is_deferred,
            ),
            // Refused together with a rest that it was not presented for.
            (
                &[Deferred, Failed],
                M::Failed,
                false,
                &[E::Failed],
                is_failed,
            ),
            // A part of the recipients: the rest follows at once.
            (&[Delivered], M::Ready, false, &[E::Delivered], None),
            // Throttled: it was said, and waits.
            (&[Deferred], M::Ready, false, &[E::Deferred], is_deferred),
            (
                &[Delivered, Deferred],
                M::Failed,
                true,
                &[E::Delivered, E::Expired],
                is_expired,
            ),
            // Nothing was said: the network, or the account's trouble.
            (&[], M::Deferred, false, &[E::Deferred], is_deferred),
            (&[], M::Ready, false, &[E::Undecided], None),
            (&[], M::Failed, true, &[E::Expired], is_expired),
        ] {
            let outcome = outcome(state, expired);
            let events = events(&outcome, &settlement(recipients, state));
            assert_eq!(events, events_expected, "{recipients:?} {state:?}");
            let fate = fate(&outcome, &events);
            assert_eq!(fate, fate_expected, "{recipients:?} {state:?}");
        }
    }
}
