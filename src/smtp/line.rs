//! Cuts command lines out of a stream.

use bytes::{Buf as _, BytesMut};
use memchr::memchr;

/// RFC 5321 section 4.5.3.1.4 asks for 512 octets, to which extensions add their parameters (RFC
/// 1870, 6152, 6531, 3461); 2,048 octets hold the longest MAIL and RCPT of them all.
pub const COMMAND_LINE_MAX_OCTETS: usize = 2048;

/// RFC 4954 section 4: a line of base64 in an AUTH exchange.
pub const AUTH_LINE_MAX_OCTETS: usize = 12_288;

/// What [`LineFramer::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// One line without its line end.
    Complete(BytesMut),
    /// A line over the limit has ended; its text is gone.
    TooLong,
}

/// Finds line ends and remembers, between two reads, how far it has looked.
///
/// A line ends in CRLF or, as old devices have it, in a bare LF: between commands nothing can be
/// smuggled by that. Octets of an over-long line are dropped as they come, so the buffer stays
/// within the limit plus one read; that it was too long is said once, when it ends, which keeps
/// replies in the order of commands.
#[derive(Clone, Debug)]
pub struct LineFramer {
    line_max_octets: usize,
    searched: usize,
    discarding: bool,
    has_bare_lf: bool,
}

impl LineFramer {
    /// `line_max_octets` counts the line end, as RFC 5321 does.
    pub fn new(line_max_octets: usize) -> Self {
        Self {
            line_max_octets,
            searched: 0,
            discarding: false,
            has_bare_lf: false,
        }
    }

    /// Whether some line ended in a bare LF so far, for a hint to the operator.
    pub fn has_bare_lf(&self) -> bool {
        self.has_bare_lf
    }

    /// Takes the next line out of `buffer`; `None` when more octets are needed.
    ///
    /// Between two calls octets may only be added at the end of `buffer`. Whoever takes octets out of
    /// it otherwise (content, a handshake) does so when no part of a line has been seen, or calls
    /// [`LineFramer::restart`].
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<Line> {
        let unsearched = buffer.get(self.searched..).unwrap_or_default();
        let Some(distance) = memchr(b'\n', unsearched) else {
            // One octet at least is still to come, the LF.
            if self.discarding || buffer.len() >= self.line_max_octets {
                self.discarding = true;
                buffer.clear();
            }
            self.searched = buffer.len();
            return None;
        };
        let length = self.searched + distance + 1;
        self.searched = 0;
        if self.discarding || length > self.line_max_octets {
            self.discarding = false;
            buffer.advance(length);
            return Some(Line::TooLong);
        }
        let mut line = buffer.split_to(length);
        line.truncate(length - 1);
        if line.ends_with(b"\r") {
            line.truncate(length - 2);
        } else {
            self.has_bare_lf = true;
        }
        Some(Line::Complete(line))
    }

    /// Whether part of a line has come, as far as [`LineFramer::next`] has looked.
    pub fn has_begun(&self) -> bool {
        self.discarding || self.searched > 0
    }

    /// Forgets a line begun: the buffer was emptied from outside.
    pub fn restart(&mut self) {
        self.searched = 0;
        self.discarding = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(framer: &mut LineFramer, buffer: &mut BytesMut) -> Vec<Option<String>> {
        std::iter::from_fn(|| framer.next(buffer))
            .map(|line| match line {
                Line::Complete(line) => Some(String::from_utf8_lossy(&line).into_owned()),
                Line::TooLong => None,
            })
            .collect()
    }

    #[test]
    fn lines_end_in_crlf_or_lf_and_the_rest_stays() {
        let mut framer = LineFramer::new(512);
        let mut buffer = BytesMut::from("HELO a\r\nNOOP\n\r\n\nDAT");
        assert_eq!(
            lines(&mut framer, &mut buffer),
            [
                Some("HELO a".to_owned()),
                Some("NOOP".to_owned()),
                Some(String::new()),
                Some(String::new())
            ]
        );
        assert_eq!(buffer, "DAT");
        buffer.extend_from_slice(b"A\r");
        assert_eq!(framer.next(&mut buffer), None);
        buffer.extend_from_slice(b"\n");
        assert_eq!(lines(&mut framer, &mut buffer), [Some("DATA".to_owned())]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_line_of_just_the_limit_passes() {
        let mut framer = LineFramer::new(8);
        let mut buffer = BytesMut::from("123456\r\n1234567\r\n1234567\nx\n");
        assert_eq!(
            lines(&mut framer, &mut buffer),
            [
                Some("123456".to_owned()),
                None,
                Some("1234567".to_owned()),
                Some("x".to_owned())
            ]
        );
    }

    #[test]
    fn an_over_long_line_is_said_once_and_never_stored() {
        let mut framer = LineFramer::new(16);
        let mut buffer = BytesMut::new();
        for _ in 0..1000 {
            buffer.extend_from_slice(&[b'x'; 100]);
            assert_eq!(framer.next(&mut buffer), None);
            assert!(buffer.is_empty() && framer.has_begun());
        }
        buffer.extend_from_slice(b"xx\r\nQUIT\r\n");
        assert_eq!(
            lines(&mut framer, &mut buffer),
            [None, Some("QUIT".to_owned())]
        );
        assert!(!framer.has_begun());
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            stream in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a')], 0..80),
            chunk in 1..9_usize,
        ) {
            let whole = lines(&mut LineFramer::new(10), &mut BytesMut::from(stream.as_slice()));
            let mut framer = LineFramer::new(10);
            let mut buffer = BytesMut::new();
            let mut pieces = Vec::new();
            for octets in stream.chunks(chunk) {
                buffer.extend_from_slice(octets);
                pieces.extend(lines(&mut framer, &mut buffer));
                prop_assert!(buffer.len() < 10);
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
