//! The queue as a whole, on a real folder.

mod clients;
mod clock;
mod damage;
mod denied;
mod dsn;
mod fairness;
mod hands;
mod heard;
mod history;
mod incidents;
mod migration;
mod notice;
mod opening;
mod parts;
mod pool;
pub(crate) mod time;
mod transfer;
mod verify;

use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};

/// For a queue in `directory`, also in the tests of rooms above this one.
pub(crate) fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.join("queue"),
        limits: Limits {
            messages_max: 1_000,
            bytes_max: 1 << 30,
            disk_free_min_bytes: 0,
        },
        backoff: Backoff {
            initial: Duration::from_secs(30),
            factor: 2.0,
            max: Duration::from_hours(1),
        },
        expire_after: Duration::from_hours(48),
        retention: Retention {
            delivered: Duration::from_hours(24),
            failed: Duration::from_hours(24),
        },
        record_subject: true,
    }
}

fn open(folder: &TempDir) -> Queue {
    Queue::open(settings(folder.path())).unwrap()
}

async fn close(queue: Queue) {
    tokio::task::spawn_blocking(move || queue.close())
        .await
        .unwrap();
}

pub(super) fn submission(recipients: &[&str]) -> Submission {
    let recipients = recipients
        .iter()
        .map(|address| Recipient::from(Mailbox::parse(address).unwrap()))
        .collect();
    let reverse_path = ReversePath::parse("scanner@contoso.com").unwrap();
    Submission {
        envelope: Envelope::new(reverse_path, recipients, BodyType::EightBitMime, false).unwrap(),
        account: "default".into(),
        origin: Origin {
            listener: "local".into(),
            client: "127.0.0.1".into(),
            helo: "scanner".into(),
            ..Origin::default()
        },
        subject: Some("Scan".into()),
        message_id: Some("<1@scanner>".into()),
    }
}

async fn submit(queue: &Queue, content: &[u8]) -> QueueId {
    let mut draft = queue.draft(Some(content.len() as u64)).unwrap();
    for block in content.chunks(10_000) {
        draft.append(block).await.unwrap();
    }
    draft
        .commit(submission(&["a@contoso.com", "b@contoso.com"]))
        .await
        .unwrap()
        .queue_id()
}

fn outcome(number: u32, disposition: Disposition, reply: &str) -> RecipientOutcome {
    RecipientOutcome {
        number,
        disposition,
        reply: reply.into(),
    }
}

fn settlement(recipients: Vec<RecipientOutcome>, retry: Retry) -> Settlement {
    Settlement {
        reply: recipients
            .last()
            .map(|one| one.reply.clone())
            .unwrap_or_default(),
        recipients,
        retry,
        started_at: SystemTime::now(),
        remote: "smtp.office365.com".into(),
        connection: Some(7),
        transactions: 1,
        uncertain: false,
        note: None,
    }
}

async fn lease_one(queue: &Queue) -> Lease {
    let mut leases = queue.lease("default", 1).await.unwrap().leases;
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

fn read(content: &Content) -> Vec<u8> {
    match content {
        Content::Inline(octets) => octets.to_vec(),
        Content::File { path, .. } => std::fs::read(path).unwrap(),
    }
}

fn content_files(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("queue/content"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn small_and_large_content_come_back_byte_for_byte_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let small = b"Subject: x\r\n\r\n\xff\x00..\r\n".to_vec();
    let large: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let queue = open(&folder);
    let ids = [submit(&queue, &small).await, submit(&queue, &large).await];
    assert!(ids[0] < ids[1]);
    close(queue).await;

    let queue = open(&folder);
    assert_eq!(queue.used(), (2, (small.len() + large.len()) as u64));
    let leased = queue.lease("default", 10).await.unwrap();
    for (lease, (id, content)) in leased.leases.iter().zip(ids.iter().zip([&small, &large])) {
        assert_eq!(lease.id, *id);
        assert_eq!(read(&lease.content), *content);
        assert_eq!(
            lease.envelope.reverse_path().to_string(),
            "scanner@contoso.com"
        );
        assert_eq!(lease.envelope.recipients().len(), 2);
        assert_eq!(lease.envelope.body_type(), BodyType::EightBitMime);
    }
    assert_eq!(leased.leases.len(), 2);
}

#[tokio::test]
async fn a_message_is_leased_once_until_its_lease_is_dropped() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"x").await;
    let lease = lease_one(&queue).await;
    assert!(queue.lease("default", 10).await.unwrap().leases.is_empty());
    assert!(queue.lease("other", 10).await.unwrap().leases.is_empty());
    drop(lease);
    let again = lease_one(&queue).await;
    assert_eq!(again.attempts, 0);
}

