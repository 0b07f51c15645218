//! A real queue, whoever tells of its mail, and a service that answers what it is told to.

use std::path::Path;
use std::time::SystemTime;

use mail_parser::MessageParser;
use tempfile::TempDir;

use super::super::*;
use crate::delivery::Status;
use crate::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use crate::queue::{
    Content, Disposition, Lease, Origin, QueueId, RecipientOutcome, Retry, Settlement, Submission,
};

pub(super) const MAIL: &[u8] = b"Subject: Scan\r\nMessage-ID: <1@scanner>\r\n\r\nA secret\r\n";
pub(super) const GONE: &str = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found";

pub(super) struct Bench {
    pub(super) queue: Queue,
    pub(super) notices: Notices,
    pub(super) handle: NoticesHandle,
    pub(super) settings: NoticeSettings,
    pub(super) status: watch::Sender<Status>,
    pub(super) start: Timestamp,
    pub(super) folder: TempDir,
}

/// A notice that the service was given.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: QueueId,
    pub(super) to: String,
    pub(super) subject: String,
    /// Every part of it, decoded.
    pub(super) text: String,
}

fn open(folder: &Path) -> Queue {
    let mut settings = crate::queue::tests::settings(folder);
    settings.limits.messages_max = 10_000;
    Queue::open(settings).unwrap()
}

impl Bench {
    pub(super) fn new(to: Destination) -> Self {
        let status = watch::Sender::new(Status::default());
        let account = NoticeAccount {
            mailbox: Mailbox::parse("relay@contoso.com").unwrap(),
            status: status.subscribe(),
        };
        let settings = NoticeSettings {
            to,
            delay_warning: Duration::from_hours(4),
            hostname: "relay.test".into(),
            explain: meaning,
            accounts: BTreeMap::from([("default".to_owned(), account)]),
        };
        let folder = TempDir::new().unwrap();
        Self::on(folder, settings, status)
    }

    fn on(folder: TempDir, settings: NoticeSettings, status: watch::Sender<Status>) -> Self {
        let queue = open(folder.path());
        let (notices, handle) = Notices::new(queue.clone(), settings.clone());
        Self {
            queue,
            notices,
            handle,
            settings,
            status,
            start: Timestamp::now(),
            folder,
        }
    }

    /// As after a crash: nothing is left but the folder.
    pub(super) async fn reopen(self) -> Self {
        let Self {
            queue,
            settings,
            status,
            folder,
            ..
        } = self;
        tokio::task::spawn_blocking(move || queue.close())
            .await
            .unwrap();
        Self::on(folder, settings, status)
    }

    pub(super) fn apply(&mut self, to: Destination) {
        self.settings.to = to;
        self.handle.apply(self.settings.clone());
    }

    pub(super) async fn submit(&self, from: &str, to: &[String], content: &[u8]) -> QueueId {
        let mut draft = self.queue.draft(None).unwrap();
        draft.append(content).await.unwrap();
        let recipients = to
            .iter()
            .map(|address| Recipient::from(Mailbox::parse(address).unwrap()));
        let reverse_path = ReversePath::parse(from).unwrap();
        let envelope = Envelope::new(
            reverse_path,
            recipients.collect(),
            BodyType::SevenBit,
            false,
        );
        let submission = Submission {
            envelope: envelope.unwrap(),
            account: "default".into(),
            origin: Origin {
                listener: "local".into(),
                client: "10.20.1.15".into(),
                helo: "scanner".into(),
                ..Origin::default()
            },
            subject: Some("Scan".into()),
            message_id: Some("<1@scanner>".into()),
        };
        draft.commit(submission).await.unwrap().queue_id()
    }

    pub(super) async fn lease_one(&self) -> Lease {
        let mut leases = self.queue.lease("default", 1).await.unwrap().leases;
        leases.remove(0)
    }

    /// The next message meets a service that answers each recipient so.
    pub(super) async fn attempt(
        &self,
        answer: impl Fn(u32) -> (Disposition, &'static str),
    ) -> QueueId {
        let lease = self.lease_one().await;
        let id = lease.id;
        let settlement = settlement(&lease, answer);
        lease.settle(&self.queue, settlement).await.unwrap();
        id
    }

    /// A message to one recipient fails.
    pub(super) async fn fail(&self, from: &str, content: &[u8]) -> QueueId {
        let id = self
            .submit(from, &["bob@contoso.com".into()], content)
            .await;
        assert_eq!(self.attempt(|_| (Disposition::Failed, GONE)).await, id);
        id
    }

    /// Looks, as if so much time had passed since the beginning.
    pub(super) async fn look(&mut self, later: Duration) -> Duration {
        self.notices.look(self.start + later).await.unwrap()
    }

    /// Looks, and has the service take every message there is.
    pub(super) async fn told(&mut self, later: Duration) -> Vec<Sent> {
        self.look(later).await;
        let mut sent = Vec::new();
        while let Some(lease) = self.queue.lease("default", 1).await.unwrap().leases.pop() {
            let Content::Inline(content) = &lease.content else {
                panic!("a notice of {} octets", lease.size_bytes);
            };
            sent.push(read(lease.id, &lease.envelope, content));
            let settlement = settlement(&lease, |_| (Disposition::Delivered, "250 2.0.0 OK"));
            lease.settle(&self.queue, settlement).await.unwrap();
        }
        sent
    }

    pub(super) fn events(&self, id: QueueId) -> Vec<String> {
        let detail = self.queue.reader().show(id).unwrap().unwrap();
        let events = detail.events.into_iter();
        events.filter_map(|event| event.detail).collect()
    }
}

pub(super) fn settlement(
    lease: &Lease,
    answer: impl Fn(u32) -> (Disposition, &'static str),
) -> Settlement {
    let outcomes = lease.numbers.iter().map(|number| {
        let (disposition, reply) = answer(*number);
        RecipientOutcome {
            number: *number,
            disposition,
            reply: reply.into(),
        }
    });
    Settlement {
        recipients: outcomes.collect(),
        retry: Retry::After(Duration::ZERO),
        started_at: SystemTime::now(),
        remote: "smtp.office365.com".into(),
        connection: None,
        transactions: 1,
        uncertain: false,
        reply: "done".into(),
        note: None,
    }
}

fn read(id: QueueId, envelope: &Envelope, content: &[u8]) -> Sent {
    let from = envelope.reverse_path().to_string();
    assert_eq!(
        from, "relay@contoso.com",
        "Exchange may refuse a null reverse-path"
    );
    let message = MessageParser::new().parse(content).unwrap();
    let parts = message.parts.iter();
    let text = parts.map(|part| String::from_utf8_lossy(part.contents()).into_owned());
    Sent {
        id,
        to: envelope.recipients()[0].forward_path.to_string(),
        subject: message.subject().unwrap().to_owned(),
        text: text.collect::<Vec<_>>().join("\n").replace("\r\n ", " "),
    }
}
