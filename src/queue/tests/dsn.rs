//! What the sender said of notices (RFC 3461) stays with the message.

use super::transfer::{export, import};
use super::*;
use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};

fn wishes() -> Envelope {
    let mut recipients = ["a@contoso.com", "b@contoso.com"]
        .map(|address| Recipient::from(Mailbox::parse(address).unwrap()));
    recipients[0].notify = Notify::parse("SUCCESS,FAILURE");
    recipients[0].original_recipient = OriginalRecipient::parse("rfc822;front+2Bdesk@contoso.com");
    let reverse_path = ReversePath::parse("scanner@contoso.com").unwrap();
    let envelope = Envelope::new(reverse_path, recipients.into(), BodyType::SevenBit, false);
    let envelope_id = EnvelopeId::parse("QQ+2B1");
    envelope.unwrap().with_dsn(Some(Ret::Full), envelope_id)
}

async fn submit_wishes(queue: &Queue) -> QueueId {
    let mut draft = queue.draft(None).unwrap();
    let content = b"From: a@b\r\nDate: now\r\nMessage-ID: <9@b>\r\n\r\nx\r\n";
    draft.append(content).await.unwrap();
    let submission = Submission {
        envelope: wishes(),
        ..submission(&["a@contoso.com"])
    };
    draft.commit(submission).await.unwrap().queue_id()
}

#[tokio::test]
async fn an_attempt_gets_the_envelope_as_it_was_given_also_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit_wishes(&queue).await;
    close(queue).await;
    let queue = open(&folder);
    let lease = lease_one(&queue).await;
    assert_eq!(lease.envelope, wishes());
}

#[tokio::test]
async fn an_export_carries_it_into_another_queue() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let queue = open(&from);
    submit_wishes(&queue).await;
    let (exported, _) = export(&queue, &Selection::All);
    let json = serde_json::to_value(&exported[0].0).unwrap();
    assert_eq!(
        [
            &json["ret"],
            &json["envelope_id"],
            &json["recipients"][0]["notify"]
        ],
        ["FULL", "QQ+2B1", "SUCCESS,FAILURE"]
    );
    assert!(json["recipients"][1].get("notify").is_none());
    let sidecar: Sidecar = serde_json::from_value(json).unwrap();
    let other = open(&to);
    let request = ImportRequest::of(&sidecar).unwrap();
    import(&other, request.clone(), &exported[0].1).await;
    assert_eq!(lease_one(&other).await.envelope, wishes());

    let refused = |change: fn(&mut ImportRequest)| {
        let mut wrong = request.clone();
        change(&mut wrong);
        other
            .import(wrong, None, Actor::daemon())
            .unwrap_err()
            .to_string()
    };
    let wrong = refused(|wrong| wrong.ret = Some("SOME".into()));
    assert_eq!(wrong, "RET=SOME is malformed");
    let wrong = refused(|wrong| wrong.recipients[0].notify = Some("NEVER,DELAY".into()));
    assert_eq!(wrong, "NOTIFY=NEVER,DELAY is malformed");
}

#[tokio::test]
async fn a_sidecar_from_before_is_still_understood() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"\r\nx\r\n").await;
    let (exported, _) = export(&queue, &Selection::All);
    let mut json = serde_json::to_value(&exported[0].0).unwrap();
    let fields = json.as_object_mut().unwrap();
    assert!(fields.remove("ret").is_some() && fields.remove("envelope_id").is_some());
    let sidecar: Sidecar = serde_json::from_value(json).unwrap();
    assert_eq!(sidecar, exported[0].0);
}

#[tokio::test]
async fn what_is_malformed_on_disk_is_set_aside() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit_wishes(&queue).await;
    close(queue).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute("UPDATE recipient SET notify = 'x\r\nRSET' WHERE n = 0", [])
        .unwrap();
    let damage = "UPDATE message SET envelope_id = ''";
    connection.execute(damage, []).unwrap();
    drop(connection);
    let verdict = verify(&folder.path().join("queue"), |_, _| {}).unwrap();
    let told: Vec<_> = verdict
        .problems
        .iter()
        .map(|one| one.what.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "its RET or ENVID is malformed",
            "NOTIFY or ORCPT of its recipient 1 is malformed"
        ]
    );
    let queue = open(&folder);
    assert!(queue.lease("default", 1).await.unwrap().leases.is_empty());
    let detail = queue.reader().show(id).unwrap().unwrap();
    let why = detail.message.quarantined.unwrap();
    assert_eq!(why, "a NOTIFY in it is malformed");
}

#[tokio::test]
async fn only_those_count_for_whom_a_notice_was_asked() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let mut recipients = ["never", "delay", "failure", "silent"]
        .map(|name| Recipient::from(Mailbox::parse(&format!("{name}@contoso.com")).unwrap()));
    for (recipient, notify) in recipients
        .iter_mut()
        .zip(["NEVER", "DELAY", "FAILURE,DELAY"])
    {
        recipient.notify = Notify::parse(notify);
    }
    let reverse_path = ReversePath::parse("scanner@contoso.com").unwrap();
    let envelope = Envelope::new(reverse_path, recipients.into(), BodyType::SevenBit, false);
    let mut draft = queue.draft(None).unwrap();
    draft.append(b"x").await.unwrap();
    let submission = Submission {
        envelope: envelope.unwrap(),
        ..submission(&["a@contoso.com"])
    };
    let _receipt = draft.commit(submission).await.unwrap();
    let failed = (0..4).map(|n| outcome(n, Disposition::Failed, "550 5.1.1 no"));
    let lease = lease_one(&queue).await;
    let settled = settlement(failed.collect(), Retry::Scheduled);
    lease.settle(&queue, settled).await.unwrap();

    let reader = queue.reader();
    let owing = reader.owing("default", None, 10).unwrap();
    for (as_asked, told) in [
        (true, &["failure@contoso.com", "silent@contoso.com"][..]),
        (
            false,
            &[
                "never@contoso.com",
                "delay@contoso.com",
                "failure@contoso.com",
                "silent@contoso.com",
            ],
        ),
    ] {
        let mut named = Vec::new();
        let each = |case: Case| {
            assert_eq!(case.concerned, case.recipients.len() as u64);
            named.extend(case.recipients.into_iter().map(|one| one.address));
            std::ops::ControlFlow::Continue(())
        };
        reader.cases(&owing, 10, as_asked, each).unwrap();
        assert_eq!(named, told);
    }
}
