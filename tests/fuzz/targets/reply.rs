//! Replies of an upstream server, however they are cut.

use bytes::BytesMut;
use exorelay::smtp::{Reply, ReplyDecoder, ReplyError};

use super::{assert_one_line, assert_whole_lines, cut, variant};

pub(super) fn run(octets: &[u8]) {
    let (seed, stream) = variant(octets);
    let whole = decode([stream]);
    assert_eq!(decode(cut(seed, stream)), whole);
    for reply in &whole.0 {
        check(reply);
    }
}

/// The replies, and what went wrong after them.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<ReplyError>) {
    let mut decoder = ReplyDecoder::new();
    let mut buffer = BytesMut::new();
    let mut replies = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
        assert!(buffer.len() < 2048);
    }
    (replies, None)
}

/// What any reply promises.
fn check(reply: &Reply) {
    assert!((200..600).contains(&reply.code()));
    if let Some(enhanced) = reply.enhanced() {
        assert_eq!(u16::from(enhanced.class()), reply.code() / 100);
    }
    assert!(reply.lines().count() >= 1);
    reply.lines().for_each(assert_one_line);
    assert_one_line(&reply.to_string());

    let mut wire = BytesMut::new();
    reply.encode(&mut wire);
    assert_whole_lines(&wire);
    let lines = wire.split_inclusive(|octet| *octet == b'\n');
    assert!(lines.clone().all(|line| line.len() <= 512));
    // Lines that had to be cut are other lines afterwards.
    if reply.lines().all(|line| line.len() < 490) && lines.count() <= 128 {
        let again = ReplyDecoder::new().decode(&mut wire).unwrap().unwrap();
        assert!(wire.is_empty());
        assert_eq!(
            (again.code(), again.enhanced()),
            (reply.code(), reply.enhanced())
        );
        assert_eq!(words(&again), words(reply));
    }
}

fn words(reply: &Reply) -> Vec<String> {
    let words = reply.lines().flat_map(str::split_ascii_whitespace);
    words.map(str::to_owned).collect()
}
