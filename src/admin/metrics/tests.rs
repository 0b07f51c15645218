//! What is left out, and what is not.

use super::*;
use crate::admin::protocol::{AccountStatus, ListenerStatus, QueueStatus};
use crate::admin::tests::sample_status;

fn shown(queue: QueueStatus) -> String {
    let status = sample_status(queue);
    text(&status, counters(), Timestamp::UNIX_EPOCH)
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|one| one == line)
}

#[test]
fn a_database_that_cannot_be_read_hides_its_counts_alone() {
    let counted = ["messages", "oldest_seconds", "stray_messages"];
    let whole = shown(QueueStatus::default());
    assert!(has(&whole, "exorelay_queue_unreadable 0"));
    let damaged = shown(QueueStatus {
        error: Some("database disk image is malformed".into()),
        bytes: 7,
        ..QueueStatus::default()
    });
    for name in counted {
        let family = format!("# TYPE exorelay_queue_{name} gauge");
        assert!(has(&whole, &family), "{name}");
        assert!(!has(&damaged, &family), "{name}");
    }
    for line in [
        "exorelay_queue_unreadable 1",
        "exorelay_queue_bytes 7",
        "exorelay_sessions 3",
        "exorelay_incidents{kind=\"account\"} 1",
        "exorelay_account_state{account=\"default\",state=\"paused\"} 1",
        "exorelay_account_state{account=\"default\",state=\"ready\"} 0",
        "exorelay_token_expires_seconds{account=\"default\"} 0",
    ] {
        assert!(has(&damaged, line), "{line}\n{damaged}");
    }
}

#[test]
fn what_was_never_seen_is_shown_as_zero_unless_there_is_too_much_of_it() {
    let zeros = |accounts: usize, listeners: usize| {
        let mut status = sample_status(QueueStatus::default());
        let (account, listener) = (status.accounts.remove(0), status.listeners.remove(0));
        for n in 0..accounts {
            let name = format!("unseen-{n}");
            status.accounts.push(AccountStatus {
                name,
                ..account.clone()
            });
        }
        for n in 0..listeners {
            let name = format!("door-{n}");
            status.listeners.push(ListenerStatus {
                name,
                ..listener.clone()
            });
        }
        let text = text(&status, counters(), Timestamp::UNIX_EPOCH);
        let start = "exorelay_messages_failed_total{account=\"unseen-";
        let zero = |line: &&str| line.starts_with(start) && line.ends_with("\"} 0");
        text.lines().filter(zero).count()
    };
    assert_eq!(zeros(3, 2), 6);
    assert_eq!(zeros(40, 25), 1_000);
    assert_eq!(zeros(40, 26), 0);
}

#[test]
fn a_credential_is_good_to_the_end_of_its_day() {
    let mut status = sample_status(QueueStatus::default());
    let day = jiff::civil::date(2027, 5, 1);
    status.accounts[0].credential_expires = Some(day);
    let noon = day.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::system());
    let noon = noon.unwrap().timestamp();
    let left = |now| {
        let text = text(&status, counters(), now);
        let name = "exorelay_credential_expires_seconds{account=\"default\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(left(noon), 12 * 3_600);
    assert_eq!(left(noon + jiff::SignedDuration::from_hours(13)), 0);
}
