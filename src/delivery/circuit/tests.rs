use super::*;
use crate::delivery::rules::explain;
use crate::delivery::{Known, PausePolicy};

const QUOTA: &str = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException";

fn trouble(pause: PausePolicy, reason: &str) -> Trouble {
    Trouble {
        pause,
        known: explain(reason).map(Known::Reply),
        reason: reason.to_owned(),
        whole_tenant: false,
    }
}

fn network() -> Trouble {
    trouble(PausePolicy::NETWORK, "no route")
}

#[test]
fn failures_together_are_one_incident_and_one_step_of_back_off() {
    let now = Instant::now();
    let mut circuit = Circuit::Closed;
    assert!(circuit.fail(network(), now).is_some());
    let first = circuit.incident().unwrap().next_probe;
    for _ in 0..10 {
        assert!(circuit.fail(network(), now).is_none());
    }
    assert_eq!(circuit.incident().unwrap().next_probe, first);
    assert!(!circuit.begin_probe(now));
    assert!(circuit.begin_probe(first));
    assert!(!circuit.begin_probe(first), "one probe at a time");
    assert!(circuit.fail(network(), first).is_none());
    let second = circuit.incident().unwrap().next_probe;
    assert!(
        second - first >= Duration::from_millis(1_600),
        "the pause doubles"
    );
    assert!(circuit.begin_probe(second));
    assert_eq!(circuit.succeed().unwrap().since, now);
    assert!(circuit.is_closed());
    assert!(circuit.succeed().is_none());
}

#[test]
fn pauses_end_at_a_longest_one() {
    for pause in [
        PausePolicy::SIGN_IN,
        PausePolicy::SENDER_THROTTLED,
        PausePolicy::DAY_QUOTA,
    ] {
        let mut now = Instant::now();
        let mut circuit = Circuit::Closed;
        for _ in 0..40 {
            circuit.fail(trouble(pause, "no"), now);
            now = circuit.incident().unwrap().next_probe;
            assert!(circuit.begin_probe(now));
        }
        circuit.fail(trouble(pause, "no"), now);
        let wait = circuit.incident().unwrap().next_probe - now;
        assert!(wait <= pause.longest.mul_f64(1.2), "{pause:?}");
    }
}

#[test]
fn operators_who_act_are_answered_at_once_unless_a_try_may_do_harm() {
    let now = Instant::now();
    for (pause, at_once) in [
        (PausePolicy::NETWORK, true),
        (PausePolicy::TOKEN, true),
        (PausePolicy::SIGN_IN, true),
        (PausePolicy::PERMISSION, true),
        (PausePolicy::BLOCKED, true),
        (PausePolicy::CONNECTIONS, false),
        (PausePolicy::DAY_QUOTA, false),
        (PausePolicy::SENDER_THROTTLED, false),
    ] {
        let mut old = Circuit::Closed;
        old.fail(trouble(pause, QUOTA), now);
        let status = TroubleStatus::of(&old).unwrap();
        let mut new = Circuit::resumed(status.clone(), now);
        let shown = TroubleStatus::of(&new).unwrap();
        assert_eq!(
            (shown.since, shown.known, shown.state),
            (status.since, status.known, pause.state)
        );
        assert_eq!(new.begin_probe(now), at_once, "{pause:?}");
    }
}

