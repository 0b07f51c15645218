//! Wall clocks that are wrong, step and stop, and the mail that must not notice.

use super::time::TestTime;
use super::*;

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// In 2026.
const RIGHT_MS: i64 = 1_780_272_000_000;
/// 2 January 1970, and 1 January 2099: what clocks without a battery say.
const START_OF_1970_MS: i64 = 86_400_000;
const START_OF_2099_MS: i64 = 4_070_908_800_000;

/// A queue that keeps failed mail for ten days and delivered mail's story for twenty.
struct Relay {
    folder: TempDir,
    time: TestTime,
    queue: Option<Queue>,
}

impl Relay {
    fn new(wall_ms: i64) -> Self {
        let mut relay = Self {
            folder: TempDir::new().unwrap(),
            time: TestTime::at(wall_ms),
            queue: None,
        };
        relay.start();
        relay
    }

    fn start(&mut self) {
        let mut settings = settings(self.folder.path());
        settings.retention.failed = 10 * DAY;
        settings.retention.delivered = 20 * DAY;
        let queue = self.time.open(settings);
        queue.set_active("default", true);
        self.queue = Some(queue);
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    async fn stop(&mut self) {
        close(self.queue.take().unwrap()).await;
    }

    /// Time passes while the daemon keeps house.
    async fn run(&self, time: Duration) {
        self.time.pass(time);
        self.queue().maintain().await.unwrap();
    }

    async fn submit(&self) -> QueueId {
        submit(self.queue(), b"x").await
    }

    /// What is leased now is decided so for each recipient.
    async fn decide(&self, disposition: Disposition) -> Outcome {
        let lease = lease_one(self.queue()).await;
        let each = lease.numbers.iter();
        let each = each.map(|n| outcome(*n, disposition, "a reply"));
        let settlement = settlement(each.collect(), Retry::Scheduled);
        lease.settle(self.queue(), settlement).await.unwrap()
    }

    async fn ended(&self, disposition: Disposition) -> QueueId {
        let id = self.submit().await;
        self.decide(disposition).await;
        id
    }

    fn state(&self, id: QueueId) -> Option<MessageState> {
        let shown = self.queue().reader().show(id).unwrap();
        shown.map(|detail| detail.message.state)
    }

    /// Until something can be leased.
    async fn due(&self) -> Option<Duration> {
        let leased = self.queue().lease("default", 10).await.unwrap();
        if leased.leases.is_empty() {
            leased.next_due
        } else {
            Some(Duration::ZERO)
        }
    }
}

/// Mail of each kind, at its place in time, that no wall clock may move.
struct Mail {
    failed: QueueId,
    delivered: QueueId,
    deferred: QueueId,
    ready: QueueId,
    wait: Duration,
}

impl Mail {
    async fn of(relay: &Relay) -> Self {
        let failed = relay.ended(Disposition::Failed).await;
        let delivered = relay.ended(Disposition::Delivered).await;
        let deferred = relay.submit().await;
        let wait = relay.decide(Disposition::Deferred).await.retry_in.unwrap();
        Self {
            failed,
            delivered,
            deferred,
            ready: relay.submit().await,
            wait,
        }
    }

    /// Nothing is removed, expired, hurried or stalled.
    async fn has_not_noticed(&self, relay: &Relay) {
        relay.queue().maintain().await.unwrap();
        for (id, state) in [
            (self.failed, MessageState::Failed),
            (self.delivered, MessageState::Delivered),
            (self.deferred, MessageState::Deferred),
            (self.ready, MessageState::Ready),
        ] {
            assert_eq!(relay.state(id), Some(state));
        }
        let leased = relay.queue().lease("default", 10).await.unwrap();
        let ids: Vec<_> = leased.leases.iter().map(|lease| lease.id).collect();
        assert_eq!(ids, [self.ready], "the other one's moment has not come");
        let next_due = leased.next_due.unwrap();
        assert!(next_due <= self.wait, "{next_due:?} of {:?}", self.wait);
        drop(leased);
        relay.time.pass(next_due);
        let leased = relay.queue().lease("default", 10).await.unwrap();
        assert_eq!(leased.leases.len(), 2, "and now it has");
        drop(leased);
        self.goes_when_it_should(relay).await;
    }

