//! Where messages go, and what single clients get.

use super::*;
use crate::listener::{Client, Pattern, Route};
use crate::mail::Mailbox;
use crate::queue::{Content, Lease};

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn to_domain(domain: &str, key: &str) -> Route {
    Route {
        sender: None,
        client: None,
        listener: None,
        recipient: Some(Pattern::Domain(domain.into())),
        key: key.into(),
    }
}

/// What the test's own address gets.
fn here() -> Client {
    Client {
        name: "here".into(),
        network: "127.0.0.0/8".parse().unwrap(),
        sender: None,
        reply_to: None,
        account: None,
        bare_newline: None,
        message_size_max_bytes: None,
        messages_per_hour: 0,
    }
}

fn with(table: Table) -> Settings {
    let listeners = [("local".into(), None)].into();
    Settings {
        routing: Arc::new(Routing::new(Table { listeners, ..table })),
        ..settings()
    }
}

fn with_client(client: Client) -> Settings {
    with(Table {
        clients: vec![client],
        default: Some("default".into()),
        ..Table::default()
    })
}

impl Bench {
    async fn greeted(settings: Settings) -> Self {
        let mut bench = Self::start_with(settings);
        assert!(bench.reply().await.starts_with("220 "));
        bench
    }

    /// Whether the reply begins so.
    async fn says(&mut self, line: &str, reply: &str) {
        let said = self.command(line).await;
        assert!(said.starts_with(reply), "{line}: {said}");
    }

    /// What `account` is to send, with its content.
    async fn queued(&self, account: &str) -> Vec<(Lease, String)> {
        let found = self.queue.lease(account, 10).await.unwrap();
        let leases = found.leases.into_iter();
        leases
            .map(|lease| {
                let Content::Inline(octets) = &lease.content else {
                    panic!("not inline");
                };
                let content = String::from_utf8(octets.to_vec()).unwrap();
                (lease, content)
            })
            .collect()
    }
}

#[tokio::test]
async fn mail_without_a_way_is_refused_as_soon_as_that_is_known() {
    let from_contoso = Route {
        sender: Some(Pattern::Domain("contoso.com".into())),
        ..to_domain("a.example", "a")
    };
    let mut bench = Bench::greeted(with(Table {
        routes: vec![from_contoso],
        ..Table::default()
    }))
    .await;
    let refusal = bench.command("MAIL FROM:<x@fabrikam.com>").await;
    assert_eq!(
        refusal,
        "550 5.7.1 No account takes mail from <x@fabrikam.com>: no [[route]] matches and no account is the \
         default; ask the administrator of this relay\r\n"
    );
    assert_eq!(bench.queue.used(), (0, 0));
    bench.says("MAIL FROM:<x@contoso.com>", "250 ").await;
    let refusal = "550 5.7.1 No account takes mail from <x@contoso.com> to <y@b.example>: ";
    bench.says("RCPT TO:<y@b.example>", refusal).await;
    bench.says("RCPT TO:<y@a.example>", "250 ").await;
    bench.says("DATA", "354 ").await;
    bench.says("x\r\n.", "250 2.0.0 ").await;
    let (message, _) = bench.queued("a").await.remove(0);
    assert_eq!(message.envelope.recipients().len(), 1);
}

#[tokio::test]
async fn recipients_that_go_two_ways_are_two_messages_and_the_client_hears_the_first_id() {
    let mut bench = Bench::greeted(with(Table {
        routes: vec![to_domain("a.example", "a"), to_domain("b.example", "b+c")],
        ..Table::default()
    }))
    .await;
    bench.says("MAIL FROM:<x@contoso.com>", "250 ").await;
    for recipient in ["1@b.example", "2@a.example", "3@b.example"] {
        bench.says(&format!("RCPT TO:<{recipient}>"), "250 ").await;
    }
    bench.says("DATA", "354 ").await;
    let accepted = bench.command("Subject: x\r\n\r\nbody\r\n.").await;
    let (of_b, content_b) = bench.queued("b").await.remove(0);
    let (of_a, content_a) = bench.queued("a").await.remove(0);
    assert_eq!(accepted, format!("250 2.0.0 Ok: queued as {}\r\n", of_b.id));
    assert!(of_a.id > of_b.id);
    assert_eq!(content_a, content_b);
    let recipients = |message: &Lease| {
        let recipients = message.envelope.recipients().iter();
        let all: Vec<_> = recipients.map(|one| one.forward_path.to_string()).collect();
        all.join(" ")
    };
    assert_eq!(recipients(&of_a), "2@a.example");
    assert_eq!(recipients(&of_b), "1@b.example 3@b.example");
}

