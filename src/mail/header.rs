//! The header section on its way through: what is missing is supplied, the rest is not touched.
//!
//! RFC 6409 section 8 lets a submission server add Date and Message-ID; devices forget From as well.
//! Additions stand at the end of the section, where they disturb neither trace fields nor
//! signatures. The section is never held as a whole: a line at a time is enough, and one short field for those
//! that are judged by all they say: a field that says nothing is as good as missing.
//!
//! Two more things are mended, since Exchange may refuse them and no receiver sees a difference: a display name
//! that is an address and has no quotes, and lines over 998 octets, which are folded where they have white
//! space. Neither in a message with a DKIM signature, which may cover the octets as they are.

mod fold;
mod from;
#[cfg(test)]
mod tests;

use memchr::memchr;

use crate::mail::rewrite::from_in_place_of;
use fold::Fold;
use from::Verdict;

/// What is written into a message that lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplements {
    /// `local@domain`, without angle brackets.
    pub from: String,
    /// Whether it also takes the place of a From that is there, and of Sender.
    pub replaces_from: bool,
    /// In the same form; none is as good for the message as what it has.
    pub reply_to: Option<String>,
    /// As in RFC 5322 section 3.3.
    pub date: String,
    /// With angle brackets.
    pub message_id: String,
}

/// What a header section said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many hops the message has made (RFC 5321 section 6.3).
    pub received_count: u32,
    /// With angle brackets; the one supplied when there was none.
    pub message_id: Option<String>,
    /// The field's octets after the colon, folding included, up to a bound.
    pub subject: Option<Vec<u8>>,
    /// Some octet of it is not US-ASCII: allowed with SMTPUTF8 only (RFC 6532).
    pub eight_bit: bool,
    /// What had to be mended.
    pub flaws: Flaws,
    date: bool,
    from: bool,
    reply_to: bool,
    /// Some DKIM-Signature stands above.
    is_signed: bool,
}

/// What had to be mended in a header section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaws {
    /// No From, or one without an address.
    pub no_from: bool,
    /// No Date, or an empty one.
    pub no_date: bool,
    /// No Message-ID, or an empty one.
    pub no_message_id: bool,
    /// A display name in From that is an address, without quotes.
    pub unquoted_name: bool,
}

/// Passes a message through, block by block.
#[derive(Debug)]
pub struct HeaderPass {
    supplements: Supplements,
    seen: Seen,
    place: Place,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The field whose continuation lines may follow.
    field: Field,
    /// That field so far, if it is judged as a whole.
    held: Vec<u8>,
    /// The first From that another takes the place of.
    replaced_from: Option<Vec<u8>>,
    fold: Fold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    /// Inside a line too long to be held; its beginning has been looked at and passed on.
    LongLine,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    None,
    Subject,
    /// It is held until it ends.
    From,
    /// As From.
    Date,
    /// As From.
    MessageId,
    Other,
    /// Another takes its place.
    Dropped,
}

/// A longer line, or field that is held, is passed on in pieces; nothing of interest lies beyond.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// Of Subject and Message-ID, this much is looked at.
const CAPTURE_MAX_BYTES: usize = 4 * 1024;

impl HeaderPass {
    /// Nothing has been seen yet.
    pub fn new(supplements: Supplements) -> Self {
        Self {
            supplements,
            seen: Seen::default(),
            place: Place::LineStart,
            line: Vec::new(),
            field: Field::None,
            held: Vec::new(),
            replaced_from: None,
            fold: Fold::default(),
        }
    }

