//! A text that is held until its end is known, because something is to be put there.

use super::charset::Charset;
use super::entity::{Encoding, Entity, Media};
use super::label::relabel;
use super::remark::Remark;
use super::signature::{end_of_body, flowed, has_armour, join};
use super::transfer::{
    Base64, LINE_MAX_BYTES, QuotedPrintable, base64_characters, encode_quoted_printable,
    insert_identity, insert_quoted_printable, whole_base64_quanta,
};

/// A longer text is passed on, except for its end.
const HELD_MAX_BYTES: usize = 1024 * 1024;

/// Of a longer text, this much of its end is held.
const TAIL_BYTES: usize = 4 * 1024;

/// What encoding a text anew may add to it, beyond the signature.
const REENCODING_MAX_BYTES: usize = 32 * 1024;

/// A `text/plain` or `text/html` on its way through, and the signature it is to get.
#[derive(Debug)]
pub(super) struct TextPart {
    /// Empty once it has been passed on.
    section: Vec<u8>,
    entity: Entity,
    signature: String,
    /// The whole message is this text.
    is_message: bool,
    held: Vec<u8>,
    passed: Option<Passed>,
}

/// What has to be known of the text that was passed on.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    base64_characters: usize,
    is_padded: bool,
    is_eight_bit: bool,
}

/// The section, when its labels have changed, and the text with its signature.
type Signed = (Option<Vec<u8>>, Vec<u8>);

impl TextPart {
    pub(super) fn new(
        section: Vec<u8>,
        entity: Entity,
        signature: String,
        is_message: bool,
    ) -> Self {
        Self {
            section,
            entity,
            signature,
            is_message,
            held: Vec::new(),
            passed: None,
        }
    }

    /// What a signature may add to a message, at the most.
    pub(super) fn growth_max(signature: &str) -> u64 {
        // An octet becomes at most "=XX", a character of two octets "&#2047;", and base64 adds a
        // third; line ends, blanks and labels are few.
        (signature.len() * 6 + 512 + REENCODING_MAX_BYTES) as u64
    }

    /// As [`TextPart::growth_max`], of the signature it is to get.
    pub(super) fn own_growth_max(&self) -> u64 {
        Self::growth_max(&self.signature)
    }

    pub(super) fn is_html(&self) -> bool {
        self.entity.media == Media::Html
    }

