//! Content: off the wire, and on again.

use bytes::BytesMut;
use exorelay::smtp::{BareNewline, ContentDecoder, ContentEncoder, ContentProgress};

use super::{assert_whole_lines, cut, variant};

const MODES: [BareNewline; 3] = [
    BareNewline::Normalize,
    BareNewline::Reject,
    BareNewline::Lenient,
];

pub(super) fn run(octets: &[u8]) {
    let (seed, stream) = variant(octets);
    for mode in MODES {
        let whole = decode(mode, [stream]);
        assert_eq!(decode(mode, cut(seed, stream)), whole);
        assert!(whole.content.len() <= 2 * stream.len() + 4);
        if whole.progress == ContentProgress::NeedMore {
            assert!(whole.rest.is_empty());
        }
        if whole.has_bare_newline {
            assert_ne!(
                (mode, whole.progress),
                (BareNewline::Reject, ContentProgress::End)
            );
        } else if mode != BareNewline::Reject || !stream.contains(&0) {
            // Clean content means the same to everybody; a NUL is refused or becomes a space.
            assert_eq!(whole, model(stream));
        }
        let ended = decode(mode, [stream, b"\r\n.\r\n"]);
        assert_ne!(ended.progress, ContentProgress::NeedMore);
        if ended.progress == ContentProgress::End {
            passes_on(seed, &ended.content);
        }
    }
}

/// Any content, as it comes out of the listener's decoder.
pub(super) fn normalized(octets: &[u8]) -> Vec<u8> {
    decode(BareNewline::Normalize, [octets, b"\r\n.\r\n"]).content
}

#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    progress: ContentProgress,
    has_bare_newline: bool,
    /// What stands behind the end of data.
    rest: Vec<u8>,
}

fn decode<'a>(mode: BareNewline, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = ContentDecoder::new(mode);
    let mut input = BytesMut::new();
    let mut content = Vec::new();
    let mut progress = ContentProgress::NeedMore;
    for piece in pieces {
        input.extend_from_slice(piece);
        if progress == ContentProgress::NeedMore {
            progress = decoder.decode(&mut input, &mut content);
        }
    }
    Decoded {
        content,
        progress,
        has_bare_newline: decoder.has_bare_newline(),
        rest: input.to_vec(),
    }
}

/// RFC 5321 section 4.5.2 for a stream without bare CR or LF.
fn model(stream: &[u8]) -> Decoded {
    let mut decoded = Decoded {
        content: Vec::new(),
        progress: ContentProgress::NeedMore,
        has_bare_newline: false,
        rest: Vec::new(),
    };
    let mut at = 0;
    for line in stream.split_inclusive(|octet| *octet == b'\n') {
        at += line.len();
        if line == b".\r\n" {
            decoded.progress = ContentProgress::End;
            decoded.rest = stream[at..].to_vec();
            break;
        }
        let text = line.strip_prefix(b".").unwrap_or(line);
        let text = text
            .iter()
            .map(|octet| if *octet == 0 { b' ' } else { *octet });
        decoded.content.extend(text);
    }
    // CRs at the end are held back until it is known what follows.
    while decoded.progress == ContentProgress::NeedMore && decoded.content.ends_with(b"\r") {
        decoded.content.pop();
    }
    decoded
}

/// Whatever was accepted reaches the next hop as it is, and ends where it ends.
fn passes_on(seed: u8, content: &[u8]) {
    assert_whole_lines(content);
    let mut wire = Vec::new();
    let mut encoder = ContentEncoder::new();
    for piece in cut(seed, content) {
        encoder.encode(piece, &mut wire);
    }
    encoder.finish(&mut wire);
    let mut at_once = Vec::new();
    let mut encoder = ContentEncoder::new();
    encoder.encode(content, &mut at_once);
    encoder.finish(&mut at_once);
    assert!(wire == at_once);
    assert_whole_lines(&wire);

    let alone = wire
        .split(|octet| *octet == b'\n')
        .filter(|line| *line == b".\r");
    assert_eq!(alone.count(), 1, "a dot alone ends it");
    let next = b"MAIL FROM:<a@b.example>\r\n.\r\n";
    let behind = [wire.as_slice(), next].concat();
    for mode in MODES {
        let decoded = decode(mode, cut(seed, &behind));
        assert_eq!(decoded.progress, ContentProgress::End);
        assert!(!decoded.has_bare_newline);
        assert!(decoded.content == content);
    }
    assert_eq!(decode(BareNewline::Lenient, [behind.as_slice()]).rest, next);
}