#[tokio::test]
async fn leases_of_a_daemon_that_died_are_void() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"x").await;
    let lease = lease_one(&queue).await;
    // As a crash would: the lease is never given back.
    std::mem::forget(lease);
    close(queue).await;
    let queue = open(&folder);
    lease_one(&queue).await;
}

#[tokio::test]
async fn recipients_are_decided_one_by_one() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, b"x").await;
    let first = vec![
        outcome(0, Disposition::Delivered, "250 2.0.0 OK"),
        outcome(1, Disposition::Deferred, "451 4.7.0 later"),
    ];
    let settled = lease_one(&queue)
        .await
        .settle(&queue, settlement(first, Retry::After(Duration::ZERO)))
        .await;
    assert_eq!(settled.unwrap().state, MessageState::Deferred);
    assert_eq!(queue.used().0, 1);

    let lease = lease_one(&queue).await;
    assert_eq!(lease.attempts, 1);
    assert_eq!(lease.numbers, [1]);
    assert_eq!(
        lease.envelope.recipients()[0].forward_path.as_str(),
        "b@contoso.com"
    );
    let second = vec![outcome(1, Disposition::Failed, "550 5.1.1 unknown")];
    let settled = lease
        .settle(&queue, settlement(second, Retry::Scheduled))
        .await
        .unwrap();
    assert_eq!(settled.state, MessageState::Failed);
    assert_eq!(queue.used(), (0, 0));

    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.attempts, 2);
    assert_eq!(
        detail.message.recipients[0].state,
        RecipientState::Delivered
    );
    assert_eq!(
        detail.message.recipients[1].reply.as_deref(),
        Some("550 5.1.1 unknown")
    );
    let results: Vec<_> = detail
        .history
        .iter()
        .map(|attempt| attempt.result.as_str())
        .collect();
    assert_eq!(results, ["delivered, deferred", "failed"]);
    assert_eq!(detail.helo, "scanner");
}

#[tokio::test]
async fn delivered_content_is_removed_and_history_stays() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, &vec![b'x'; 100_000]).await;
    assert_eq!(content_files(&folder), 1);
    let all = (0..2)
        .map(|n| outcome(n, Disposition::Delivered, "250 2.0.0 OK"))
        .collect();
    let settled = lease_one(&queue)
        .await
        .settle(&queue, settlement(all, Retry::Scheduled))
        .await;
    assert_eq!(settled.unwrap().state, MessageState::Delivered);
    assert_eq!(content_files(&folder), 0);
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.state, MessageState::Delivered);
    assert_eq!(detail.message.subject.as_deref(), Some("Scan"));
    let mut listed = Vec::new();
    let reader = queue.reader();
    reader
        .list(&Filter::default(), |record| {
            listed.push(record);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(listed.is_empty(), "delivered mail is history, not queue");
}

#[tokio::test]
async fn a_deferred_message_waits_for_its_back_off_and_an_uncounted_one_does_not() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"x").await;
    let paused = settlement(vec![], Retry::WithoutCounting);
    let settled = lease_one(&queue)
        .await
        .settle(&queue, paused)
        .await
        .unwrap();
    assert_eq!(settled.state, MessageState::Ready);
    let deferred = settlement(
        vec![outcome(0, Disposition::Deferred, "451 x")],
        Retry::Scheduled,
    );
    let settled = lease_one(&queue)
        .await
        .settle(&queue, deferred)
        .await
        .unwrap();
    let wait = settled.retry_in.unwrap();
    assert!((24..=36).contains(&wait.as_secs()), "{wait:?}");
    let leased = queue.lease("default", 1).await.unwrap();
    assert!(leased.leases.is_empty());
    assert!(leased.next_due.unwrap() <= wait);
}