#[tokio::test]
async fn routes_that_change_within_a_message_hold_for_it() {
    let to = |key: &str| {
        with(Table {
            routes: vec![to_domain("a.example", key)],
            ..Table::default()
        })
    };
    let mut bench = Bench::greeted(to("old")).await;
    bench.says("MAIL FROM:<x@contoso.com>", "250 ").await;
    bench.says("RCPT TO:<y@a.example>", "250 ").await;
    bench.says("DATA", "354 ").await;
    bench.settings.send_replace(current(to("new")));
    bench.says("x\r\n.", "250 2.0.0 ").await;
    assert_eq!(bench.queued("new").await.len(), 1);

    bench.says("MAIL FROM:<x@contoso.com>", "250 ").await;
    bench.says("RCPT TO:<y@a.example>", "250 ").await;
    bench.says("DATA", "354 ").await;
    bench.settings.send_replace(current(with(Table::default())));
    bench
        .says("x\r\n.", "550 5.7.1 No account takes mail")
        .await;
    assert_eq!(bench.queue.used().0, 1);
}

#[tokio::test]
async fn a_forced_sender_stands_in_the_envelope_and_in_from_and_is_what_routes_see() {
    let table = Table {
        clients: vec![Client {
            sender: Some(mailbox("scan@contoso.com")),
            reply_to: Some(mailbox("desk@contoso.com")),
            ..here()
        }],
        routes: vec![Route {
            sender: Some(Pattern::Mailbox(mailbox("scan@contoso.com"))),
            recipient: None,
            ..to_domain("x", "contoso")
        }],
        ..Table::default()
    };
    let mut bench = Bench::greeted(with(table)).await;
    for reverse_path in ["", "root@printer.local"] {
        let mail = format!("MAIL FROM:<{reverse_path}>");
        bench.says(&mail, "250 ").await;
        bench.says("RCPT TO:<y@a.example>", "250 ").await;
        bench.says("DATA", "354 ").await;
        let content = "Message-ID: <1@x>\r\nFrom: Printer\r\n <root@printer.local>\r\nDate: d\r\n\r\nbody\r\n.";
        bench.says(content, "250 2.0.0 ").await;
    }
    let queued = bench.queued("contoso").await;
    assert_eq!(queued.len(), 2);
    for (message, content) in queued {
        assert_eq!(
            message.envelope.reverse_path().to_string(),
            "scan@contoso.com"
        );
        let expected = "\r\nMessage-ID: <1@x>\r\nDate: d\r\nFrom: Printer <scan@contoso.com>\r\n\
             Reply-To: <desk@contoso.com>\r\n\r\nbody\r\n";
        assert!(content.ends_with(expected), "{content}");
    }
}

#[tokio::test]
async fn a_client_has_its_own_size_and_newlines() {
    let mut bench = Bench::greeted(with_client(Client {
        message_size_max_bytes: Some(2_000),
        bare_newline: Some(crate::smtp::BareNewline::Reject),
        ..here()
    }))
    .await;
    let offer = bench.command("EHLO device").await;
    assert!(offer.contains("250-SIZE 2000\r\n"), "{offer}");
    bench
        .says("MAIL FROM:<x@a.example> SIZE=2001", "552 5.3.4 ")
        .await;
    let long = format!("{}\r\n", "x".repeat(98)).repeat(21);
    for (content, reply) in [
        (long.as_str(), "552 5.3.4 "),
        ("a\nb\r\n", "550 5.6.11 "),
        ("a\0b\r\n", "550 5.6.0 "),
    ] {
        bench.says("MAIL FROM:<x@a.example>", "250 ").await;
        bench.says("RCPT TO:<y@a.example>", "250 ").await;
        bench.says("DATA", "354 ").await;
        bench.says(&format!("{content}."), reply).await;
    }
}

#[tokio::test(start_paused = true)]
async fn over_its_hour_a_client_is_told_to_come_later_and_only_accepted_mail_counts() {
    let mut bench = Bench::greeted(with_client(Client {
        messages_per_hour: 2,
        ..here()
    }))
    .await;
    // Begun and given up, as often as one likes.
    for _ in 0..5 {
        bench.says("MAIL FROM:<x@a.example>", "250 ").await;
        bench.says("RSET", "250 ").await;
    }
    for _ in 0..2 {
        bench.says("MAIL FROM:<x@a.example>", "250 ").await;
        bench.says("RCPT TO:<y@a.example>", "250 ").await;
        bench.says("DATA", "354 ").await;
        bench.says("x\r\n.", "250 2.0.0 ").await;
    }
    let refusal = bench.command("MAIL FROM:<x@a.example>").await;
    assert_eq!(
        refusal,
        "450 4.7.1 This client has sent its 2 messages of this hour; try again later\r\n"
    );
}
