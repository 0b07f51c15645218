use bytes::BytesMut;
use memchr::memmem;
use proptest::prelude::*;

use super::*;

/// Content, what is left unread, how it ended.
fn decode(policy: BareNewline, chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>, ContentProgress) {
    let mut decoder = ContentDecoder::new(policy);
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    let mut progress = ContentProgress::NeedMore;
    for chunk in chunks {
        input.extend_from_slice(chunk);
        if progress == ContentProgress::NeedMore {
            progress = decoder.decode(&mut input, &mut output);
        }
    }
    (output, input.to_vec(), progress)
}

fn encode(chunks: &[&[u8]]) -> Vec<u8> {
    let mut encoder = ContentEncoder::new();
    let mut output = Vec::new();
    for chunk in chunks {
        encoder.encode(chunk, &mut output);
    }
    encoder.finish(&mut output);
    output
}

/// Octets in which every interesting mixture is likely.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        4 => Just(b'\r'),
        4 => Just(b'\n'),
        4 => Just(b'.'),
        2 => Just(b'a'),
        2 => Just(b'\0'),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(octet, 0..60)
}

fn any_policy() -> impl Strategy<Value = BareNewline> {
    prop_oneof![
        Just(BareNewline::Normalize),
        Just(BareNewline::Reject),
        Just(BareNewline::Lenient),
    ]
}

fn is_newline_clean(content: &[u8]) -> bool {
    let text: Vec<u8> = String::from_utf8_lossy(content)
        .replace("\r\n", "")
        .into_bytes();
    !text.contains(&b'\r') && !text.contains(&b'\n')
}

#[test]
fn content_is_decoded_by_the_table() {
    // (wire, content, what is left for the next command)
    let table: [(&[u8], &[u8], &[u8]); 20] = [
        (b".\r\n", b"", b""),
        (b".\r\nQUIT\r\n", b"", b"QUIT\r\n"),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b".a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", b""),
        (b"\r\n.\r\n.\r\n", b"\r\n", b".\r\n"),
        // Bare newlines neither end the data nor make a dot special.
        (b"a\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n", b""),
        (b"a\n.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n", b""),
        (b"a\r.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n", b""),
        (b"a\r.\rb\r\n.\r\n", b"a\r\n.\r\nb\r\n", b""),
        (b"a\n..\r\n.\r\n", b"a\r\n..\r\n", b""),
        // A dot after a true CRLF is stuffing whatever follows it.
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n", b""),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\r\nb\r\n", b""),
        (b".\r\r\n.\r\n", b"\r\n", b""),
        // Runs of CR.
        (b"a\r\r\nb\r\n.\r\n", b"a\r\nb\r\n", b""),
        (b"a\r\r\n.\r\nb", b"a\r\n", b"b"),
        (b"a\r\r\n..\r\n.\r\n", b"a\r\n.\r\n", b""),
        (b"a\r\rb\r\n.\r\n", b"a\r\n\r\nb\r\n", b""),
        (b"a\r\r\r\nb\r\n.\r\n", b"a\r\n\r\nb\r\n", b""),
        (b"a\n\n\r\n\n.\r\n.\r\n", b"a\r\n\r\n\r\n\r\n.\r\n", b""),
    ];
    for (wire, content, rest) in table {
        let expected = (content.to_vec(), rest.to_vec(), ContentProgress::End);
        let shown = wire.escape_ascii().to_string();
        assert_eq!(decode(BareNewline::Normalize, &[wire]), expected, "{shown}");
    }
}

#[test]
fn a_lenient_decoder_takes_lf_for_a_line_end() {
    let table: [(&[u8], &[u8], &[u8]); 7] = [
        (b"a\n.\nQUIT", b"a\r\n", b"QUIT"),
        (b"a\n.\r\nQUIT", b"a\r\n", b"QUIT"),
        (b"a\r\n.\nQUIT", b"a\r\n", b"QUIT"),
        (b".\nQUIT", b"", b"QUIT"),
        (b"a\n..b\n.\n", b"a\r\n.b\r\n", b""),
        (b"a\r.\rb\n.\n", b"a\r\n.\r\nb\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n", b""),
    ];
    for (wire, content, rest) in table {
        let expected = (content.to_vec(), rest.to_vec(), ContentProgress::End);
        assert_eq!(decode(BareNewline::Lenient, &[wire]), expected);
    }
}

