//! Sections of clients: how long they have been quiet, whatever clocks, restarts and other clients do.

use super::time::TestTime;
use super::*;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn section(name: &str, silent_after: Option<Duration>) -> Section {
    Section {
        name: name.into(),
        network: "10.20.1.15".into(),
        silent_after,
    }
}

fn time() -> TestTime {
    TestTime::at(1_790_000_000_000)
}

/// As a daemon does.
fn start(time: &TestTime, folder: &TempDir, sections: &[Section]) -> Queue {
    let queue = time.open(settings(folder.path()));
    queue.set_sections(sections);
    queue.set_open(true);
    queue
}

async fn accept_from(queue: &Queue, section: &str) {
    let mut submission = submission(&["desk@contoso.com"]);
    submission.origin.client = "10.20.1.15".into();
    submission.origin.section = Some(section.into());
    let mut draft = queue.draft(None).unwrap();
    draft.append(b"x\r\n").await.unwrap();
    let committed = draft.commit(submission).await;
    assert!(committed.is_ok());
}

fn only(queue: &Queue) -> Heard {
    let mut heard = queue.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.remove(0)
}

/// In the table.
fn stored(folder: &TempDir) -> Vec<Heard> {
    let reader = Reader::new(&folder.path().join("queue"));
    reader.heard().unwrap()
}

#[tokio::test]
async fn quiet_is_counted_from_the_last_message_and_only_while_mail_is_taken() {
    let (folder, time) = (TempDir::new().unwrap(), time());
    let queue = start(&time, &folder, &[section("lobby", Some(3 * DAY))]);
    assert_eq!(only(&queue).quiet, Some(Duration::ZERO));
    time.pass(2 * DAY);
    accept_from(&queue, "lobby").await;
    let heard = only(&queue);
    assert_eq!(
        (heard.quiet, heard.left()),
        (Some(Duration::ZERO), Some(3 * DAY))
    );
    assert_eq!(heard.last_client.as_deref(), Some("10.20.1.15"));
    let at = heard.last_message_at.unwrap().as_millisecond();
    assert_eq!(at, 1_790_000_000_000 + 2 * 86_400_000);
    // Draining, or before its ports are open.
    queue.set_open(false);
    time.pass(10 * DAY);
    assert_eq!(only(&queue).quiet, Some(Duration::ZERO));
    queue.set_open(true);
    time.pass(3 * DAY - HOUR);
    assert_eq!(only(&queue).left(), Some(HOUR));
    assert!(!only(&queue).is_silent());
    time.pass(HOUR);
    assert!(only(&queue).is_silent());

    let waker = queue.heard_waker();
    accept_from(&queue, "lobby").await;
    waker.notified().await;
    assert!(!only(&queue).is_silent());
    close(queue).await;
}

#[tokio::test]
async fn a_restart_goes_on_from_where_it_was_whatever_the_wall_clock_says() {
    let sections = [section("lobby", Some(3 * DAY))];
    for step_ms in [0, 30 * 86_400_000, -400 * 86_400_000, 3_650 * 86_400_000] {
        let (folder, time) = (TempDir::new().unwrap(), time());
        let queue = start(&time, &folder, &sections);
        accept_from(&queue, "lobby").await;
        time.pass(2 * DAY);
        time.step(step_ms);
        close(queue).await;
        time.step(step_ms);
        let queue = start(&time, &folder, &sections);
        assert_eq!(only(&queue).quiet, Some(2 * DAY), "nobody listened");
        // Restarted every night, it is missed all the same.
        time.pass(DAY / 2);
        close(queue).await;
        let queue = start(&time, &folder, &sections);
        time.pass(DAY / 2);
        assert!(only(&queue).is_silent(), "{step_ms}");
        close(queue).await;
    }
}

#[tokio::test]
async fn what_was_before_the_setting_does_not_count() {
    let (folder, time) = (TempDir::new().unwrap(), time());
    let queue = start(&time, &folder, &[section("lobby", None)]);
    accept_from(&queue, "lobby").await;
    time.pass(10 * DAY);
    assert_eq!((only(&queue).quiet, only(&queue).left()), (None, None));
    queue.set_sections(&[section("lobby", Some(DAY))]);
    let heard = only(&queue);
    assert_eq!(heard.quiet, Some(Duration::ZERO));
    assert!(heard.last_message_at.is_some());
    time.pass(HOUR);
    // Neither another time nor another setting begins anew.
    queue.set_sections(&[section("lobby", Some(2 * HOUR))]);
    assert_eq!(only(&queue).left(), Some(HOUR));
    close(queue).await;
    let queue = start(&time, &folder, &[section("lobby", Some(2 * HOUR))]);
    assert_eq!(only(&queue).left(), Some(HOUR));
    queue.set_sections(&[section("lobby", None)]);
    queue.set_sections(&[section("lobby", Some(2 * HOUR))]);
    assert_eq!(only(&queue).left(), Some(2 * HOUR));

    let elsewhere = Section {
        network: "10.20.1.16".into(),
        ..section("lobby", Some(DAY))
    };
    queue.set_sections(&[elsewhere]);
    assert_eq!(only(&queue).last_message_at, None, "another device");
    close(queue).await;
}