#[tokio::test]
async fn age_counts_only_while_the_account_could_send() {
    let folder = TempDir::new().unwrap();
    let mut brief = settings(folder.path());
    brief.expire_after = Duration::from_millis(1);
    let queue = Queue::open(brief).unwrap();
    submit(&queue, b"x").await;
    let deferred = || {
        let later = vec![
            outcome(0, Disposition::Deferred, "451 x"),
            outcome(1, Disposition::Deferred, "451 x"),
        ];
        settlement(later, Retry::After(Duration::ZERO))
    };
    // The account never became active: however old, the message is kept.
    let settled = lease_one(&queue)
        .await
        .settle(&queue, deferred())
        .await
        .unwrap();
    assert_eq!(settled.state, MessageState::Deferred);
    queue.set_active("default", true);
    while queue.shared.clock.active_ms("default") < 5 {
        tokio::task::yield_now().await;
    }
    let settled = lease_one(&queue)
        .await
        .settle(&queue, deferred())
        .await
        .unwrap();
    assert_eq!(
        (settled.state, settled.expired),
        (MessageState::Failed, true)
    );
}

#[tokio::test]
async fn a_dropped_draft_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let mut draft = queue.draft(Some(500_000)).unwrap();
    draft.append(&vec![b'x'; 300_000]).await.unwrap();
    assert_eq!(content_files(&folder), 1);
    assert_eq!(queue.used(), (1, 500_000));
    drop(draft);
    assert_eq!(content_files(&folder), 0);
    assert_eq!(queue.used(), (0, 0));
}

#[tokio::test]
async fn orphaned_content_files_are_swept_and_others_are_not() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, &vec![b'x'; 100_000]).await;
    close(queue).await;
    let content = folder.path().join("queue/content");
    std::fs::write(content.join("01ARZ3NDEKTSV4RR"), "half a message").unwrap();
    std::fs::write(content.join("notes.txt"), "an operator's own").unwrap();
    let queue = open(&folder);
    let mut names: Vec<_> = std::fs::read_dir(&content)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [id.to_string(), "notes.txt".into()]);
    assert_eq!(read(&lease_one(&queue).await.content).len(), 100_000);
}

#[tokio::test]
async fn many_sessions_never_hold_more_than_the_bound() {
    let folder = TempDir::new().unwrap();
    let mut narrow = settings(folder.path());
    narrow.limits.messages_max = 25;
    let queue = Queue::open(narrow).unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut draft = queue.draft(None)?;
                draft.append(b"x").await?;
                draft.commit(submission(&["a@contoso.com"])).await
            })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(matches!(error, DraftError::Full(Full::Messages)), "{error}"),
        }
    }
    assert_eq!(accepted, 25);
    assert_eq!(
        queue.reader().counts().unwrap().accounts["default"]["ready"],
        25
    );
}

#[tokio::test]
async fn old_history_is_forgotten_with_its_content() {
    let folder = TempDir::new().unwrap();
    let mut forgetful = settings(folder.path());
    forgetful.retention.failed = Duration::ZERO;
    let queue = Queue::open(forgetful).unwrap();
    let id = submit(&queue, &vec![b'x'; 100_000]).await;
    let failed = (0..2)
        .map(|n| outcome(n, Disposition::Failed, "550 no"))
        .collect();
    lease_one(&queue)
        .await
        .settle(&queue, settlement(failed, Retry::Scheduled))
        .await
        .unwrap();
    assert_eq!(
        content_files(&folder),
        1,
        "failed mail is kept for inspection"
    );
    while queue.reader().show(id).unwrap().is_some() {
        queue.maintain().await.unwrap();
    }
    assert_eq!(content_files(&folder), 0);
}

#[tokio::test]
async fn the_database_is_sound_after_all_of_it() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for n in 0..200 {
        submit(&queue, &vec![b'x'; n * 100]).await;
    }
    queue.maintain().await.unwrap();
    close(queue).await;
    assert!(
        !folder.path().join("queue/queue.db-wal").exists(),
        "the log was folded back"
    );
    let connection = rusqlite::Connection::open(folder.path().join("queue/queue.db")).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}
