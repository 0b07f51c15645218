use std::sync::Mutex;

use tempfile::TempDir;
use tokio::time::sleep_until;

use super::*;
use crate::queue::{Finding, IncidentKind, Incidents, Urgency};

/// Takes what it is given, unless it is told not to.
#[derive(Default)]
struct Pager {
    refuses: Mutex<Vec<String>>,
    heard: Mutex<Vec<String>>,
    tries: Mutex<u32>,
}

impl Carrier for Pager {
    type Error = &'static str;

    async fn carry(&self, notice: Vec<u8>) -> Result<(), Self::Error> {
        let notice: serde_json::Value = serde_json::from_slice(&notice).unwrap();
        let account = notice["account"].as_str().unwrap();
        *self.tries.lock().unwrap() += 1;
        if self
            .refuses
            .lock()
            .unwrap()
            .iter()
            .any(|one| one == account)
        {
            return Err("not now");
        }
        let event = notice["event"].as_str().unwrap();
        self.heard
            .lock()
            .unwrap()
            .push(format!("{account} {event}"));
        Ok(())
    }
}

impl Pager {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    fn refuse(&self, accounts: &[&str]) {
        *self.refuses.lock().unwrap() = accounts.iter().map(ToString::to_string).collect();
    }
}

pub(in crate::alert) fn queue(folder: &TempDir) -> Queue {
    Queue::open(crate::queue::tests::settings(folder.path())).unwrap()
}

pub(in crate::alert) fn found(incidents: &Incidents, account: &str, urgency: Urgency) {
    let finding = Finding {
        kind: IncidentKind::Account,
        account: account.into(),
        state: "blocked".into(),
        cause: "token".into(),
        rule: None,
        why: None,
        remedy: None,
        reason: "AADSTS7000222".into(),
        urgency,
        probe: None,
    };
    incidents.found(finding, true);
}

/// All that is due; returns when more will be.
async fn pass_on(lane: &mut Lane, pager: &Pager) -> Option<Instant> {
    loop {
        let next = lane.step(pager, "relay.test").await?;
        if next > Instant::now() {
            return Some(next);
        }
    }
}

/// The runtime's clock jumps from one try to the next.
async fn follow(lane: &mut Lane, pager: &Pager, tries: usize) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..tries {
        let begun = Instant::now();
        let Some(at) = pass_on(lane, pager).await else {
            break;
        };
        waits.push(at - begun);
        tokio::time::pause();
        sleep_until(at).await;
        tokio::time::resume();
    }
    waits
}

#[tokio::test]
async fn each_alarm_is_passed_on_once_and_in_order() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let (incidents, pager) = (queue.incidents(), Pager::default());
    let mut lane = Lane::new(Hook::Webhook, queue.clone());
    found(&incidents, "one", Urgency::Urgent);
    found(&incidents, "one", Urgency::Urgent);
    incidents.recovered(IncidentKind::Account, "one");
    found(&incidents, "two", Urgency::Urgent);
    assert_eq!(pass_on(&mut lane, &pager).await, None);
    let mut heard = pager.heard();
    heard.sort();
    assert_eq!(heard, ["one opened", "one recovered", "two opened"]);
    assert_eq!(pass_on(&mut lane, &pager).await, None);
    assert!(pager.heard().is_empty());
}

#[tokio::test]
async fn what_may_pass_by_itself_waits() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let pager = Pager::default();
    let mut lane = Lane::new(Hook::Command, queue.clone());
    found(&queue.incidents(), "one", Urgency::Lasting);
    let waits = follow(&mut lane, &pager, 2).await;
    assert_eq!(waits.len(), 1, "and nothing is left to do");
    assert!(waits[0] > Duration::from_mins(4) && waits[0] < Duration::from_mins(6));
    assert_eq!(pager.heard(), ["one opened"]);
}

#[tokio::test]
async fn an_alarm_that_is_refused_holds_up_no_other() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let (incidents, pager) = (queue.incidents(), Pager::default());
    pager.refuse(&["one"]);
    let mut lane = Lane::new(Hook::Command, queue.clone());
    found(&incidents, "one", Urgency::Urgent);
    found(&incidents, "two", Urgency::Urgent);
    assert!(pass_on(&mut lane, &pager).await.is_some());
    assert_eq!(pager.heard(), ["two opened"]);
    incidents.recovered(IncidentKind::Account, "one");
    pager.refuse(&[]);
    follow(&mut lane, &pager, 5).await;
    assert_eq!(pager.heard(), ["one opened", "one recovered"]);
}

#[tokio::test]
async fn tries_grow_rarer_and_end_after_a_day() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let (incidents, pager) = (queue.incidents(), Pager::default());
    pager.refuse(&["one"]);
    let mut lane = Lane::new(Hook::Command, queue.clone());
    found(&incidents, "one", Urgency::Urgent);
    let waits = follow(&mut lane, &pager, 1_000).await;
    assert!(waits[0] <= WAIT_FIRST && waits[0] > WAIT_FIRST / 2);
    assert!(waits.iter().all(|wait| *wait <= WAIT_MAX));
    let all: Duration = waits.iter().sum();
    assert!(all <= AGE_MAX && all > AGE_MAX / 2, "{all:?}");
    let tries = *pager.tries.lock().unwrap();
    assert!((25..=50).contains(&tries), "{tries}");
    // Whoever did not hear that it began does not hear that it ended.
    pager.refuse(&[]);
    incidents.recovered(IncidentKind::Account, "one");
    assert_eq!(pass_on(&mut lane, &pager).await, None);
    assert!(pager.heard().is_empty());
}
