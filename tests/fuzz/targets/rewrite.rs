//! Senders rewritten and signatures appended, on the way out.

use exorelay::mail::rewrite::{Changes, FromRewrite, Original, Refusal, Rewriter, Signature, Spec};
use exorelay::mail::{HeaderPass, Mailbox, Supplements};

use super::content::normalized;
use super::message::{Message, is};
use super::{assert_one_line, assert_whole_lines, cut, variant};

pub(super) fn run(octets: &[u8]) {
    let (seed, octets) = variant(octets);
    let mut content = normalized(octets);
    if seed & 128 == 0 {
        content = completed(&content);
    }
    let spec = spec(seed);
    let whole = pass(&spec, [content.as_slice()]);
    assert!(pass(&spec, cut(seed, &content)) == whole);
    let Ok((out, changes)) = whole else {
        assert!(spec.from.is_some());
        return;
    };
    assert_whole_lines(&out);
    if spec.is_empty() {
        assert!(out == content);
    }
    if let Some(from) = &changes.from {
        assert_one_line(&from.old);
    }

    let (before, after) = (Message::read(&content), Message::read(&out));
    let signs = changes.signed_text || changes.signed_html;
    let touched = if signs {
        "from reply-to sender mime-version content-type content-transfer-encoding"
    } else {
        assert!(after.body == before.body);
        "from reply-to sender"
    };
    assert_eq!(others(&after, touched), others(&before, touched));
    if let Some(rewrite) = &spec.from {
        let from = after.all("from");
        assert_eq!(from.len(), 1, "one From");
        assert!(after.all("reply-to").len() <= 1 || changes.reply_to.is_none());
        if changes.from.is_some() {
            let address = format!("<{}>\r\n", rewrite.mailbox);
            assert!(from[0].ends_with(address.as_bytes()));
        }
    }
    // Once done, there is nothing left to do.
    let senders_only = Spec {
        signature: Signature::default(),
        ..spec
    };
    let (again, changes) = pass(&senders_only, [out.as_slice()]).expect("not refused before");
    assert!(again == out, "{}", String::from_utf8_lossy(&again));
    assert_eq!((changes.from, changes.reply_to), (None, None));
    // A text may lose what only looks like a delimiter when it is encoded, and never gets one.
    for boundary in boundaries(&content) {
        let (before, after) = (delimiters(&content, boundary), delimiters(&out, boundary));
        assert!(
            after.0 <= before.0 && after.1 <= before.1,
            "{before:?}, then {after:?}"
        );
    }
}

/// As the queue has it.
fn completed(content: &[u8]) -> Vec<u8> {
    let mut pass = HeaderPass::new(Supplements {
        from: "app@contoso.com".into(),
        replaces_from: false,
        reply_to: None,
        date: "Fri, 20 Nov 2026 10:00:00 +0100".into(),
        message_id: "<1@relay.contoso.local>".into(),
    });
    let mut stored = Vec::new();
    pass.push(content, &mut stored);
    pass.finish(&mut stored);
    stored
}

fn spec(seed: u8) -> Spec {
    let mailbox = |address| Mailbox::parse(address).unwrap();
    let from = match seed & 3 {
        0 => None,
        1 => Some(Original::Drop),
        _ => Some(Original::ReplyTo),
    };
    let signature = match (seed >> 4) & 3 {
        0 => ("", ""),
        1 => ("Contoso Ltd", "<p>Contoso Ltd</p>"),
        2 => ("Grüße\nvom Büro", "<p>Grüße</p>"),
        _ => ("", "<p>Contoso</p>"),
    };
    Spec {
        from: from.map(|original| FromRewrite {
            mailbox: mailbox("relay@contoso.com"),
            original,
        }),
        display_name: (seed & 4 != 0).then(|| "Büro <a@b>\r\nBcc: c@d".into()),
        reply_to: (seed & 8 != 0).then(|| mailbox("desk@contoso.com")),
        signature: Signature {
            text: signature.0.into(),
            html: signature.1.into(),
        },
    }
}

fn pass<'a>(
    spec: &Spec,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, Changes), Refusal> {
    let mut rewriter = Rewriter::new(spec.clone());
    let mut growth_max = rewriter.growth_max();
    let mut out = Vec::new();
    let mut length = 0;
    for piece in pieces {
        length += piece.len() as u64;
        if let Err(refusal) = rewriter.push(piece, &mut out) {
            assert!(out.is_empty());
            assert_eq!(rewriter.push(b"x", &mut out), Err(refusal));
            assert!(out.is_empty());
            return Err(refusal);
        }
        assert!(rewriter.growth_max() <= growth_max);
        if rewriter.is_decided() {
            growth_max = rewriter.growth_max();
        }
    }
    let changes = rewriter.finish(&mut out)?;
    assert!(out.len() as u64 <= length + growth_max);
    Ok((out, changes))
}

fn others<'a>(message: &Message<'a>, names: &str) -> Vec<&'a [u8]> {
    let fields = message.fields.iter().copied();
    fields.filter(|field| !is(field, names)).collect()
}

/// Whatever the message may mean by a boundary (RFC 2046 section 5.1.1).
fn boundaries(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    const NAME: &[u8] = b"boundary=";
    let places = content.windows(NAME.len()).enumerate();
    let places = places.filter(|(_, octets)| octets.eq_ignore_ascii_case(NAME));
    places.filter_map(|(at, _)| {
        let value = &content[at + NAME.len()..];
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let boundary = value.split(|octet| b"\"; \r\n".contains(octet)).next()?;
        (!boundary.is_empty()).then_some(boundary)
    })
}

/// How many lines open a part, and how many close the last.
fn delimiters(content: &[u8], boundary: &[u8]) -> (usize, usize) {
    let opens = [b"--", boundary].concat();
    let closes = [&opens, &b"--"[..]].concat();
    let lines = content.split(|octet| *octet == b'\n');
    let lines: Vec<_> = lines.map(<[u8]>::trim_ascii_end).collect();
    let count = |delimiter: &[u8]| lines.iter().filter(|line| **line == delimiter).count();
    (count(&opens), count(&closes))
}
