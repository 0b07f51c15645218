//! From the wire: dots unstuffed, line ends made whole, the end found.

use bytes::{Buf as _, BufMut, BytesMut};
use memchr::memchr3_iter;

/// What is done about a CR or an LF that stands alone (RFC 5321 section 2.3.8 forbids both), and about NUL
/// (no message may hold it, RFC 5322 section 4), at which many a program behind us takes the text to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// It becomes CRLF in the content, and is no line end as far as the end of data and leading
    /// dots are concerned. NUL becomes a space: gone without a trace it would join what it parted.
    #[default]
    Normalize,
    /// The content is refused, once its end has come.
    Reject,
    /// As `Normalize`, but LF is a line end in every respect: `LF . LF`, `LF . CRLF` and
    /// `CRLF . LF` end the data too. Only for clients nobody can smuggle through.
    Lenient,
}

/// How far [`ContentDecoder::decode`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentProgress {
    /// All input is used up; the data goes on.
    NeedMore,
    /// The end of data was taken; the next command may follow in the input.
    End,
    /// As `End`, but the content held bare newlines or NULs and the policy is to reject it. What was
    /// decoded of it is to be thrown away.
    Refused,
}

/// Decodes one content, in pieces of any size.
///
/// # What comes out
/// Every CR is followed by LF and every LF preceded by CR, there is no NUL, and the content is empty or ends in
/// CRLF. That, and nothing else, is what keeps smuggled messages out: however the octets were
/// mixed, [`crate::smtp::ContentEncoder`] then sees every line that begins with a dot.
///
/// # What ends a line
/// Only the two octets CR LF, whatever stands before them; only after them (and at the start) is a
/// dot removed or the end of data looked for.
/// - bare LF: one CRLF in the content.
/// - bare CR: one CRLF in the content.
/// - CR CR LF: one CRLF in the content, not two. It comes from software that translates line ends
///   twice, where doubling every line end would cut the header section off after its first line.
///   The last two octets are a true CRLF, so a dot after them counts.
/// - Longer runs of CR are bare CRs before a CR CR LF. The decoder thus never holds back more than two
///   octets.
#[derive(Clone, Debug)]
pub struct ContentDecoder {
    bare_newline: BareNewline,
    state: State,
    has_bare_newline: bool,
    has_nul: bool,
    has_long_line: bool,
    /// Of the line in progress, in the content.
    line_octets: usize,
}

/// RFC 5322 section 2.1.1, without CRLF.
const LINE_MAX_OCTETS: usize = 998;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of the content or after a line end.
    LineStart,
    /// There, a dot was taken and not yet judged.
    Dot,
    /// There, a dot and a CR were taken.
    DotCr,
    /// Within a line.
    Text,
    /// One CR was taken.
    Cr,
    /// Two CRs were taken.
    CrCr,
    /// The end of data was taken.
    End,
}

impl ContentDecoder {
    /// A decoder at the first octet after the 354.
    pub fn new(bare_newline: BareNewline) -> Self {
        Self {
            bare_newline,
            state: State::LineStart,
            has_bare_newline: false,
            has_nul: false,
            has_long_line: false,
            line_octets: 0,
        }
    }

    /// Whether a bare CR or LF was met so far, for a hint to the operator.
    pub fn has_bare_newline(&self) -> bool {
        self.has_bare_newline
    }

    /// Whether a NUL was met so far.
    pub fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Whether a line over the 998 octets of RFC 5322 was met so far.
    pub fn has_long_line(&self) -> bool {
        self.has_long_line
    }