#[test]
fn a_rejecting_decoder_keeps_the_session_in_step() {
    for wire in [
        &b"a\nb\r\n.\r\nQUIT"[..],
        b"a\rb\r\n.\r\nQUIT",
        b"a\r\r\nb\r\n.\r\nQUIT",
        b"a\n.\nMAIL\n.\r\nb\r\n.\r\nQUIT",
    ] {
        let (_, rest, progress) = decode(BareNewline::Reject, &[wire]);
        assert_eq!(
            (progress, rest.as_slice()),
            (ContentProgress::Refused, &b"QUIT"[..])
        );
    }
    let (content, _, progress) = decode(BareNewline::Reject, &[b"a\r\n..b\r\n.\r\n"]);
    assert_eq!(
        (progress, content.as_slice()),
        (ContentProgress::End, &b"a\r\n.b\r\n"[..])
    );
}

#[test]
fn nul_is_a_space_or_refused() {
    let table: [(&[u8], &[u8]); 6] = [
        (b"a\0b\r\n.\r\n", b"a b\r\n"),
        (b"\0\0\r\n\0.\r\n.\r\n", b"  \r\n .\r\n"),
        (b".\0\r\n.\r\n", b" \r\n"),
        (b"a\r\0\n.\r\n.\r\n", b"a\r\n \r\n.\r\n"),
        (b"a\r\n\0.\r\n.\0\r\n.\r\n", b"a\r\n .\r\n \r\n"),
        (b"a\r\n.\r\0\n.\r\n.\r\n", b"a\r\n\r\n \r\n.\r\n"),
    ];
    for (wire, content) in table {
        let expected = (content.to_vec(), Vec::new(), ContentProgress::End);
        let shown = wire.escape_ascii().to_string();
        assert_eq!(decode(BareNewline::Normalize, &[wire]), expected, "{shown}");
        let (_, rest, progress) = decode(BareNewline::Reject, &[wire, b"QUIT"]);
        let refused = (ContentProgress::Refused, &b"QUIT"[..]);
        assert_eq!((progress, &rest[..]), refused, "{shown}");
    }
    let (content, ..) = decode(BareNewline::Lenient, &[b"a\0b\n.\n"]);
    assert_eq!(content, b"a b\r\n");
}

#[test]
fn a_line_over_998_octets_is_noticed() {
    let line = |octets: usize| "x".repeat(octets);
    for (wire, expected) in [
        (format!("{}\r\n.\r\n", line(998)), false),
        (format!("{}\r\n.\r\n", line(999)), true),
        (format!("a\r\n{}\r\nb\r\n.\r\n", line(999)), true),
        (format!(".{}\r\n.\r\n", line(998)), false),
        (format!("{}\n{}\r\n.\r\n", line(998), line(998)), false),
        (format!("{}\n{}\r\n.\r\n", line(1), line(999)), true),
        (format!("{}\r{}\r\r\n.\r\n", line(998), line(998)), false),
        (format!("{}\0{}\r\n.\r\n", line(498), line(499)), false),
        (format!("{}\0{}\r\n.\r\n", line(499), line(499)), true),
    ] {
        for size in [1, 7, 998, usize::MAX] {
            let mut decoder = ContentDecoder::new(BareNewline::Normalize);
            let mut input = BytesMut::new();
            for chunk in wire.as_bytes().chunks(size) {
                input.extend_from_slice(chunk);
                decoder.decode(&mut input, &mut Vec::new());
            }
            assert_eq!(decoder.has_long_line(), expected, "{} octets", wire.len());
        }
    }
}

#[test]
fn a_refused_content_is_not_stored() {
    let (content, _, progress) = decode(BareNewline::Reject, &[b"a\nbbbb\r\ncccc"]);
    assert_eq!(
        (progress, content.as_slice()),
        (ContentProgress::NeedMore, &b"a"[..])
    );
}

