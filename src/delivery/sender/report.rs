//! What was changed in a message, in words.

use crate::mail::rewrite::Changes;
use crate::queue::Note;

/// Exchange's diagnostics, and a From, can be several thousand octets long.
const TEXT_MAX: usize = 300;

/// `reverse_path`: what it was and what it became. `denials`: the replies that led to it.
pub(super) fn note(
    reverse_path: Option<(&str, &str)>,
    changes: Option<&Changes>,
    denials: &[String],
) -> Option<Note> {
    let mut done = Vec::new();
    let mut remarks = Vec::new();
    if let Some((old, new)) = reverse_path {
        done.push(format!("reverse-path <{old}> replaced by <{new}>"));
    }
    if let Some(changes) = changes {
        done.extend(described(changes));
        remarks.extend(changes.remarks.iter().map(ToString::to_string));
    }
    let action = if done.is_empty() {
        "left_alone"
    } else {
        "rewritten"
    };
    done.extend(remarks);
    if done.is_empty() {
        return None;
    }
    done.extend(denials.iter().map(|reply| format!("after {}", cut(reply))));
    Some(Note {
        action,
        detail: done.join("; "),
    })
}

fn described(changes: &Changes) -> Vec<String> {
    let mut done = Vec::new();
    if let Some(from) = &changes.from {
        let old = Some(cut(&from.old)).filter(|old| !old.is_empty());
        done.push(format!(
            "From {} replaced by {}",
            old.unwrap_or("without an address"),
            from.new
        ));
    }
    if let Some(reply_to) = &changes.reply_to {
        done.push(format!("Reply-To {} added", cut(reply_to)));
    }
    for (is_done, what) in [
        (changes.is_sender_removed, "Sender removed"),
        (changes.signed_text, "signature appended to the text"),
        (changes.signed_html, "signature appended to the HTML"),
    ] {
        done.extend(is_done.then(|| what.to_owned()));
    }
    done
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX))
        .unwrap_or_default()
}
