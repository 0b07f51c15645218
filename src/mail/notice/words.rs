//! The part for people.

use std::fmt::Write;

use super::encoding::{one_line, shortened};
use super::{Notice, NoticeKind, Original, Undelivered};
use crate::mail::date_time;

/// Characters in a line of our own words.
const WIDTH: usize = 72;

/// Recipients named under one reply; a program finds the others in the report.
const NAMED_MAX: usize = 100;

/// Replies that are told with their meaning; services use few words for many recipients.
const REPLIES_MAX: usize = 50;

/// Of a reply, in characters.
const REPLY_MAX: usize = 2_000;

/// Lines end in LF.
pub(super) fn words(notice: &Notice<'_>) -> String {
    let mut text = String::new();
    let about = &notice.about;
    let hostname = one_line(notice.heading.hostname);
    let news = match notice.kind {
        NoticeKind::Failed => {
            "The message below could not be delivered to everybody it was sent to."
        }
        NoticeKind::Delayed => {
            "The message below has not been delivered yet. It is still being tried, and nothing \
             has to be done. You will hear again only if it cannot be delivered in the end."
        }
    };
    paragraph(
        &mut text,
        &format!("This is the mail relay {hostname}. {news}"),
    );
    message(&mut text, about);
    reasons(&mut text, notice);
    if about.delivered > 0 {
        let others = match about.delivered {
            1 => "One other recipient has".to_owned(),
            count => format!("{count} other recipients have"),
        };
        paragraph(&mut text, &format!("{others} got the message."));
    }
    match (notice.kind, about.given_up) {
        (NoticeKind::Delayed, Some(at)) => {
            let at = date_time(at);
            paragraph(
                &mut text,
                &format!("It is given up if it cannot be delivered until {at}."),
            );
        }
        (NoticeKind::Delayed, None) => {}
        (NoticeKind::Failed, _) => paragraph(
            &mut text,
            &format!(
                "Nothing more is done about it by itself. For some time whoever runs the relay can \
                 send it again, once the cause is mended: exorelay queue retry {}",
                about.id
            ),
        ),
    }
    text.push_str("This notice was written by a program.\n");
    text
}

fn message(text: &mut String, about: &Original<'_>) {
    let mut line = |name: &str, value: &str| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {name:<9} {}", one_line(value));
    };
    line("Subject:", about.subject.unwrap_or("(none)"));
    line(
        "From:",
        if about.reverse_path.is_empty() {
            "<>"
        } else {
            about.reverse_path
        },
    );
    line(
        "Accepted:",
        &format!("{} from {}", date_time(about.received), about.origin),
    );
    line("Number:", about.id);
    text.push('\n');
}

/// Recipients with the same reply are told together.
fn reasons(text: &mut String, notice: &Notice<'_>) {
    let mut groups: Vec<(&Undelivered<'_>, Vec<&str>, u64)> = Vec::new();
    let mut untold = notice.recipients_left_out;
    for recipient in notice.recipients {
        let is_full = groups.len() >= REPLIES_MAX;
        let mut known = groups.iter_mut();
        match known.find(|(first, _, _)| first.reply == recipient.reply) {
            Some((_, named, _)) if named.len() < NAMED_MAX => named.push(recipient.address),
            Some((_, _, more)) => *more += 1,
            None if is_full => untold += 1,
            None => groups.push((recipient, vec![recipient.address], 0)),
        }
    }
    for (first, named, more) in &groups {
        text.push_str(match notice.kind {
            NoticeKind::Failed => "Not delivered to\n",
            NoticeKind::Delayed => "Not yet delivered to\n",
        });
        for address in named {
            let _ = writeln!(text, "  {}", one_line(address));
        }
        if *more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
        match first.reply {
            Some(reply) => {
                let host = notice.remote.unwrap_or("The service");
                let reply = shortened(reply, REPLY_MAX);
                let _ = writeln!(text, "{} said\n  {}", one_line(host), one_line(&reply));
            }
            None => text
                .push_str("It has not been tried yet: more mail waits than may be sent at once.\n"),
        }
        text.push('\n');
        if let Some(sentence) = first.sentence {
            paragraph(text, &format!("What it means: {sentence}"));
        }
        if let Some(remedy) = first.remedy {
            paragraph(text, &format!("What can be done: {remedy}"));
        }
    }
    if untold > 0 {
        let others = match notice.kind {
            NoticeKind::Failed => "did not get it either",
            NoticeKind::Delayed => "have not got it yet either",
        };
        let line = format!("{untold} more recipients, who are not named here, {others}.");
        paragraph(text, &line);
    }
}

/// Wrapped, with an empty line after it.
pub(super) fn paragraph(text: &mut String, words: &str) {
    let mut column = 0;
    for word in one_line(words).split_whitespace() {
        let width = word.chars().count();
        if column > 0 {
            let fits = column + 1 + width <= WIDTH;
            text.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        text.push_str(word);
        column += width;
    }
    text.push_str("\n\n");
}
