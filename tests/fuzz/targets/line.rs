//! Lines out of a stream, however it is cut.

use bytes::BytesMut;
use exorelay::smtp::{Line, LineFramer};

use super::{cut, variant};

pub(super) fn run(octets: &[u8]) {
    let (seed, stream) = variant(octets);
    let max = 2 + usize::from(seed % 32);
    let (expected, rest) = model(stream, max);

    let mut framer = LineFramer::new(max);
    let mut buffer = BytesMut::new();
    let mut found = Vec::new();
    for piece in cut(seed, stream) {
        buffer.extend_from_slice(piece);
        while let Some(line) = framer.next(&mut buffer) {
            found.push(match line {
                Line::Complete(line) => Some(line.to_vec()),
                Line::TooLong => None,
            });
        }
        assert!(buffer.len() < max);
    }
    assert_eq!(found, expected);
    if rest.len() < max {
        assert_eq!(buffer, rest);
    } else {
        assert!(buffer.is_empty());
    }
}

/// The lines, `None` for one over the limit, and what has no end yet.
fn model(stream: &[u8], max: usize) -> (Vec<Option<Vec<u8>>>, &[u8]) {
    let end = stream.iter().rposition(|octet| *octet == b'\n');
    let (whole, rest) = stream.split_at(end.map_or(0, |at| at + 1));
    let lines = whole.split_inclusive(|octet| *octet == b'\n').map(|line| {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        (line.len() <= max).then(|| text.to_vec())
    });
    (lines.collect(), rest)
}
