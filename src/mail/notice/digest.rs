//! One notice instead of many.

use std::fmt::Write;

use super::compose::{body_fields, header, message_id};
use super::encoding::{body, one_line, shortened};
use super::words::paragraph;
use super::{Composed, Heading, NoticeKind};

/// A notice of many messages.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    /// Who writes to whom.
    pub heading: Heading<'a>,
    /// How many messages have failed.
    pub failed: usize,
    /// How many are late.
    pub delayed: usize,
    /// The first of them.
    pub items: &'a [Item],
}

/// One line of a digest, and the reply under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is told of it.
    pub kind: NoticeKind,
    /// The message's queue id.
    pub id: String,
    /// Decoded.
    pub subject: Option<String>,
    /// The first of those who did not get it.
    pub recipient: String,
    /// How many more there are.
    pub more: u64,
    /// The reply that the first of them got.
    pub reply: Option<String>,
}

/// Of a subject and of a reply, in characters.
const SHOWN_MAX: usize = 300;

impl Digest<'_> {
    /// The digest as a message.
    pub fn compose(&self) -> Composed {
        let subject = match (self.failed, self.delayed) {
            (failed, 0) => format!("{} not delivered", messages(failed)),
            (0, delayed) => format!("{} not delivered yet", messages(delayed)),
            (failed, delayed) => {
                format!(
                    "{} not delivered, {delayed} not delivered yet",
                    messages(failed)
                )
            }
        };
        let (encoding, text) = body(self.words().as_bytes());
        let mut content = header(&self.heading, &subject, None);
        content.push_str(&body_fields("text/plain; charset=utf-8", encoding));
        content.push_str(&text);
        Composed {
            content: content.into_bytes(),
            subject,
            message_id: message_id(&self.heading),
        }
    }

    fn words(&self) -> String {
        let mut text = String::new();
        let hostname = one_line(self.heading.hostname);
        paragraph(
            &mut text,
            &format!(
                "This is the mail relay {hostname}. There was more to tell you than fits into a few \
                 notices, so here is all of it in one."
            ),
        );
        for (kind, count, title) in [
            (NoticeKind::Failed, self.failed, "Could not be delivered"),
            (
                NoticeKind::Delayed,
                self.delayed,
                "Late, and still being tried",
            ),
        ] {
            if count == 0 {
                continue;
            }
            paragraph(&mut text, &format!("{title}: {}", messages(count)));
            let items = self.items.iter().filter(|item| item.kind == kind);
            let mut listed = 0;
            for item in items {
                listed += 1;
                line(&mut text, item);
            }
            if count > listed {
                let _ = writeln!(text, "  and {} more", count - listed);
            }
            text.push('\n');
        }
        paragraph(
            &mut text,
            "Whoever runs the relay finds all of them with exorelay queue list, and what happened to \
             one of them with exorelay queue show and its number.",
        );
        text.push_str("This notice was written by a program.\n");
        text
    }
}

fn line(text: &mut String, item: &Item) {
    let shown = |text: &str| shortened(&one_line(text), SHOWN_MAX).into_owned();
    let _ = write!(text, "  {} to {}", item.id, one_line(&item.recipient));
    if item.more > 0 {
        let _ = write!(text, " and {} more", item.more);
    }
    if let Some(subject) = &item.subject {
        let _ = write!(text, ": {}", shown(subject));
    }
    text.push('\n');
    if let Some(reply) = &item.reply {
        let _ = writeln!(text, "    {}", shown(reply));
    }
}

fn messages(count: usize) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}
