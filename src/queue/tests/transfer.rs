//! Out of a queue and into another.

use std::ops::ControlFlow;

use super::*;

pub(super) type Exported = Vec<(Sidecar, Vec<u8>)>;

pub(super) fn export(queue: &Queue, selection: &Selection) -> (Exported, Vec<(QueueId, String)>) {
    let (mut exported, mut skipped) = (Exported::new(), Vec::new());
    let mut current: Option<(Sidecar, Vec<u8>)> = None;
    let each = |piece: Piece<'_>| {
        match piece {
            Piece::Total(_) => {}
            Piece::Message(sidecar) => current = Some((*sidecar, Vec::new())),
            Piece::Octets(octets) => current.as_mut().unwrap().1.extend_from_slice(octets),
            Piece::End => exported.extend(current.take()),
            Piece::Skipped { id, why } => skipped.push((id, why)),
        }
        ControlFlow::Continue(())
    };
    queue.reader().export(selection, each).unwrap();
    (exported, skipped)
}

pub(super) async fn import(queue: &Queue, request: ImportRequest, content: &[u8]) -> QueueId {
    let actor = Actor {
        name: "alice (uid 1000)".into(),
        through: Through::Folder,
    };
    let mut import = queue
        .import(request, Some(content.len() as u64), actor)
        .unwrap();
    for block in content.chunks(30_000) {
        import.append(block).await.unwrap();
    }
    import.commit().await.unwrap()
}

#[tokio::test]
async fn what_is_exported_can_be_imported_as_it_was() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let queue = open(&from);
    let header = "From: a@b\r\nDate: now\r\nMessage-ID: <9@b>\r\nSubject: Größe\r\n\r\n";
    let small = format!("{header}..dots\r\n").into_bytes();
    let large = format!("{header}{}", "line\r\n".repeat(50_000)).into_bytes();
    let ids = [submit(&queue, &small).await, submit(&queue, &large).await];
    let lease = lease_one(&queue).await;
    let first = vec![
        outcome(0, Disposition::Delivered, "250 ok"),
        outcome(1, Disposition::Deferred, "451 busy"),
    ];
    lease
        .settle(&queue, settlement(first, Retry::Scheduled))
        .await
        .unwrap();
    let (exported, skipped) = export(&queue, &Selection::All);
    assert_eq!((exported.len(), skipped.len()), (2, 0));
    assert_eq!([&exported[0].1, &exported[1].1], [&small, &large]);

    let other = open(&to);
    for (sidecar, content) in &exported {
        let json = serde_json::to_vec(sidecar).unwrap();
        let sidecar: Sidecar = serde_json::from_slice(&json).unwrap();
        import(&other, ImportRequest::of(&sidecar).unwrap(), content).await;
    }
    let leased = other.lease("default", 10).await.unwrap().leases;
    assert_eq!(
        [read(&leased[0].content), read(&leased[1].content)],
        [small, large]
    );
    let addresses = |lease: &Lease| {
        let recipients = lease.envelope.recipients().iter();
        recipients
            .map(|one| one.forward_path.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        addresses(&leased[0]),
        ["b@contoso.com"],
        "who has it already does not get it again"
    );
    assert_eq!(addresses(&leased[1]), ["a@contoso.com", "b@contoso.com"]);
    assert_eq!(leased[0].envelope.body_type(), BodyType::EightBitMime);
    let detail = other.reader().show(leased[0].id).unwrap().unwrap();
    assert_eq!(detail.message.subject.as_deref(), Some("Größe"));
    assert_eq!(
        (detail.client.as_str(), detail.helo.as_str()),
        ("127.0.0.1", "scanner")
    );
    assert_eq!(detail.events[0].action, "imported");
    let whence = detail.events[0].detail.as_deref().unwrap();
    assert!(
        whence.starts_with(&format!("was {}, received ", ids[0])),
        "{whence}"
    );
}