#[tokio::test]
async fn a_section_that_is_gone_is_forgotten_and_no_other() {
    let (folder, time) = (TempDir::new().unwrap(), time());
    let both = [section("floor", None), section("lobby", Some(DAY))];
    let queue = start(&time, &folder, &both);
    accept_from(&queue, "floor").await;
    accept_from(&queue, "lobby").await;
    assert_eq!(stored(&folder).len(), 2, "with their messages");
    queue.set_sections(&both[1..]);
    // Its session goes on.
    accept_from(&queue, "floor").await;
    queue.maintain().await.unwrap();
    let names: Vec<_> = stored(&folder)
        .into_iter()
        .map(|one| one.section.name)
        .collect();
    assert_eq!(names, ["lobby"]);
    // Put back, it begins anew; nor does anything of it hang over from before.
    queue.set_sections(&both);
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder).len(), 2);
    assert_eq!(queue.heard()[0].last_message_at, None);
    close(queue).await;
    // Who opens the queue without settings forgets nothing.
    close(time.open(settings(folder.path()))).await;
    assert_eq!(stored(&folder).len(), 2);
}

#[tokio::test]
async fn neither_a_flood_of_others_nor_time_forgets_it() {
    let (folder, time) = (TempDir::new().unwrap(), time());
    let queue = start(&time, &folder, &[section("lobby", Some(30 * DAY))]);
    accept_from(&queue, "lobby").await;
    for number in 0..2_000 {
        let client = format!("10.1.{}.{}", number / 256, number % 256);
        queue.saw_client(&Sighting {
            client: &client,
            listener: "local",
            message: Some(SeenMessage::default()),
            ..Sighting::default()
        });
    }
    // Beyond keep_delivered.
    time.pass(20 * DAY);
    queue.maintain().await.unwrap();
    assert_eq!(only(&queue).quiet, Some(20 * DAY));
    close(queue).await;
    assert!(stored(&folder)[0].last_message_at.is_some());
}

#[tokio::test]
async fn a_crash_forgets_no_message_and_a_busy_section_is_not_written_with_each() {
    let (folder, time) = (TempDir::new().unwrap(), time());
    let sections = [section("lobby", Some(DAY))];
    let queue = start(&time, &folder, &sections);
    queue.maintain().await.unwrap();
    time.pass(DAY - Duration::from_secs(1));
    accept_from(&queue, "lobby").await;
    let known = || stored(&folder)[0].last_message_at.unwrap().as_millisecond();
    let first = known();
    assert_eq!(first, 1_790_000_000_000 + 86_399_000);
    time.pass(Duration::from_millis(999));
    accept_from(&queue, "lobby").await;
    assert_eq!(known(), first);
    time.pass(Duration::from_millis(1));
    accept_from(&queue, "lobby").await;
    assert_eq!(known(), first + 1_000);

    // What is on the disk now, and nothing that a clean end would add.
    let after = TempDir::new().unwrap();
    std::fs::create_dir(after.path().join("queue")).unwrap();
    for file in ["queue.db", "queue.db-wal"] {
        let path = |folder: &TempDir| folder.path().join("queue").join(file);
        std::fs::copy(path(&folder), path(&after)).unwrap();
    }
    close(queue).await;
    let queue = start(&time, &after, &sections);
    assert_eq!(only(&queue).quiet, Some(Duration::ZERO));
    time.pass(DAY - HOUR);
    assert!(!only(&queue).is_silent());
    time.pass(HOUR);
    assert!(only(&queue).is_silent());
    close(queue).await;
}

#[tokio::test]
async fn rows_that_make_no_sense_keep_nobody_from_starting() {
    let folder = TempDir::new().unwrap();
    let sections = [section("a", Some(DAY)), section("b", Some(DAY))];
    close(start(&time(), &folder, &sections)).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection
        .execute_batch(
            "UPDATE heard SET watched_open_ms = 'x', heard_open_ms = x'00' WHERE section = 'a';
             UPDATE heard SET watched_open_ms = 9000000000000000000 WHERE section = 'b';",
        )
        .unwrap();
    drop(connection);
    let time = time();
    let queue = start(&time, &folder, &sections);
    time.pass(DAY);
    assert!(queue.heard().iter().all(Heard::is_silent));
    close(queue).await;
}
