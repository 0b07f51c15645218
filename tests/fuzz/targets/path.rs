//! Mailboxes, and where they stand in MAIL and RCPT.

use exorelay::mail::{Mailbox, MailboxError, Received, ReversePath};
use exorelay::smtp::Command;

use super::{assert_one_line, assert_whole_lines};

pub(super) fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    received(text, None);
    let mailbox = match Mailbox::parse(text) {
        Ok(mailbox) => mailbox,
        Err(error) => return refused(text, error),
    };
    assert_one_line(text);
    assert!(text.len() <= 254 && !text.contains("\r\n"));
    assert_eq!(mailbox.as_str(), text);
    let parts = format!("{}@{}", mailbox.local_part(), mailbox.domain());
    assert_eq!(parts, text);
    let path = ReversePath::Mailbox(mailbox.clone());
    assert_eq!(ReversePath::parse(&path.to_string()), Ok(path.clone()));
    for form in [
        format!("MAIL FROM:<{text}>"),
        format!("mail from: <@a.example,@b.example:{text}> SIZE=1"),
        format!("MAIL FROM: {text}"),
    ] {
        match Command::parse(form.as_bytes()) {
            Ok(Command::Mail { reverse_path, .. }) => assert_eq!(reverse_path, path, "{form}"),
            other => panic!("{form}: {other:?}"),
        }
    }
    received("scanner", Some(text));
}

/// What is no mailbox by itself is none within a path either.
fn refused(text: &str, error: MailboxError) {
    assert_one_line(&error.to_string());
    let is_whole = !text.contains(['<', '>', '@', '"']) && text.trim_ascii() == text;
    if is_whole && !text.is_empty() {
        let parsed = Command::parse(format!("MAIL FROM:<{text}>").as_bytes());
        assert!(parsed.is_err(), "{parsed:?}");
    }
}

/// Neither a name nor an address breaks out of the trace field.
fn received(helo: &str, recipient: Option<&str>) {
    let field = Received {
        helo,
        client: None,
        hostname: "relay.contoso.local",
        protocol: "ESMTP",
        id: "01KAHX4T5N0000AB",
        recipient,
    };
    let field = field.encode("Fri, 20 Nov 2026 10:00:00 +0100");
    assert_whole_lines(field.as_bytes());
    let mut lines = field.lines();
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("Received: from "))
    );
    assert!(lines.all(|line| line.starts_with('\t')), "{field:?}");
}