    /// Takes more of the text.
    ///
    /// # Errors
    /// When it has turned out that this text gets no signature. All of it is in `out` then.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), Remark> {
        self.held.extend_from_slice(octets);
        let is_first = self.passed.is_none();
        let max = if is_first {
            HELD_MAX_BYTES
        } else {
            4 * TAIL_BYTES
        };
        if self.held.len() <= max {
            return Ok(());
        }
        if is_first {
            out.append(&mut self.section);
            if let Err(remark) = self.judge_beginning() {
                out.append(&mut self.held);
                return Err(remark);
            }
        }
        self.pass_on(out);
        Ok(())
    }

    /// Passes on all but the end. Where that begins depends on the length of the text alone, not on
    /// the blocks it came in.
    fn pass_on(&mut self, out: &mut Vec<u8>) {
        let count = self.held.len().saturating_sub(TAIL_BYTES) / TAIL_BYTES * TAIL_BYTES;
        let kept = self.held.split_off(count);
        let mut passed = self.passed.unwrap_or_default();
        passed.base64_characters += base64_characters(&self.held);
        passed.is_padded |= memchr::memchr(b'=', &self.held).is_some();
        passed.is_eight_bit |= !self.held.is_ascii();
        self.passed = Some(passed);
        out.append(&mut self.held);
        self.held = kept;
    }

    /// Of a text too long to be held: whether it may be signed at all.
    fn judge_beginning(&self) -> Result<(), Remark> {
        let held = self.held.get(..HELD_MAX_BYTES).unwrap_or(&self.held);
        let whole_quanta;
        let beginning = match self.entity.encoding {
            Encoding::Base64 => {
                whole_quanta = whole_base64_quanta(held);
                &whole_quanta
            }
            _ => held,
        };
        if has_armour(self.decode(beginning)?.octets()) {
            return Err(Remark::Sealed);
        }
        Ok(())
    }

    /// The text has ended, at the end of the message or at a delimiter line. The line end before a
    /// delimiter belongs to it (RFC 2046 section 5.1.1) and stays in front of it.
    ///
    /// # Errors
    /// When this text gets no signature. It is in `out` as it was then.
    pub(super) fn finish(mut self, is_delimited: bool, out: &mut Vec<u8>) -> Result<(), Remark> {
        if self.passed.is_some() {
            self.pass_on(out);
        }
        let line_end: &[u8] = match self.held.as_slice() {
            _ if !is_delimited => b"",
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\n'] => b"\n",
            _ => b"",
        };
        let body_bytes = self.held.len() - line_end.len();
        let body = self.held.get(..body_bytes).unwrap_or_default();
        match self.sign(body) {
            Ok((section, signed)) => {
                out.extend_from_slice(section.as_ref().unwrap_or(&self.section));
                out.extend_from_slice(&signed);
                let needs_line_end = is_delimited || !signed.ends_with(b"\n");
                let line_end = match line_end {
                    b"" if needs_line_end => b"\r\n",
                    line_end => line_end,
                };
                out.extend_from_slice(line_end);
                Ok(())
            }
            Err(remark) => {
                out.append(&mut self.section);
                out.append(&mut self.held);
                Err(remark)
            }
        }
    }

    fn sign(&self, body: &[u8]) -> Result<Signed, Remark> {
        let is_whole = self.passed.is_none();
        let decoded = self.decode(body)?;
        let text = decoded.octets();
        if is_whole && has_armour(text) {
            return Err(Remark::Sealed);
        }
        let is_html = self.is_html();
        let before_tag = if is_html && is_whole {
            end_of_body(text)
        } else {
            None
        };
        let at = before_tag.unwrap_or(text.len());
        let ends_line = match decoded {
            _ if before_tag.is_some() || (self.is_message && body.is_empty()) => true,
            Decoded::Base64(_) => text.ends_with(b"\n"),
            _ => body.ends_with(b"\n"),
        };
        let written = self.write(&decoded, text)?;
        let before = text.get(..at).unwrap_or_default();
        let piece = join(before, &written.octets, !is_html, ends_line);

        let is_identity = matches!(decoded, Decoded::Identity(_));
        let is_too_wide = piece
            .split(|b| *b == b'\n')
            .any(|l| l.len() > LINE_MAX_BYTES + 1);
        let is_reencoded = is_identity && (written.needs_encoding || is_too_wide);
        if (is_reencoded || written.needs_utf8) && !is_whole {
            return Err(Remark::TextTooLong);
        }
        let signed = match &decoded {
            Decoded::Identity(text) if is_reencoded => {
                let mut signed = Vec::with_capacity(text.len() + piece.len());
                encode_quoted_printable(&insert_identity(text, at, &piece), &mut signed);
                signed
            }
            Decoded::Identity(text) => insert_identity(text, at, &piece),
            Decoded::QuotedPrintable(_) => insert_quoted_printable(body, at, &piece),
            Decoded::Base64(base64) => base64.insert(at, &piece),
        };
        let max = body.len() as u64 + Self::growth_max(&self.signature);
        if signed.len() as u64 > max {
            return Err(Remark::TextTooLong);
        }
        if !is_reencoded && !written.needs_utf8 {
            return Ok((None, signed));
        }
        let section = relabel(
            &self.section,
            written.needs_utf8,
            is_reencoded,
            self.is_message,
        );
        Ok((Some(section.ok_or(Remark::Malformed)?), signed))
    }

    /// The signature in the part's character set.
    ///
    /// Text of 7 bits gets no octet above them: the envelope may have promised so, and an upstream
    /// without 8BITMIME could not take it.
    fn write(&self, decoded: &Decoded<'_>, text: &[u8]) -> Result<Written, Remark> {
        let label = self.entity.charset.as_deref().unwrap_or_default();
        let charset = Charset::of(label).ok_or(Remark::Charset)?;
        let passed = self.passed.unwrap_or_default();
        let is_seven_bit = text.is_ascii() && !passed.is_eight_bit;
        let is_narrow = is_seven_bit && matches!(decoded, Decoded::Identity(_));
        let mut written = Written::default();
        if self.is_html() {
            let charset = if is_narrow { Charset::Ascii } else { charset };
            written.octets = charset.encode_html(&self.signature);
            return Ok(written);
        }
        let signature = if self.entity.is_flowed {
            flowed(&self.signature)
        } else {
            self.signature.clone()
        };
        written.octets = match charset.encode(&signature) {
            Some(octets) => octets,
            // US-ASCII is UTF-8 already, so the text stays what it is under the wider label.
            None if charset == Charset::Ascii && is_seven_bit => {
                written.needs_utf8 = true;
                signature.into_bytes()
            }
            None => return Err(Remark::Charset),
        };
        written.needs_encoding = is_narrow && !written.octets.is_ascii();
        Ok(written)
    }

    fn decode<'a>(&self, body: &'a [u8]) -> Result<Decoded<'a>, Remark> {
        let passed = self.passed.unwrap_or_default();
        match self.entity.encoding {
            Encoding::Identity => Ok(Decoded::Identity(body)),
            Encoding::QuotedPrintable => {
                let octets = QuotedPrintable::new(body).map(|(octet, _)| octet);
                Ok(Decoded::QuotedPrintable(octets.collect()))
            }
            Encoding::Base64 if passed.is_padded => Err(Remark::Malformed),
            Encoding::Base64 => Base64::decode(body, passed.base64_characters)
                .map(Decoded::Base64)
                .ok_or(Remark::Malformed),
            Encoding::Unknown => Err(Remark::Malformed),
        }
    }
}

#[derive(Debug)]
enum Decoded<'a> {
    Identity(&'a [u8]),
    QuotedPrintable(Vec<u8>),
    Base64(Base64<'a>),
}

impl Decoded<'_> {
    fn octets(&self) -> &[u8] {
        match self {
            Self::Identity(octets) => octets,
            Self::QuotedPrintable(octets) => octets,
            Self::Base64(base64) => &base64.decoded,
        }
    }
}

/// A signature in octets, and what the part must become to hold them.
#[derive(Debug, Default)]
struct Written {
    octets: Vec<u8>,
    needs_utf8: bool,
    needs_encoding: bool,
}
