//! Silence, with the clock turned by hand.

use tempfile::TempDir;

use super::*;
use crate::listener::{Client, Table};
use crate::queue::tests::settings;
use crate::queue::tests::time::TestTime;
use crate::queue::{Incident, Queue, Refusal, Section, SeenMessage, Sighting};

const DAY: Duration = Duration::from_hours(24);

/// 2026-09-21 14:13:20 UTC.
const BEGIN_MS: i64 = 1_790_000_000_000;

fn section(name: &str, network: &str) -> Section {
    Section {
        name: name.into(),
        network: network.into(),
        silent_after: Some(3 * DAY),
    }
}

fn start(time: &TestTime, folder: &TempDir, sections: &[Section]) -> Queue {
    let queue = time.open(settings(folder.path()));
    queue.set_sections(sections);
    queue.set_open(true);
    queue
}

async fn close(queue: Queue) {
    let closed = tokio::task::spawn_blocking(move || queue.close()).await;
    closed.unwrap();
}

fn look_at(queue: &Queue) -> Vec<String> {
    look(&queue.incidents(), &queue.heard(), |_| None)
}

fn open(queue: &Queue) -> Vec<Incident> {
    queue.incidents().open()
}

#[tokio::test]
async fn one_incident_opens_and_outlives_a_restart() {
    let (folder, time) = (TempDir::new().unwrap(), TestTime::at(BEGIN_MS));
    let sections = [
        section("floor", "10.20.3.0/24"),
        section("lobby", "10.20.1.15"),
    ];
    let queue = start(&time, &folder, &sections[1..]);
    time.pass(DAY);
    queue.set_sections(&sections);
    time.pass(2 * DAY - Duration::from_secs(1));
    assert!(look_at(&queue).is_empty());
    time.pass(Duration::from_secs(1));
    assert_eq!(look_at(&queue), ["lobby"]);
    assert!(look_at(&queue).is_empty(), "once");
    let [incident] = open(&queue).try_into().unwrap();
    let finding = &incident.finding;
    assert_eq!(finding.of_client(), Some("lobby"));
    assert_eq!(finding.of_account(), None);
    assert_eq!(
        (finding.state.as_str(), finding.urgency),
        ("silent", Urgency::Urgent)
    );
    assert_eq!(
        finding.reason,
        "no message from 10.20.1.15 for 3d, and none before"
    );
    queue.incidents().stored().await.unwrap();
    close(queue).await;

    let queue = start(&time, &folder, &sections);
    assert!(look_at(&queue).is_empty());
    assert_eq!(open(&queue)[0].id, incident.id);
    time.pass(DAY);
    assert_eq!(look_at(&queue), ["floor"]);
    assert_eq!(open(&queue).len(), 2);
    close(queue).await;
}

#[tokio::test]
async fn it_is_over_when_the_section_or_its_setting_is_gone() {
    let (folder, time) = (TempDir::new().unwrap(), TestTime::at(BEGIN_MS));
    let lobby = section("lobby", "10.20.1.15");
    let queue = start(&time, &folder, std::slice::from_ref(&lobby));
    let unwatched = Section {
        silent_after: None,
        ..lobby.clone()
    };
    let longer = Section {
        silent_after: Some(30 * DAY),
        ..lobby.clone()
    };
    for next in [vec![], vec![unwatched], vec![longer]] {
        queue.set_sections(std::slice::from_ref(&lobby));
        time.pass(3 * DAY);
        assert_eq!(look_at(&queue), ["lobby"]);
        queue.set_sections(&next);
        assert_eq!(look_at(&queue), ["lobby"]);
        assert!(open(&queue).is_empty());
        assert!(look_at(&queue).is_empty());
    }
    close(queue).await;
}

#[test]
fn a_reason_tells_the_last_message_and_what_was_seen_since() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let mut heard = Heard {
        section: section("floor", "10.20.3.0/24"),
        last_message_at: Some(at("2026-11-17T14:32:10Z")),
        last_client: Some("10.20.3.7".into()),
        quiet: Some(3 * DAY),
    };
    let before =
        "no message from 10.20.3.0/24 for 3d, the last on 2026-11-17 14:32 UTC from 10.20.3.7";
    assert_eq!(reason(&heard, None), before);
    let mut seen = seen_record();
    seen.last_seen = at("2026-11-17T14:32:10Z");
    seen.refusals.clear();
    assert_eq!(reason(&heard, Some(&seen)), before);
    seen.last_seen = at("2026-11-20T14:00:00Z");
    let connected = format!("{before}; 10.20.3.9 connected on 2026-11-20 14:00 UTC");
    assert_eq!(reason(&heard, Some(&seen)), connected);
    let seen = ClientRecord {
        last_seen: seen.last_seen,
        ..seen_record()
    };
    let refused = format!("{connected} and was refused: 552 5.3.4 Too large");
    assert_eq!(reason(&heard, Some(&seen)), refused);
    heard.last_message_at = None;
    heard.section.network = "10.20.3.7".into();
    assert_eq!(
        reason(&heard, None),
        "no message from 10.20.3.7 for 3d, and none before"
    );
}

fn seen_record() -> ClientRecord {
    let folder = TempDir::new().unwrap();
    let queue = Queue::open(settings(folder.path())).unwrap();
    queue.saw_client(&Sighting {
        client: "10.20.3.9",
        listener: "local",
        message: Some(SeenMessage::default()),
        ..Sighting::default()
    });
    let refusal = Refusal {
        reply: "552 5.3.4 Too large".into(),
        count: 1,
        last_at: "2026-11-20T14:00:00Z".parse().unwrap(),
    };
    let mut record = queue.clients().remove(0);
    queue.close();
    record.refusals = vec![refusal];
    record
}

#[test]
fn what_was_seen_of_a_section_is_of_its_own_clients() {
    let client = |name: &str, network: &str| Client {
        name: name.into(),
        network: network.parse().unwrap(),
        sender: None,
        reply_to: None,
        account: None,
        bare_newline: None,
        message_size_max_bytes: None,
        messages_per_hour: 0,
    };
    let routing = Routing::new(Table {
        clients: vec![
            client("floor", "10.20.3.0/24"),
            client("copier", "10.20.3.9/32"),
        ],
        ..Table::default()
    });
    let record = seen_record();
    let other = ClientRecord {
        client: "uid:1000".into(),
        ..record.clone()
    };
    let clients = vec![other, record];
    let seen = |name: &str| last_seen(clients.clone(), &routing, name).map(|one| one.client);
    assert_eq!(seen("copier").as_deref(), Some("10.20.3.9"));
    assert_eq!(seen("floor"), None, "the longest match counts");
}
