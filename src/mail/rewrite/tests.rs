//! Whole messages, as devices and mail programs write them, and what becomes of them.

mod protected;
mod senders;
mod signatures;
mod streaming;

use mail_parser::MessageParser;

use super::{Changes, FromRewrite, Original, Refusal, Rewriter, Signature, Spec};
use crate::mail::Mailbox;

fn mailbox(address: &str) -> Mailbox {
    Mailbox::parse(address).unwrap()
}

/// Rewrites From to the relay's mailbox.
fn relayed() -> Spec {
    Spec {
        from: Some(FromRewrite {
            mailbox: mailbox("relay@contoso.com"),
            original: Original::ReplyTo,
        }),
        ..Spec::default()
    }
}

fn signed(text: &str, html: &str) -> Spec {
    Spec {
        signature: Signature {
            text: text.into(),
            html: html.into(),
        },
        ..Spec::default()
    }
}

/// Messages are written with bare LF here.
fn crlf(content: &str) -> Vec<u8> {
    content.replace('\n', "\r\n").into_bytes()
}

fn pass(content: &[u8], spec: &Spec, block: usize) -> Result<(Vec<u8>, Changes, u64), Refusal> {
    let mut rewriter = Rewriter::new(spec.clone());
    let at_first = rewriter.growth_max();
    let mut out = Vec::new();
    for block in content.chunks(block.max(1)) {
        rewriter
            .push(block, &mut out)
            .inspect_err(|_| assert!(out.is_empty()))?;
    }
    let max = rewriter.growth_max();
    assert!(max <= at_first);
    let is_decided = rewriter.is_decided();
    let changes = rewriter.finish(&mut out)?;
    Ok((out, changes, if is_decided { max } else { at_first }))
}

/// Passes a message and holds it against everything that must be true of any message.
fn rewritten(content: &[u8], spec: &Spec) -> Result<(Vec<u8>, Changes), Refusal> {
    let whole = pass(content, spec, usize::MAX);
    for block in [1, 2, 7, 61] {
        assert_eq!(pass(content, spec, block), whole, "blocks of {block}");
    }
    let (out, changes, growth_max) = whole?;
    assert!(out.len() as u64 <= content.len() as u64 + growth_max);
    assert_eq!(parts(&out), parts(content));
    Ok((out, changes))
}

/// As another program sees it.
fn parts(content: &[u8]) -> usize {
    MessageParser::default()
        .parse(content)
        .map_or(0, |message| message.parts.len())
}

fn text(content: &str, spec: &Spec) -> (String, Changes) {
    let (out, changes) = rewritten(&crlf(content), spec).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(!out.replace("\r\n", "").contains(['\r', '\n']));
    (out.replace("\r\n", "\n"), changes)
}
