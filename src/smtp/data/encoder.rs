//! To the wire: dots stuffed, the end appended.

use bytes::BufMut;
use memchr::memmem;

/// Encodes one content, in pieces of any size.
///
/// The content is expected to hold only whole CRLFs, as [`crate::smtp::ContentDecoder`] leaves it; then
/// the output holds CRLF.CRLF once, at its end.
#[derive(Clone, Debug)]
pub struct ContentEncoder {
    last: Last,
}

/// The octets that the content so far ends with, as far as they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// CRLF, or there was nothing yet.
    LineEnd,
    Cr,
    Other,
}

impl Default for ContentEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ContentEncoder {
    /// An encoder before the first octet.
    pub fn new() -> Self {
        Self {
            last: Last::LineEnd,
        }
    }

    /// Appends `content` to `output`, with a second dot before each that begins a line.
    pub fn encode<B: BufMut>(&mut self, content: &[u8], output: &mut B) {
        let mut rest = content;
        // A CRLF may end just before this piece, or lie across its edge.
        if self.last == Last::Cr
            && let Some(after) = rest.strip_prefix(b"\n")
        {
            output.put_slice(b"\n");
            self.last = Last::LineEnd;
            rest = after;
        }
        if rest.is_empty() {
            return;
        }
        if self.last == Last::LineEnd && rest.starts_with(b".") {
            output.put_slice(b".");
        }
        let mut copied = 0;
        for position in memmem::find_iter(rest, b"\r\n.") {
            let line_start = position + 2;
            output.put_slice(rest.get(copied..line_start).unwrap_or_default());
            output.put_slice(b".");
            copied = line_start;
        }
        output.put_slice(rest.get(copied..).unwrap_or_default());
        self.last = match rest {
            [.., b'\r', b'\n'] => Last::LineEnd,
            [.., b'\r'] => Last::Cr,
            _ => Last::Other,
        };
    }

    /// Appends the line end that the content may lack, and the end of data.
    pub fn finish<B: BufMut>(self, output: &mut B) {
        if self.last != Last::LineEnd {
            output.put_slice(b"\r\n");
        }
        output.put_slice(b".\r\n");
    }
}
