//! Accounts: whether they send, with what, and how much of what they may.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::page::{Page, Value};
use super::seconds_until;
use crate::admin::protocol::{AccountState, AccountStatus};
use crate::telemetry::Counters;

const STATES: [AccountState; 7] = [
    AccountState::Starting,
    AccountState::Ready,
    AccountState::Refreshing,
    AccountState::Throttled,
    AccountState::Paused,
    AccountState::Blocked,
    AccountState::Stopped,
];

/// As they are counted: those who can mend a failure.
const RESULTS: [&str; 4] = ["fault", "ok", "operator", "retry"];

pub(super) fn show(
    page: &mut Page,
    accounts: &[AccountStatus],
    counters: &Counters,
    now: Timestamp,
) {
    let mut family = page.gauge(
        "exorelay_account_state",
        "1 for the state that the account is in, 0 for the others.",
    );
    for account in accounts {
        for state in STATES {
            let labels = [("account", &*account.name), ("state", &state.to_string())];
            family.sample(&labels, state == account.state);
        }
    }
    for (name, help, value) in GAUGES {
        let mut family = page.gauge(name, help);
        for account in accounts {
            if let Some(value) = value(account, now) {
                family.sample(&[("account", &account.name)], value);
            }
        }
    }
    let mut family = page.counter(
        "exorelay_unknown_replies_total",
        "Replies of the submission service that docs/replies.md does not know, since the account was opened.",
    );
    for account in accounts {
        family.sample(&[("account", &account.name)], account.unknown_replies);
    }
    let mut refreshes = BTreeMap::new();
    for account in accounts {
        let results = RESULTS.map(|result| ([account.name.clone(), result.to_owned()], 0));
        refreshes.extend(results);
    }
    refreshes.extend(counters.token_refreshes.counts());
    let mut family = page.counter(
        "exorelay_token_refreshes_total",
        "Requests for an access token, by result: ok; retry (it passes by itself), operator (somebody has to act), fault (an answer that makes no sense).",
    );
    for ([account, result], count) in refreshes {
        family.sample(&[("account", &account), ("result", &result)], count);
    }
    let mut family = page.counter(
        "exorelay_upstream_replies_total",
        "Replies of the submission service, by account and SMTP reply code.",
    );
    for ([account, code], count) in counters.upstream_replies.counts() {
        family.sample(&[("account", &account), ("code", &code)], count);
    }
}

/// None where it is not known, or there is none.
type Gauge = (
    &'static str,
    &'static str,
    fn(&AccountStatus, Timestamp) -> Option<Value>,
);

const GAUGES: [Gauge; 7] = [
    (
        "exorelay_upstream_connections",
        "Connections to the submission service at the moment.",
        |account, _| Some(account.connections.into()),
    ),
    (
        "exorelay_token_expires_seconds",
        "Until the access token expires; 0 without one.",
        |account, now| {
            let end = account.token.expires_at;
            Some(end.map_or(0, |end| seconds_until(end, now)).into())
        },
    ),
    (
        "exorelay_credential_expires_seconds",
        "Until the secret or certificate runs out, 0 if it has; only where the day is known.",
        |account, now| {
            let end = end_of(account.credential_expires?)?;
            Some(seconds_until(end, now).into())
        },
    ),
    (
        "exorelay_messages_last_minute",
        "Messages of the mailbox that count against its rate; accounts of one mailbox share it.",
        |account, _| Some(account.pace.messages_last_minute.into()),
    ),
    (
        "exorelay_messages_per_minute",
        "messages_per_minute, where it is not 0.",
        |account, _| is_set(account.pace.messages_per_minute.into()),
    ),
    (
        "exorelay_recipients_last_day",
        "Recipients of the mailbox in the last 24 hours; accounts of one mailbox share it.",
        |account, _| Some(account.pace.recipients_last_day.into()),
    ),
    (
        "exorelay_recipients_per_day",
        "recipients_per_day, where it is not 0.",
        |account, _| is_set(account.pace.recipients_per_day),
    ),
];

fn is_set(limit: u64) -> Option<Value> {
    (limit > 0).then(|| limit.into())
}

/// The last moment of the day, here: it is still good on that day.
fn end_of(day: Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?.to_zoned(TimeZone::system()).ok()?;
    Some(next.timestamp())
}