    /// Takes octets from the front of `input` and appends content to `output`, which must be
    /// able to grow: at most twice as many and four more. Once content is refused nothing more is appended.
    pub fn decode<B: BufMut>(&mut self, input: &mut BytesMut, output: &mut B) -> ContentProgress {
        while self.state != State::End {
            let Some(&octet) = input.first() else {
                return ContentProgress::NeedMore;
            };
            match (self.state, octet) {
                (State::LineStart, b'.') => self.take(input, State::Dot),
                (State::LineStart | State::Text, b'\n') => {
                    input.advance(1);
                    self.bare_lf(output);
                }
                (State::LineStart | State::Text, b'\r') => self.take(input, State::Cr),
                (State::LineStart | State::Text, b'\0') => {
                    self.has_nul = true;
                    self.take(input, State::Text);
                    self.line_octets += 1;
                    self.put(b" ", output);
                }
                (State::LineStart | State::Text, _) => self.run(input, output),

                (State::DotCr, b'\n') => self.take(input, State::End),
                (State::Dot, b'\n') if self.bare_newline == BareNewline::Lenient => {
                    self.has_bare_newline = true;
                    self.take(input, State::End);
                }
                (State::Dot, b'\r') => self.take(input, State::DotCr),
                // The dot was stuffing; what follows it is judged as the rest of the line.
                (State::Dot, _) => self.state = State::Text,
                (State::DotCr, _) => self.state = State::Cr,

                (State::Cr, b'\r') => self.take(input, State::CrCr),
                (State::Cr, b'\n') => {
                    self.take(input, State::LineStart);
                    self.put_line_end(output);
                }
                (State::Cr, _) => {
                    self.has_bare_newline = true;
                    self.state = State::Text;
                    self.put_line_end(output);
                }
                (State::CrCr, b'\n') => {
                    self.has_bare_newline = true;
                    self.take(input, State::LineStart);
                    self.put_line_end(output);
                }
                (State::CrCr, b'\r') => {
                    self.has_bare_newline = true;
                    self.take(input, State::CrCr);
                    self.put_line_end(output);
                }
                (State::CrCr, _) => {
                    self.has_bare_newline = true;
                    self.state = State::Text;
                    self.put_line_end(output);
                    self.put_line_end(output);
                }
                (State::End, _) => break,
            }
        }
        if self.is_refused() {
            ContentProgress::Refused
        } else {
            ContentProgress::End
        }
    }

    /// Copies the longest stretch that needs no change, across as many whole lines as possible, and
    /// stops before a CR or LF that must be judged, or a dot at the start of a line.
    fn run<B: BufMut>(&mut self, input: &mut BytesMut, output: &mut B) {
        let octets = input.as_ref();
        let mut end = octets.len();
        let mut state = State::Text;
        let mut newlines = memchr3_iter(b'\r', b'\n', b'\0', octets);
        let mut line = 0;
        while let Some(position) = newlines.next() {
            self.line_octets += position - line;
            line = position;
            match octets.get(position..) {
                Some([b'\r', b'\n', b'.', ..] | [b'\r', b'\n']) => {
                    self.end_line();
                    line = position + 2;
                    end = position + 2;
                    state = State::LineStart;
                    break;
                }
                Some([b'\r', b'\n', ..]) => {
                    self.end_line();
                    line = position + 2;
                    newlines.next();
                }
                _ => {
                    end = position;
                    break;
                }
            }
        }
        self.line_octets += end.saturating_sub(line);
        self.has_long_line |= self.line_octets > LINE_MAX_OCTETS;
        self.put(octets.get(..end).unwrap_or_default(), output);
        self.state = state;
        input.advance(end);
    }

    fn take(&mut self, input: &mut BytesMut, next: State) {
        input.advance(1);
        self.state = next;
    }

    fn bare_lf<B: BufMut>(&mut self, output: &mut B) {
        self.has_bare_newline = true;
        self.state = match self.bare_newline {
            BareNewline::Lenient => State::LineStart,
            BareNewline::Normalize | BareNewline::Reject => State::Text,
        };
        self.put_line_end(output);
    }

    fn put_line_end<B: BufMut>(&mut self, output: &mut B) {
        self.end_line();
        self.put(b"\r\n", output);
    }

    fn end_line(&mut self) {
        self.has_long_line |= self.line_octets > LINE_MAX_OCTETS;
        self.line_octets = 0;
    }

    fn put<B: BufMut>(&self, octets: &[u8], output: &mut B) {
        if !self.is_refused() {
            output.put_slice(octets);
        }
    }

    fn is_refused(&self) -> bool {
        (self.has_bare_newline || self.has_nul) && self.bare_newline == BareNewline::Reject
    }
}