#[tokio::test]
async fn held_and_failed_mail_is_imported_as_held() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"\r\nx\r\n").await;
    let failed = (0..2)
        .map(|n| outcome(n, Disposition::Failed, "550 no"))
        .collect();
    let lease = lease_one(&queue).await;
    lease
        .settle(&queue, settlement(failed, Retry::Scheduled))
        .await
        .unwrap();
    let (exported, _) = export(&queue, &Selection::All);
    let request = ImportRequest::of(&exported[0].0).unwrap();
    assert!(request.held);
    let id = import(&queue, request, &exported[0].1).await;
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.state, MessageState::Held);
    assert_eq!(detail.message.last_reply.as_deref(), Some("550 no"));
    assert_eq!(detail.message.quarantined, None);
    assert_eq!(detail.message.recipients.len(), 2);
    assert_eq!(queue.used().0, 1);
}

#[tokio::test]
async fn what_cannot_be_exported_is_told() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let delivered = submit(&queue, b"x").await;
    let all = (0..2)
        .map(|n| outcome(n, Disposition::Delivered, "250 ok"))
        .collect();
    let lease = lease_one(&queue).await;
    lease
        .settle(&queue, settlement(all, Retry::Scheduled))
        .await
        .unwrap();
    let damaged = submit(&queue, &vec![b'x'; 100_000]).await;
    std::fs::write(content::path_of(&folder.path().join("queue"), damaged), "x").unwrap();
    let lost = submit(&queue, &vec![b'x'; 100_000]).await;
    std::fs::remove_file(content::path_of(&folder.path().join("queue"), lost)).unwrap();
    let unknown = QueueId::parse("0000000000000000").unwrap();
    let ids = vec![delivered, damaged, lost, unknown];
    let (exported, skipped) = export(&queue, &Selection::Ids(ids));
    assert_eq!(exported.len(), 0);
    let why = |id| {
        &skipped
            .iter()
            .find(|(skipped, _)| *skipped == id)
            .unwrap()
            .1
    };
    assert_eq!(why(delivered), "is delivered: its content is gone");
    assert_eq!(
        why(damaged),
        "is damaged: its content file has another size"
    );
    assert!(why(lost).starts_with("is damaged: its content file: No such file"));
    assert_eq!(why(unknown), "is not in the queue");
}

#[tokio::test]
async fn a_bare_file_gets_what_it_lacks_and_a_wrong_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut narrow = settings(folder.path());
    narrow.limits.bytes_max = 1_000;
    let queue = Queue::open(narrow).unwrap();
    let request = ImportRequest {
        reverse_path: String::new(),
        recipients: vec!["desk@contoso.com".into()],
        account: "default".into(),
        smtputf8: false,
        ret: None,
        envelope_id: None,
        held: false,
        last_reply: None,
        listener: "import".into(),
        client: String::new(),
        helo: String::new(),
        tls: None,
        auth_name: None,
        mailbox: "relay@contoso.com".into(),
        hostname: "relay.test".into(),
        detail: None,
    };
    let id = import(&queue, request.clone(), b"Subject: note\n\nhello\n.\nbye").await;
    let lease = lease_one(&queue).await;
    let content = String::from_utf8(read(&lease.content)).unwrap();
    assert!(
        content.starts_with("Subject: note\r\nFrom: <relay@contoso.com>\r\nDate: "),
        "{content}"
    );
    assert!(content.contains(&format!(
        "Message-ID: <{id}@relay.test>\r\n\r\nhello\r\n.\r\nbye\r\n"
    )));
    assert_eq!(lease.envelope.body_type(), BodyType::SevenBit);

    let refused = |change: fn(&mut ImportRequest)| {
        let mut wrong = request.clone();
        change(&mut wrong);
        let actor = Actor::daemon();
        queue
            .import(wrong, Some(2_000), actor)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(|wrong| wrong.reverse_path = "x".into()).contains("address \"x\""));
    assert!(refused(|wrong| wrong.recipients = vec!["a b@c".into()]).contains("address \"a b@c\""));
    assert!(refused(|wrong| wrong.recipients.clear()).contains("at least one recipient"));
    assert!(refused(|wrong| wrong.account.clear()).contains("no account"));
    assert_eq!(refused(|_| {}), Full::Bytes.to_string());
}
