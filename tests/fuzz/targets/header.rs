//! The header section on its way in: what is missing is supplied, the rest stays.

use exorelay::mail::notice::{header_section, subject_of};
use exorelay::mail::{HeaderPass, Seen, Supplements, subject};

use super::content::normalized;
use super::message::{Message, is};
use super::{assert_one_line, assert_whole_lines, cut, variant};

pub(super) fn run(octets: &[u8]) {
    let (kind, octets) = variant(octets);
    let content = normalized(octets);
    let supplements = Supplements {
        from: "scan@contoso.com".into(),
        replaces_from: kind & 1 != 0,
        reply_to: (kind & 2 != 0).then(|| "desk@contoso.com".into()),
        date: "Fri, 20 Nov 2026 10:00:00 +0100".into(),
        message_id: "<1@relay.contoso.local>".into(),
    };
    let (stored, seen) = pass(&supplements, [content.as_slice()]);
    assert!((&stored, &seen) == (&pass(&supplements, cut(kind, &content)).0, &seen));
    assert_whole_lines(&stored);

    // Longer lines than this are looked at by their beginning only.
    let mut lines = content.split(|octet| *octet == b'\n');
    if lines.all(|line| line.len() < 16 * 1024) {
        let (before, after) = (Message::read(&content), Message::read(&stored));
        assert_eq!(kept(&after), kept(&before));
        for name in ["from", "date", "message-id"] {
            assert!(!after.all(name).is_empty(), "{name}");
        }
        assert!(after.body == before.body);
        let hops = before.all("received").len();
        assert_eq!(seen.received_count as usize, hops);
        let section: Vec<u8> = after.fields.concat();
        assert_eq!(header_section(&stored), section);
        // A line over 998 octets is folded: the same to the RFC, not to every reader of broken encoded words.
        if let Some(subject) = &seen.subject
            && subject
                .split(|octet| *octet == b'\n')
                .all(|line| line.len() < 980)
        {
            assert_eq!(subject::decode(subject), subject_of(&section));
        }
    }
    assert_one_line(seen.message_id.as_deref().unwrap_or_default());
}

fn pass<'a>(
    supplements: &Supplements,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Seen) {
    let mut pass = HeaderPass::new(supplements.clone());
    let mut stored = Vec::new();
    for piece in pieces {
        pass.push(piece, &mut stored);
    }
    pass.finish(&mut stored);
    (stored, pass.seen().clone())
}

/// What is never supplied or mended, without the folds that long lines get.
fn kept(message: &Message<'_>) -> Vec<Vec<u8>> {
    let ours = "from sender reply-to date message-id";
    let kept = message.fields.iter().filter(|field| !is(field, ours));
    kept.map(|field| {
        field
            .iter()
            .copied()
            .filter(|octet| !b"\r\n".contains(octet))
            .collect()
    })
    .collect()
}