    /// Failed after ten days of running, delivered after twenty; what waits does not go at all.
    async fn goes_when_it_should(&self, relay: &Relay) {
        let kept = || [self.failed, self.delivered].map(|id| relay.state(id).is_some());
        // Up to a day may have passed while no daemon ran.
        relay.run(Duration::from_hours(9 * 24 - 1)).await;
        assert_eq!(kept(), [true, true]);
        relay.run(DAY + Duration::from_hours(2)).await;
        assert_eq!(kept(), [false, true]);
        relay.run(8 * DAY).await;
        assert_eq!(kept(), [false, true]);
        relay.run(2 * DAY).await;
        assert_eq!(kept(), [false, false]);
        assert_eq!(relay.queue().used().0, 2);
    }
}

#[tokio::test]
async fn steps_of_the_wall_clock_while_the_daemon_runs_are_not_noticed() {
    let ten_years = 10 * YEAR.as_millis() as i64;
    for step_ms in [ten_years, -ten_years, 3_600_000, -3_600_000] {
        let relay = Relay::new(RIGHT_MS);
        let mail = Mail::of(&relay).await;
        relay.time.step(step_ms);
        mail.has_not_noticed(&relay).await;
    }
}

/// The monotonic clock stands still meanwhile: a night is what the wall clock has left out.
#[tokio::test]
async fn a_suspended_machine_goes_on_where_it_was() {
    let relay = Relay::new(RIGHT_MS);
    let mail = Mail::of(&relay).await;
    let next_due = async || relay.queue().lease("default", 10).await.unwrap().next_due;
    relay.time.pass(Duration::from_secs(5));
    let before = next_due().await;
    relay.time.step(8 * 3_600_000);
    assert_eq!(next_due().await, before);
    assert_eq!(before.unwrap() + Duration::from_secs(5), mail.wait);
    mail.has_not_noticed(&relay).await;
}

#[tokio::test]
async fn a_start_with_a_wrong_clock_is_not_noticed() {
    for (first_ms, then_ms) in [
        (RIGHT_MS, START_OF_1970_MS),
        (START_OF_1970_MS, START_OF_1970_MS),
        (START_OF_2099_MS, RIGHT_MS),
        (START_OF_2099_MS, START_OF_1970_MS),
    ] {
        let mut relay = Relay::new(first_ms);
        let mail = Mail::of(&relay).await;
        relay.stop().await;
        relay.time.set(then_ms);
        relay.start();
        mail.has_not_noticed(&relay).await;
    }
}

/// Nobody can tell it from a long holiday: what is deferred is due, and that is all.
#[tokio::test]
async fn a_start_decades_ahead_counts_as_one_day() {
    for (first_ms, then_ms) in [
        (RIGHT_MS, START_OF_2099_MS),
        (START_OF_1970_MS, RIGHT_MS),
        (START_OF_1970_MS, START_OF_2099_MS),
    ] {
        let mut relay = Relay::new(first_ms);
        let mail = Mail::of(&relay).await;
        relay.stop().await;
        relay.time.set(then_ms);
        relay.start();
        relay.queue().maintain().await.unwrap();
        assert_eq!(relay.state(mail.failed), Some(MessageState::Failed));
        let leased = relay.queue().lease("default", 10).await.unwrap();
        let attempts: Vec<_> = leased.leases.iter().map(|lease| lease.attempts).collect();
        assert_eq!(attempts, [0, 1]);
        drop(leased);
        mail.goes_when_it_should(&relay).await;
    }
}

/// The box boots in 1970 and the network sets its clock later; a mere restart comes at the right time.
#[tokio::test]
async fn a_box_without_a_battery_does_not_age_its_mail_with_every_start() {
    for start_ms in [START_OF_1970_MS, RIGHT_MS] {
        let mut relay = Relay::new(START_OF_1970_MS);
        relay.time.set(RIGHT_MS);
        let mail = Mail::of(&relay).await;
        for _ in 0..40 {
            relay.stop().await;
            relay.time.set(start_ms);
            relay.start();
            relay.time.set(RIGHT_MS);
            relay.queue().maintain().await.unwrap();
        }
        mail.has_not_noticed(&relay).await;
    }
}

#[tokio::test]
async fn a_crash_and_a_clock_set_back_do_not_stall_what_was_queued() {
    let mut relay = Relay::new(RIGHT_MS);
    relay.time.pass(Duration::from_secs(20));
    relay.submit().await;
    relay.decide(Disposition::Deferred).await;
    // A copy of the folder is what a power cut leaves: nothing but the start has stored the clock.
    let copy = TempDir::new().unwrap();
    let (from, to) = (relay.folder.path(), copy.path());
    std::fs::create_dir_all(to.join("queue/content")).unwrap();
    for file in ["queue.db", "queue.db-wal"] {
        std::fs::copy(from.join("queue").join(file), to.join("queue").join(file)).unwrap();
    }
    relay.folder = copy;
    relay.time.set(START_OF_1970_MS);
    relay.start();
    let due = relay.due().await.unwrap();
    assert!(due > Duration::ZERO && due <= Duration::from_secs(20 + 36));
    relay.time.pass(due);
    assert_eq!(relay.due().await, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_restart_resets_neither_attempts_nor_back_off_nor_age() {
    let mut relay = Relay::new(RIGHT_MS);
    let id = relay.submit().await;
    let wait = relay.decide(Disposition::Deferred).await.retry_in.unwrap();
    relay.stop().await;
    relay.time.step(10_000);
    relay.start();
    let left = relay.due().await.unwrap();
    assert_eq!(
        left + Duration::from_secs(10),
        wait,
        "a stopped daemon waits too"
    );
    relay.time.pass(Duration::from_hours(47));
    let second = relay.decide(Disposition::Deferred).await;
    assert_eq!(second.state, MessageState::Deferred);
    assert!(
        second.retry_in.unwrap() >= Duration::from_secs(48),
        "the second wait"
    );

    // A weekend in which nobody could have tried does not make it older.
    relay.stop().await;
    relay.time.step(3 * DAY.as_millis() as i64);
    relay.start();
    let third = relay.decide(Disposition::Deferred).await;
    assert_eq!(
        (third.state, third.expired),
        (MessageState::Deferred, false)
    );

    relay.stop().await;
    relay.start();
    relay.time.pass(Duration::from_hours(1));
    let fourth = relay.decide(Disposition::Deferred).await;
    assert_eq!((fourth.state, fourth.expired), (MessageState::Failed, true));
    let detail = relay.queue().reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.attempts, 4);
}

#[tokio::test]
async fn what_was_deleted_is_remembered_from_then_on() {
    let relay = Relay::new(RIGHT_MS);
    let id = relay.ended(Disposition::Failed).await;
    relay.time.pass(9 * DAY);
    let actor = Actor {
        name: "alice (uid 1000)".into(),
        through: Through::Socket,
    };
    let selection = Selection::Ids(vec![id]);
    let mut change = relay
        .queue()
        .change(Action::Delete, &selection, actor)
        .unwrap();
    while change.step().await.unwrap() {}
    relay.run(19 * DAY).await;
    assert_eq!(relay.state(id), Some(MessageState::Deleted));
    relay.run(2 * DAY).await;
    assert_eq!(relay.state(id), None);
}

#[tokio::test]
async fn the_next_attempt_is_told_by_the_wall_clock_running_or_not() {
    let mut relay = Relay::new(START_OF_2099_MS);
    let id = relay.submit().await;
    let wait = relay.decide(Disposition::Deferred).await.retry_in.unwrap();
    relay.time.set(RIGHT_MS);
    let due_ms = RIGHT_MS + wait.as_millis() as i64;
    let told_ms = |reader: Reader| {
        let message = reader.show(id).unwrap().unwrap().message;
        message.next_attempt_at.unwrap().as_millisecond()
    };
    assert_eq!(told_ms(relay.queue().reader()), due_ms);
    relay.stop().await;
    assert_eq!(
        told_ms(Reader::new(&relay.folder.path().join("queue"))),
        due_ms
    );
}

#[tokio::test]
async fn much_history_goes_in_one_round_and_lets_mail_in_between() {
    let relay = Relay::new(RIGHT_MS);
    // More than one step takes, and less than steps of one.
    for _ in 0..150 {
        relay.ended(Disposition::Failed).await;
    }
    relay.time.pass(11 * DAY);
    let queue = relay.queue().clone();
    let (swept, accepted) = tokio::join!(queue.maintain(), submit(&queue, b"y"));
    swept.unwrap();
    assert_eq!(relay.state(accepted), Some(MessageState::Ready));
    let counts = relay.queue().reader().counts().unwrap();
    assert!(
        !counts.accounts["default"].contains_key("failed"),
        "{counts:?}"
    );
}
