//! One incident for what is wrong, however often it shows and the daemon is started.

use super::time::TestTime;
use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// A queue whose clocks the test turns.
struct Relay {
    folder: TempDir,
    time: TestTime,
    queue: Option<Queue>,
}

impl Relay {
    fn new() -> Self {
        let time = TestTime::at(1_780_272_000_000);
        let folder = TempDir::new().unwrap();
        let queue = Some(time.open(settings(folder.path())));
        Self {
            folder,
            time,
            queue,
        }
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    fn incidents(&self) -> Incidents {
        self.queue().incidents()
    }

    fn found(&self, state: &str, urgency: Urgency) -> (QueueId, News) {
        self.incidents().found(finding(state, urgency), true)
    }

    fn recovered(&self) -> Option<Incident> {
        self.incidents().recovered(IncidentKind::Account, "default")
    }

    /// What is due through the command, which is then told.
    fn tells(&self) -> Vec<(QueueId, Alarm, String)> {
        let mut told = Vec::new();
        loop {
            let owed = self.incidents().owed(Hook::Command);
            let Some(one) = owed.into_iter().find(|one| one.due_in.is_zero()) else {
                return told;
            };
            let now = match one.alarm {
                Alarm::Opened => Told::Opened,
                Alarm::Recovered => Told::Recovered,
            };
            self.incidents().told(one.incident.id, Hook::Command, now);
            told.push((one.incident.id, one.alarm, one.incident.finding.state));
        }
    }

    async fn restart(&mut self) {
        close(self.queue.take().unwrap()).await;
        self.queue = Some(self.time.open(settings(self.folder.path())));
    }
}

fn finding(state: &str, urgency: Urgency) -> Finding {
    Finding {
        kind: IncidentKind::Account,
        account: "default".into(),
        state: state.into(),
        cause: "service".into(),
        rule: Some("a_rule".into()),
        why: Some("It is wrong.".into()),
        remedy: None,
        reason: "550 no".into(),
        urgency,
        probe: Some(ProbePlan {
            mailbox: "relay@contoso.com".into(),
            failures: 3,
            next_in: Duration::from_hours(1),
        }),
    }
}

#[test]
fn failures_of_one_kind_are_one_incident_and_one_alarm() {
    let relay = Relay::new();
    let (id, news) = relay.found("blocked", Urgency::Urgent);
    assert_eq!(news, News::Opened);
    for _ in 0..19 {
        relay.time.pass(MINUTE);
        assert_eq!(relay.found("blocked", Urgency::Urgent), (id, News::Known));
    }
    let open = relay.incidents().open();
    assert_eq!((open.len(), open[0].count), (1, 20));
    assert_eq!(relay.tells(), [(id, Alarm::Opened, "blocked".into())]);
    let over = relay.recovered().unwrap();
    assert_eq!(over.id, id);
    assert!(relay.recovered().is_none());
    assert_eq!(relay.tells(), [(id, Alarm::Recovered, "blocked".into())]);
    assert_eq!(relay.tells(), []);
}

#[test]
fn what_passes_by_itself_is_told_when_it_has_lasted() {
    let relay = Relay::new();
    relay.found("paused", Urgency::Lasting);
    relay.time.pass(4 * MINUTE);
    assert_eq!(relay.tells(), []);
    relay.recovered();
    relay.time.pass(60 * MINUTE);
    assert_eq!(relay.tells(), [], "a moment's trouble is nobody's");

    let (id, news) = relay.found("paused", Urgency::Lasting);
    assert_eq!(news, News::Opened);
    relay.time.pass(5 * MINUTE);
    assert_eq!(relay.tells(), [(id, Alarm::Opened, "paused".into())]);
}

#[test]
fn another_state_is_another_alarm_only_when_somebody_has_to_act() {
    let relay = Relay::new();
    let (id, _) = relay.found("throttled", Urgency::Lasting);
    relay.time.pass(5 * MINUTE);
    assert_eq!(relay.tells().len(), 1);
    let paused = relay.found("paused", Urgency::Lasting);
    assert_eq!(paused, (id, News::Changed));
    relay.time.pass(60 * MINUTE);
    assert_eq!(relay.tells(), []);
    for _ in 0..3 {
        let blocked = relay.found("blocked", Urgency::Urgent);
        assert_eq!(blocked, (id, News::Changed));
        assert_eq!(relay.found("paused", Urgency::Lasting).1, News::Changed);
        relay.time.pass(MINUTE);
    }
    relay.found("blocked", Urgency::Urgent);
    assert_eq!(
        relay.tells(),
        [(id, Alarm::Opened, "blocked".into())],
        "once, however often it turns"
    );
}

#[test]
fn alarms_of_a_moment_come_in_order() {
    let relay = Relay::new();
    let (id, _) = relay.found("blocked", Urgency::Urgent);
    relay.recovered();
    let alarms = relay.tells().into_iter().map(|(id, alarm, _)| (id, alarm));
    assert_eq!(
        alarms.collect::<Vec<_>>(),
        [(id, Alarm::Opened), (id, Alarm::Recovered)]
    );
}

#[test]
fn what_comes_and_goes_is_one_incident_told_every_five_minutes_at_most() {
    let relay = Relay::new();
    let (id, _) = relay.found("blocked", Urgency::Urgent);
    assert_eq!(relay.tells().len(), 1);
    relay.recovered();
    assert_eq!(relay.tells().len(), 1);
    for _ in 0..4 {
        relay.time.pass(MINUTE);
        assert_eq!(
            relay.found("blocked", Urgency::Urgent),
            (id, News::Reopened)
        );
        assert_eq!(relay.tells(), []);
        relay.recovered();
        assert_eq!(relay.tells(), []);
    }
    assert_eq!(
        relay.found("blocked", Urgency::Urgent),
        (id, News::Reopened)
    );
    assert_eq!(relay.tells(), []);
    relay.time.pass(5 * MINUTE);
    assert_eq!(
        relay.tells(),
        [(id, Alarm::Opened, "blocked".into())],
        "it has stayed"
    );
    relay.recovered();
    assert_eq!(relay.tells().len(), 1);
    relay.time.pass(5 * MINUTE);
    let (other, news) = relay.found("blocked", Urgency::Urgent);
    assert_eq!(news, News::Opened);
    assert!(other > id);
    assert_eq!(relay.tells().len(), 1);
}

#[tokio::test]
async fn incidents_and_who_was_told_outlive_a_restart() {
    let mut relay = Relay::new();
    let (id, _) = relay.found("throttled", Urgency::Lasting);
    relay.time.pass(20 * MINUTE);
    relay.restart().await;
    let known = relay.incidents().of_account("default").unwrap();
    assert_eq!((known.id, known.count), (id, 1));
    let probe = known.finding.probe.unwrap();
    assert_eq!((probe.failures, probe.next_in), (3, 40 * MINUTE));
    assert_eq!(probe.mailbox, "relay@contoso.com");
    assert_eq!(relay.tells(), [(id, Alarm::Opened, "throttled".into())]);

    relay.restart().await;
    assert_eq!(relay.tells(), [], "it is told once");
    assert_eq!(
        relay.found("throttled", Urgency::Lasting),
        (id, News::Known)
    );
    relay.recovered();
    relay.restart().await;
    assert_eq!(relay.tells(), [(id, Alarm::Recovered, "throttled".into())]);
    relay.restart().await;
    assert_eq!(relay.tells(), []);
    assert!(relay.incidents().open().is_empty());
    assert!(relay.found("blocked", Urgency::Urgent).1 == News::Reopened);
}

#[tokio::test]
async fn what_is_told_is_on_the_disk_first() {
    let relay = Relay::new();
    let (id, _) = relay.found("blocked", Urgency::Urgent);
    relay.incidents().stored().await.unwrap();
    let path = relay.folder.path().join("queue/queue.db");
    let disk = rusqlite::Connection::open(path).unwrap();
    let stored: (String, i64) = disk
        .query_row("SELECT id, count FROM incident", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(stored, (id.to_string(), 1));
}

#[tokio::test]
async fn a_hook_that_is_not_there_is_owed_only_what_is_open() {
    let relay = Relay::new();
    relay.found("blocked", Urgency::Urgent);
    relay.recovered();
    relay.incidents().nobody_listens(Hook::Command);
    assert_eq!(relay.tells(), []);
    assert_eq!(relay.incidents().owed(Hook::Webhook).len(), 1);
    relay.time.pass(10 * MINUTE);
    let (id, _) = relay.found("blocked", Urgency::Urgent);
    relay.incidents().nobody_listens(Hook::Command);
    assert_eq!(relay.tells(), [(id, Alarm::Opened, "blocked".into())]);
}

#[tokio::test]
async fn old_incidents_are_forgotten() {
    let mut relay = Relay::new();
    for _ in 0..3 {
        relay.found("blocked", Urgency::Urgent);
        relay.recovered();
        relay.time.pass(Duration::from_hours(15 * 24));
    }
    let (open, _) = relay.found("blocked", Urgency::Urgent);
    relay.restart().await;
    assert_eq!(relay.incidents().open()[0].id, open);
    let path = relay.folder.path().join("queue/queue.db");
    let disk = rusqlite::Connection::open(path).unwrap();
    let stored: i64 = disk
        .query_row("SELECT count(*) FROM incident", [], |row| row.get(0))
        .unwrap();
    // 45 days and more are too old, 30 and 15 are not.
    assert_eq!(stored, 3);
}

#[tokio::test]
async fn a_bound_that_comes_near_is_an_incident_until_it_is_far_again() {
    let mut relay = Relay::new();
    let mut small = settings(relay.folder.path());
    small.limits.messages_max = 10;
    relay.queue().retune(&small);
    let mut held: Vec<_> = (0..8).map(|_| relay.queue().draft(None).unwrap()).collect();
    let open = relay.incidents().open();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].finding.kind, IncidentKind::QueueMessages);
    assert_eq!(relay.tells().len(), 1);
    held.truncate(7);
    assert_eq!(relay.incidents().open().len(), 1, "between the marks");
    held.clear();
    assert_eq!(relay.tells()[0].1, Alarm::Recovered);

    // A daemon that dies with a full queue and comes back to an empty one.
    relay.time.pass(10 * MINUTE);
    let held: Vec<_> = (0..9).map(|_| relay.queue().draft(None).unwrap()).collect();
    assert_eq!(relay.incidents().open().len(), 1);
    drop(relay.queue.take().unwrap());
    drop(held);
    while Queue::is_in_use(&relay.folder.path().join("queue")) {
        tokio::task::yield_now().await;
    }
    relay.queue = Some(relay.time.open(small));
    assert!(relay.incidents().open().is_empty());
}

#[test]
fn accounts_that_are_gone_are_in_no_trouble() {
    let relay = Relay::new();
    relay.found("blocked", Urgency::Urgent);
    relay.incidents().keep_accounts(|name| name == "default");
    assert_eq!(relay.incidents().open().len(), 1);
    relay.incidents().keep_accounts(|name| name == "other");
    assert_eq!(relay.incidents().open(), []);
}
