//! What clients needed: counted, stored now and then, and forgotten.

use super::time::TestTime;
use super::*;

fn seen<'a>(client: &'a str, quirks: &[Quirk]) -> Sighting<'a> {
    let mut all = Quirks::default();
    for quirk in quirks {
        all.note(*quirk, true);
    }
    Sighting {
        client,
        listener: "local",
        helo: Some("mfp"),
        is_new_session: true,
        message: Some(SeenMessage {
            sender: "scan@b.c",
            size_bytes: 100,
        }),
        quirks: all,
        ..Sighting::default()
    }
}

/// Clients in the table, in the order of their names, and how many messages it knows of each.
fn stored(folder: &TempDir) -> Vec<(String, u64)> {
    let records = Reader::new(&folder.path().join("queue")).clients().unwrap();
    let mut all: Vec<_> = records
        .into_iter()
        .map(|one| (one.client, one.messages))
        .collect();
    all.sort();
    all
}

fn pair(client: &str, messages: u64) -> (String, u64) {
    (client.to_owned(), messages)
}

#[tokio::test]
async fn a_client_is_remembered_with_all_that_it_needed() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_790_000_000_000);
    let queue = time.open(settings(folder.path()));
    queue.saw_client(&seen("10.0.0.1", &[Quirk::HeloOnly, Quirk::NoDate]));
    time.pass(Duration::from_mins(10));
    let again = Sighting {
        tls: Some("TLS 1.3"),
        auth_name: Some("mfp"),
        is_new_session: false,
        ..seen("10.0.0.1", &[Quirk::NoDate])
    };
    queue.saw_client(&again);
    let refusals = [
        ("552 5.3.4 Too large".to_owned(), 1),
        ("550 5.7.1 No account takes mail from <x@y>".to_owned(), 2),
        ("550 5.7.1 No account takes mail from <z@y>".to_owned(), 3),
    ];
    queue.saw_client(&Sighting {
        client: "10.0.0.1",
        listener: "scanners",
        refusals: &refusals,
        refused_bytes: 5_000,
        ..Sighting::default()
    });
    queue.saw_client(&seen("uid:1000", &[]));
    close(queue).await;

    let queue = time.open(settings(folder.path()));
    let records = queue.clients();
    let read = Reader::new(&folder.path().join("queue")).clients().unwrap();
    assert_eq!(records, read);
    assert_eq!(records.len(), 2);
    let one = records.iter().find(|one| one.client == "10.0.0.1").unwrap();
    assert_eq!(one.first_seen.as_millisecond(), 1_790_000_000_000);
    assert_eq!(one.last_seen.as_millisecond(), 1_790_000_600_000);
    assert_eq!(one.last_message_at, Some(one.last_seen));
    assert_eq!((one.messages, one.sessions), (2, 1));
    assert_eq!(
        (one.listener.as_str(), one.helo.as_str()),
        ("scanners", "mfp")
    );
    // A connection that was refused at once says nothing of TLS.
    assert_eq!(one.tls.as_deref(), Some("TLS 1.3"));
    assert_eq!(one.auth_name.as_deref(), Some("mfp"));
    assert_eq!(one.sender.as_deref(), Some("scan@b.c"));
    assert_eq!((one.largest_bytes, one.largest_refused_bytes), (100, 5_000));
    assert_eq!(
        one.quirks,
        [(Quirk::HeloOnly, 1), (Quirk::NoDate, 2)].into()
    );
    let refusals: Vec<_> = one
        .refusals
        .iter()
        .map(|one| (one.reply.as_str(), one.count))
        .collect();
    let latest = "550 5.7.1 No account takes mail from <z@y>";
    assert_eq!(refusals, [(latest, 5), ("552 5.3.4 Too large", 1)]);
    close(queue).await;
}

#[tokio::test]
async fn a_busy_client_is_written_once_a_minute_and_not_with_its_mail() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_790_000_000_000);
    let queue = time.open(settings(folder.path()));
    queue.saw_client(&seen("a", &[]));
    accept(&queue).await;
    assert_eq!(stored(&folder), []);
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder), [pair("a", 1)]);
    queue.saw_client(&seen("a", &[]));
    queue.saw_client(&seen("b", &[]));
    time.pass(Duration::from_secs(30));
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder), [pair("a", 1), pair("b", 1)]);
    time.pass(Duration::from_secs(30));
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder), [pair("a", 2), pair("b", 1)]);
    queue.saw_client(&seen("b", &[]));
    close(queue).await;
    assert_eq!(stored(&folder), [pair("a", 2), pair("b", 2)]);
}

async fn accept(queue: &Queue) {
    let mut draft = queue.draft(None).unwrap();
    draft.append(b"x\r\n").await.unwrap();
    let committed = draft.commit(submission(&["desk@contoso.com"])).await;
    assert!(committed.is_ok());
}

#[tokio::test]
async fn who_was_not_seen_for_long_is_forgotten() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_790_000_000_000);
    let queue = time.open(settings(folder.path()));
    queue.saw_client(&seen("a", &[]));
    queue.maintain().await.unwrap();
    time.pass(Duration::from_hours(12));
    queue.saw_client(&seen("b", &[]));
    time.pass(Duration::from_hours(12));
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder), [pair("a", 1), pair("b", 1)]);
    // A wall clock that leaps forgets nobody.
    time.step(1_000 * 86_400_000);
    time.pass(Duration::from_millis(1));
    queue.maintain().await.unwrap();
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder), [pair("b", 1)]);
    assert_eq!(queue.clients().len(), 1);
    close(queue).await;
}

#[tokio::test]
async fn a_thousand_are_remembered_and_passers_by_go_first() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_790_000_000_000);
    let queue = time.open(settings(folder.path()));
    let scan = |number: u32| {
        let client = format!("10.1.{}.{}", number / 256, number % 256);
        queue.saw_client(&Sighting {
            client: &client,
            listener: "local",
            ..Sighting::default()
        });
    };
    queue.saw_client(&seen("printer", &[]));
    time.pass(Duration::from_secs(1));
    for number in 0..999 {
        scan(number);
    }
    queue.maintain().await.unwrap();
    assert_eq!(stored(&folder).len(), 1_000, "in several steps");
    time.pass(Duration::from_secs(1));
    queue.saw_client(&seen("copier", &[]));
    for number in 999..3_000 {
        time.pass(Duration::from_millis(1));
        scan(number);
    }
    queue.maintain().await.unwrap();
    let names = stored(&folder);
    assert_eq!(names.len(), 1_000);
    assert!(names.contains(&pair("printer", 1)) && names.contains(&pair("copier", 1)));
    assert!(names.contains(&pair("10.1.11.183", 0)), "the last one");
    assert!(!names.contains(&pair("10.1.0.0", 0)));
    close(queue).await;
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_passed_over() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    queue.saw_client(&seen("a", &[]));
    close(queue).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let rows = "INSERT INTO client VALUES ('b', 9e15, '{}'), ('c', 0, x'ff00'),
        ('d', 0, (SELECT record FROM client WHERE client = 'a'))";
    connection.execute(rows, []).unwrap();
    drop(connection);
    let queue = open(&folder);
    let names: Vec<_> = queue.clients().into_iter().map(|one| one.client).collect();
    assert_eq!(names, ["a"]);
    close(queue).await;
}