#[test]
fn a_restart_neither_forgets_a_limit_nor_prolongs_it() {
    let now = Instant::now();
    let recalled = |pause: PausePolicy, left: Duration| {
        let recalled = Recalled {
            lasted: Duration::from_mins(30),
            failures: 2,
            next_probe_in: left,
            is_adopted: false,
        };
        Circuit::recalled(trouble(pause, QUOTA), recalled, now)
    };
    let left = Duration::from_mins(40);
    let mut throttled = recalled(PausePolicy::SENDER_THROTTLED, left);
    assert_eq!(throttled.state(), State::Throttled);
    let incident = throttled.incident().unwrap();
    assert_eq!(incident.next_probe, now + left);
    assert_eq!(now - incident.since, Duration::from_mins(30));
    assert!(!throttled.begin_probe(now));
    assert!(throttled.begin_probe(now + left));
    throttled.fail(trouble(PausePolicy::SENDER_THROTTLED, QUOTA), now + left);
    let wait = throttled.incident().unwrap().next_probe - (now + left);
    assert!(
        wait > Duration::from_hours(3),
        "the third in a row: {wait:?}"
    );

    // A clock that was wrong.
    let bounded = recalled(PausePolicy::DAY_QUOTA, Duration::from_hours(10_000));
    assert!(bounded.incident().unwrap().next_probe <= now + Duration::from_mins(72));
    // Whoever starts a daemon may have mended what only people mend.
    let mut blocked = recalled(PausePolicy::PERMISSION, left);
    assert_eq!(blocked.state(), State::Blocked);
    assert!(blocked.begin_probe(now));
}

#[test]
fn an_operator_who_acts_during_a_probe_gets_another_one() {
    let now = Instant::now();
    let mut circuit = Circuit::Closed;
    circuit.fail(trouble(PausePolicy::PERMISSION, "no"), now);
    let due = circuit.incident().unwrap().next_probe;
    assert!(circuit.begin_probe(due));
    circuit.operator_acted(due);
    circuit.fail(trouble(PausePolicy::PERMISSION, "no"), due);
    assert!(circuit.begin_probe(due), "what was tried was older");
    circuit.fail(trouble(PausePolicy::PERMISSION, "no"), due);
    assert!(!circuit.begin_probe(due), "and then the pauses go on");
}

#[test]
fn a_change_hurries_the_probe() {
    let now = Instant::now();
    let mut circuit = Circuit::Closed;
    circuit.fail(trouble(PausePolicy::SIGN_IN, "535"), now);
    circuit.hurry(now);
    assert!(circuit.begin_probe(now));
}

#[test]
fn another_rule_is_news_within_the_same_incident() {
    let now = Instant::now();
    let mut circuit = Circuit::Closed;
    circuit.fail(trouble(PausePolicy::DAY_QUOTA, QUOTA), now);
    assert_eq!(circuit.state(), State::Throttled);
    let later = circuit.incident().unwrap().next_probe;
    assert!(circuit.begin_probe(later));
    let full = trouble(
        PausePolicy::MAILBOX_FULL,
        "554 5.2.2 mailbox full; STOREDRV.Submission",
    );
    let news = circuit.fail(full.clone(), later).unwrap();
    assert_eq!(news.since, now, "mail has waited since then");
    assert_eq!(circuit.state(), State::Blocked);
    assert!(circuit.fail(full, later).is_none());
}

#[test]
fn a_probe_that_proves_nothing_leaves_the_account_paused() {
    let now = Instant::now();
    let mut circuit = Circuit::Closed;
    circuit.fail(trouble(PausePolicy::SENDER_THROTTLED, "no"), now);
    let due = circuit.incident().unwrap().next_probe;
    assert!(circuit.begin_probe(due));
    circuit.inconclusive(due);
    assert!(!circuit.begin_probe(due));
    assert!(
        circuit.begin_probe(due + INCONCLUSIVE_PAUSE),
        "the next message is tried soon"
    );
    assert!(circuit.succeed().is_some());
}

#[test]
fn the_probe_of_a_missing_token_is_a_refresh() {
    let now = Instant::now();
    let mut circuit = Circuit::Closed;
    assert_eq!(circuit.state(), State::Ready);
    circuit.fail(trouble(PausePolicy::TOKEN_REFUSED, "AADSTS7000222"), now);
    assert_eq!(circuit.state(), State::Blocked);
    circuit.hurry(now);
    assert!(circuit.begin_probe(now));
    assert_eq!(circuit.state(), State::Refreshing);
}