    /// What the section said; complete after [`HeaderPass::finish`].
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes a block of content, with CRLF line ends, and appends to `out` what is to be stored.
    pub fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while self.place != Place::Body && !octets.is_empty() {
            let (piece, rest, ended) = match memchr(b'\n', octets) {
                Some(at) => {
                    let (piece, rest) = octets.split_at(at + 1);
                    (piece, rest, true)
                }
                None => (octets, &[][..], false),
            };
            octets = rest;
            if self.place == Place::LongLine {
                if self.field != Field::Dropped {
                    self.seen.eight_bit |= !piece.is_ascii();
                    self.write_rest(piece, out);
                }
                if ended {
                    self.place = Place::LineStart;
                }
                continue;
            }
            self.line.extend_from_slice(piece);
            if ended || self.line.len() > LINE_MAX_BYTES {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, out);
                self.line = line;
                self.line.clear();
                if !ended && self.place == Place::LineStart {
                    self.place = Place::LongLine;
                }
            }
        }
        out.extend_from_slice(octets);
    }

    /// The content has ended; supplies what is missing if the section has not ended before.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.place == Place::Body {
            return;
        }
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, out);
        }
        if self.place != Place::Body {
            self.end_section(out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn take_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        match line {
            b"\r\n" | b"\n" => {
                self.end_section(out);
                out.extend_from_slice(line);
                return;
            }
            [b' ' | b'\t', ..] if self.field != Field::None => {
                self.seen.eight_bit |= !line.is_ascii();
                self.capture(line);
            }
            _ => {
                let Some(name) = field_name(line) else {
                    // Text where a field should stand: the section ended without its empty line.
                    self.end_section(out);
                    out.extend_from_slice(b"\r\n");
                    out.extend_from_slice(line);
                    return;
                };
                self.end_field(out);
                self.seen.eight_bit |= !line.is_ascii();
                self.begin_field(name);
                let after_name = line.get(name.len()..).unwrap_or_default();
                let colon = memchr(b':', after_name).map_or(0, |at| at + 1);
                self.capture(after_name.get(colon..).unwrap_or_default());
            }
        }
        match self.field {
            Field::From | Field::Date | Field::MessageId => self.hold(line, out),
            Field::Dropped => {}
            Field::None | Field::Subject | Field::Other => self.write(line, out),
        }
    }

    fn end_section(&mut self, out: &mut Vec<u8>) {
        self.end_field(out);
        self.supply(out);
        self.place = Place::Body;
    }

    fn begin_field(&mut self, name: &[u8]) {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let replaces_from = self.supplements.replaces_from;
        self.field = Field::Other;
        if is(b"received") {
            self.seen.received_count = self.seen.received_count.saturating_add(1);
        } else if is(b"dkim-signature") {
            self.seen.is_signed = true;
        } else if is(b"date") && !self.seen.date {
            self.field = Field::Date;
        } else if is(b"from") && (replaces_from || !self.seen.from) {
            self.field = Field::From;
        } else if is(b"sender") && replaces_from {
            self.field = Field::Dropped;
        } else if is(b"reply-to") {
            self.seen.reply_to = true;
        } else if is(b"subject") && self.seen.subject.is_none() {
            self.seen.subject = Some(Vec::new());
            self.field = Field::Subject;
        } else if is(b"message-id") && self.seen.message_id.is_none() {
            self.field = Field::MessageId;
        }
    }

    /// Keeps a line of a field that is judged as a whole, unless it gets too long for that: nobody leaves so
    /// much empty.
    fn hold(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if self.held.len() + line.len() <= LINE_MAX_BYTES {
            self.held.extend_from_slice(line);
            return;
        }
        let held = std::mem::take(&mut self.held);
        match self.field {
            Field::From if self.supplements.replaces_from => {
                self.field = Field::Dropped;
                return;
            }
            Field::From => self.seen.from = true,
            Field::Date => self.seen.date = true,
            Field::MessageId => self.seen.message_id = Some(message_id(value_of(&held))),
            Field::None | Field::Subject | Field::Other | Field::Dropped => {}
        }
        self.field = Field::Other;
        self.write_field(&held, out);
        self.write(line, out);
    }

    /// The field that was held, if any, has ended.
    fn end_field(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        match self.field {
            Field::From => self.end_from(&held, out),
            Field::Date => {
                self.seen.date = !value_of(&held).trim_ascii().is_empty();
                if self.seen.date {
                    self.write_field(&held, out);
                }
            }
            Field::MessageId => {
                let id = message_id(value_of(&held));
                if !matches!(id.as_str(), "" | "<>") {
                    self.seen.message_id = Some(id);
                    self.write_field(&held, out);
                }
            }
            Field::None | Field::Subject | Field::Other | Field::Dropped => {}
        }
        self.field = Field::None;
    }

    fn end_from(&mut self, held: &[u8], out: &mut Vec<u8>) {
        let value = value_of(held);
        let verdict = from::judge(value);
        if self.supplements.replaces_from {
            self.seen.flaws.no_from |= verdict == Verdict::Nobody;
            self.replaced_from.get_or_insert_with(|| value.to_vec());
            return;
        }
        match verdict {
            Verdict::Nobody => {
                self.replaced_from.get_or_insert_with(|| value.to_vec());
            }
            Verdict::Quoted(repaired) if !self.seen.is_signed => {
                self.seen.from = true;
                self.seen.flaws.unquoted_name = true;
                let name = held.len() - value.len();
                let field = [held.get(..name).unwrap_or_default(), &repaired].concat();
                self.write_field(&field, out);
            }
            Verdict::Quoted(_) | Verdict::Fine => {
                self.seen.from = true;
                self.write_field(held, out);
            }
        }
    }

    fn write_field(&mut self, field: &[u8], out: &mut Vec<u8>) {
        for line in field.split_inclusive(|octet| *octet == b'\n') {
            self.write(line, out);
        }
    }

    /// A line, or the beginning of one that is too long to be held.
    fn write(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if Fold::is_needed(line) {
            self.fold = Fold::default();
            self.write_rest(line, out);
        } else {
            out.extend_from_slice(line);
        }
    }

    fn write_rest(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.seen.is_signed {
            out.extend_from_slice(piece);
        } else {
            self.fold.push(piece, out);
        }
    }

    /// `text` is what follows the colon, or a continuation line.
    fn capture(&mut self, text: &[u8]) {
        if let (Field::Subject, Some(subject)) = (self.field, &mut self.seen.subject) {
            let room = CAPTURE_MAX_BYTES.saturating_sub(subject.len());
            subject.extend(text.iter().take(room));
        }
    }

    fn supply(&mut self, out: &mut Vec<u8>) {
        let flaws = &mut self.seen.flaws;
        let replaced = self.replaced_from.take();
        if !self.seen.from {
            flaws.no_from |= replaced.is_none() || !self.supplements.replaces_from;
            let field = from_in_place_of(replaced.as_deref(), &self.supplements.from);
            out.extend_from_slice(&field);
        }
        let mut add = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        if let Some(reply_to) = self.supplements.reply_to.as_ref()
            && !self.seen.reply_to
        {
            add("Reply-To", &format!("<{reply_to}>"));
        }
        if !self.seen.date {
            flaws.no_date = true;
            add("Date", &self.supplements.date);
        }
        if self.seen.message_id.is_none() {
            flaws.no_message_id = true;
            add("Message-ID", &self.supplements.message_id);
            self.seen.message_id = Some(self.supplements.message_id.clone());
        }
    }
}

/// What follows the colon of a field.
fn value_of(field: &[u8]) -> &[u8] {
    let colon = memchr(b':', field);
    colon.and_then(|at| field.get(at + 1..)).unwrap_or_default()
}

fn message_id(value: &[u8]) -> String {
    let shown = value.iter().filter(|octet| octet.is_ascii_graphic());
    shown
        .take(CAPTURE_MAX_BYTES)
        .map(|octet| char::from(*octet))
        .collect()
}

/// `field-name *WSP ":"` (RFC 5322 sections 3.6.8 and 4.5): the name, if the line begins a field.
pub(super) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', line)?;
    let name = line.get(..colon)?;
    let name = name.trim_ascii_end();
    let legal = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    legal.then_some(name)
}