#[test]
fn a_flood_of_newlines_is_not_held_back() {
    let mut decoder = ContentDecoder::new(BareNewline::Normalize);
    for _ in 0..10 {
        let mut output = Vec::new();
        let mut input = BytesMut::from(&[b'\r'; 1000][..]);
        assert_eq!(
            decoder.decode(&mut input, &mut output),
            ContentProgress::NeedMore
        );
        assert!((1996..=2000).contains(&output.len()));
    }
    assert!(decoder.has_bare_newline());
}

#[test]
fn the_encoder_stuffs_dots_and_completes_the_last_line() {
    let table: [(&[u8], &[u8]); 8] = [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n.\r\n", b"..\r\n..\r\n.\r\n"),
        (b"a\r\n.b.c\r\n", b"a\r\n..b.c\r\n.\r\n"),
        (b"\r\n\r\n.", b"\r\n\r\n..\r\n.\r\n"),
        (b"a\r", b"a\r\r\n.\r\n"),
    ];
    for (content, wire) in table {
        assert_eq!(encode(&[content]), wire);
        for split in 0..=content.len() {
            let (head, tail) = content.split_at(split);
            assert_eq!(encode(&[head, b"", tail]), wire);
        }
    }
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(lines in proptest::collection::vec("[.a ü]{0,6}", 0..12), policy in any_policy()) {
        let content = lines.iter().fold(String::new(), |content, line| content + line + "\r\n");
        let wire = [encode(&[content.as_bytes()]), b"QUIT\r\n".to_vec()].concat();
        let expected = (content.into_bytes(), b"QUIT\r\n".to_vec(), ContentProgress::End);
        prop_assert_eq!(decode(policy, &[&wire]), expected);
    }

    #[test]
    fn chunking_never_matters_to_the_decoder(wire in hostile(), policy in any_policy(), size in 1..5_usize) {
        let wire = [wire.as_slice(), b"\r\n.\r\n"].concat();
        let chunks: Vec<&[u8]> = wire.chunks(size).collect();
        prop_assert_eq!(decode(policy, &chunks), decode(policy, &[&wire]));
    }

    #[test]
    fn chunking_never_matters_to_the_encoder(content in hostile(), size in 1..5_usize) {
        let chunks: Vec<&[u8]> = content.chunks(size).collect();
        prop_assert_eq!(encode(&chunks), encode(&[&content]));
    }

    #[test]
    fn nothing_can_be_smuggled_behind_us(wire in hostile(), lenient in any::<bool>()) {
        let policy = if lenient { BareNewline::Lenient } else { BareNewline::Normalize };
        let wire = [wire.as_slice(), b"\r\n.\r\n"].concat();
        let (content, _, progress) = decode(policy, &[&wire]);
        prop_assert_eq!(progress, ContentProgress::End);
        prop_assert!(is_newline_clean(&content) && !content.contains(&0));
        prop_assert!(content.is_empty() || content.ends_with(b"\r\n"));
        // As the next hop sees it: after the CRLF of our DATA command.
        let onward = [b"\r\n".as_slice(), &encode(&[&content])].concat();
        let ends: Vec<usize> = memmem::find_iter(&onward, b"\r\n.\r\n").collect();
        prop_assert_eq!(ends, [onward.len() - 5]);
        // A hop that takes a bare LF for a line end finds no other end either.
        prop_assert_eq!(memmem::find(&onward, b"\n.\n"), None);
    }

    #[test]
    fn only_the_first_true_end_ends_strict_data(wire in hostile()) {
        let framed = [b"\r\n".as_slice(), &wire].concat();
        let (_, rest, progress) = decode(BareNewline::Normalize, &[&wire]);
        if let Some(position) = memmem::find(&framed, b"\r\n.\r\n") {
            prop_assert_eq!(progress, ContentProgress::End);
            prop_assert_eq!(rest, framed.get(position + 5..).unwrap());
        } else {
            prop_assert_eq!(progress, ContentProgress::NeedMore);
        }
    }
}
