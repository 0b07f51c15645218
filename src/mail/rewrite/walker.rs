//! Walks the parts of a message as it streams by, and gives the first texts their signature.
//!
//! Only lines that may be delimiters, header sections of parts and the texts in question are held;
//! everything else passes as it is.

use memchr::memchr;
use memchr::memmem;

use super::entity::{Entity, Media};
use super::remark::Remark;
use super::section::{Gathered, Meaning, Section};
use super::signature::Signature;
use super::text_part::TextPart;

/// Deeper parts are passed unseen.
const LEVELS_MAX: usize = 16;

/// A part with a longer header section is passed unseen.
const PART_SECTION_MAX_BYTES: usize = 32 * 1024;

/// A longer line is no delimiter.
const DELIMITER_MAX_BYTES: usize = 512;

/// Passes the body of a message, and what belongs to it.
#[derive(Debug)]
pub(super) struct Walker {
    text: Option<String>,
    html: Option<String>,
    levels: Vec<Level>,
    place: Place,
    /// The part that is being held.
    part: Option<TextPart>,
    outcome: Outcome,
}

/// What came of the signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) signed_text: bool,
    pub(super) signed_html: bool,
    pub(super) remarks: Vec<Remark>,
}

/// A multipart that is open.
#[derive(Debug)]
struct Level {
    boundary: Vec<u8>,
    is_related: bool,
    parts: usize,
}

#[derive(Debug)]
enum Place {
    Section(Section),
    /// At the beginning of a line, or within one that may be a delimiter yet.
    Line(Vec<u8>),
    WithinLine,
    /// Nothing more to do: the rest is passed.
    Done,
}

impl Walker {
    /// One that passes everything.
    pub(super) fn idle() -> Self {
        Self::new(&Signature::default())
    }

    /// Begins after the header section of the message.
    pub(super) fn new(signature: &Signature) -> Self {
        Self {
            text: signature.text(),
            html: signature.html(),
            levels: Vec::new(),
            place: Place::Done,
            part: None,
            outcome: Outcome::default(),
        }
    }

    /// What it may yet add to the message, at the most.
    pub(super) fn growth_max(&self) -> u64 {
        if matches!(self.place, Place::Done) {
            return 0;
        }
        growth_max(self.text.as_deref(), self.html.as_deref())
            + self.part.as_ref().map_or(0, TextPart::own_growth_max)
    }

    /// Takes the header section of the message, its empty line included.
    pub(super) fn begin(&mut self, section: Vec<u8>, out: &mut Vec<u8>) {
        if self.is_idle() {
            out.extend_from_slice(&section);
        } else {
            self.enter(section, out);
        }
    }

    fn is_idle(&self) -> bool {
        self.text.is_none() && self.html.is_none()
    }

    /// Takes a block of the body.
    pub(super) fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while !octets.is_empty() {
            octets = match &mut self.place {
                Place::Done => {
                    out.extend_from_slice(octets);
                    return;
                }
                Place::Section(_) => self.take_section(octets, out),
                Place::Line(line) if line.is_empty() && !octets.starts_with(b"-") => {
                    self.place = Place::WithinLine;
                    octets
                }
                Place::Line(_) => self.take_line(octets, out),
                Place::WithinLine => self.take_rest(octets, out),
            };
        }
    }

    /// The message has ended.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Outcome {
        match std::mem::replace(&mut self.place, Place::Done) {
            Place::Section(section) => match self.delimiter(section.line()) {
                Some(_) => {
                    let (before, line) = section.split_line();
                    out.extend_from_slice(&before);
                    self.take_whole_line(&line, out);
                }
                None => out.extend_from_slice(&section.into_octets()),
            },
            Place::Line(line) => self.take_whole_line(&line, out),
            Place::WithinLine | Place::Done => {}
        }
        // A header section that begins after the last line has nothing in it.
        self.end_part(false, out);
        let is_left = !self.is_idle();
        let is_placed = self.outcome.signed_text || self.outcome.signed_html;
        if is_left && !is_placed && self.outcome.remarks.is_empty() {
            self.outcome.remarks.push(Remark::NoText);
        }
        self.outcome
    }

    /// Reads a part's section up to the end of a line; answers what is left.
    fn take_section<'a>(&mut self, octets: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Place::Section(section) = &mut self.place else {
            return octets;
        };
        let (taken, gathered) = section.gather(octets);
        let rest = octets.get(taken..).unwrap_or_default();
        if gathered == Gathered::Part {
            return rest;
        }
        let Place::Section(mut section) = std::mem::replace(&mut self.place, Place::WithinLine)
        else {
            return rest;
        };
        if gathered == Gathered::TooLong {
            out.extend_from_slice(&section.into_octets());
        } else if self.delimiter(section.line()).is_some() {
            let (before, line) = section.split_line();
            out.extend_from_slice(&before);
            self.take_whole_line(&line, out);
        } else {
            match section.judge() {
                Meaning::Field => self.place = Place::Section(section),
                Meaning::End => self.enter(section.into_octets(), out),
                Meaning::Text => {
                    out.extend_from_slice(&section.into_octets());
                    self.place = Place::Line(Vec::new());
                }
            }
        }
        rest
    }

    /// Reads a line that may be a delimiter; answers what is left.
    fn take_line<'a>(&mut self, octets: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Place::Line(line) = &mut self.place else {
            return octets;
        };
        let end = memchr(b'\n', octets).map(|at| at + 1);
        let room = DELIMITER_MAX_BYTES.saturating_sub(line.len());
        let taken = end.unwrap_or(octets.len()).min(room);
        let (piece, rest) = octets.split_at_checked(taken).unwrap_or((octets, &[]));
        line.extend_from_slice(piece);
        let may_be = line.starts_with(b"--") || line.as_slice() == b"-";
        let is_ended = line.ends_with(b"\n");
        if may_be && !is_ended && line.len() < DELIMITER_MAX_BYTES {
            return rest;
        }
        let line = std::mem::take(line);
        if is_ended {
            self.place = Place::Line(Vec::new());
            self.take_whole_line(&line, out);
        } else {
            self.place = Place::WithinLine;
            self.pass(&line, out);
        }
        rest
    }

    /// Passes what cannot be a delimiter; answers what may be one.
    fn take_rest<'a>(&mut self, octets: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let line_at = match memmem::find(octets, b"\n--") {
            Some(at) => Some(at + 1),
            None if octets.ends_with(b"\n") => Some(octets.len()),
            None if octets.ends_with(b"\n-") => Some(octets.len() - 1),
            None => None,
        };
        let split = line_at.unwrap_or(octets.len());
        let (passed, rest) = octets.split_at_checked(split).unwrap_or((octets, &[]));
        if line_at.is_some() {
            self.place = Place::Line(Vec::new());
        }
        self.pass(passed, out);
        rest
    }

    fn take_whole_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some((level, closes)) = self.delimiter(line) else {
            self.pass(line, out);
            return;
        };
        self.end_part(true, out);
        out.extend_from_slice(line);
        self.levels.truncate(if closes { level } else { level + 1 });
        let is_done = self.levels.is_empty() || self.is_idle();
        self.place = match self.levels.last_mut() {
            Some(_) if is_done => Place::Done,
            None => Place::Done,
            Some(_) if closes => Place::Line(Vec::new()),
            Some(level) => {
                level.parts += 1;
                Place::Section(Section::new(PART_SECTION_MAX_BYTES))
            }
        };
    }

    /// `delimiter := "--" boundary`, `close-delimiter := delimiter "--"`, both with blanks after
    /// them (RFC 2046 section 5.1.1); a delimiter of an outer multipart ends the inner ones too.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--")?.trim_ascii_end();
        let mut levels = self.levels.iter().enumerate().rev();
        levels.find_map(
            |(number, level)| match line.strip_prefix(level.boundary.as_slice())? {
                b"" => Some((number, false)),
                b"--" => Some((number, true)),
                _ => None,
            },
        )
    }

    /// A header section has ended: decides what becomes of the body.
    fn enter(&mut self, section: Vec<u8>, out: &mut Vec<u8>) {
        let entity = Entity::read(&section);
        let is_message = self.levels.is_empty();
        let is_aside = self
            .levels
            .last()
            .is_some_and(|l| l.is_related && l.parts > 1);
        self.place = Place::Line(Vec::new());
        let signature = match &entity.media {
            _ if is_aside => None,
            Media::Plain => self.text.take(),
            Media::Html => self.html.take(),
            Media::Multipart {
                boundary,
                is_related,
            } if self.levels.len() < LEVELS_MAX => {
                self.levels.push(Level {
                    boundary: boundary.clone(),
                    is_related: *is_related,
                    parts: 0,
                });
                None
            }
            Media::Sealed => {
                // What stands beside it is about it: a list's footer, a gateway's warning.
                self.give_up(Remark::Sealed);
                None
            }
            Media::Multipart { .. } | Media::Other => None,
        };
        if let Some(signature) = signature {
            self.part = Some(TextPart::new(section, entity, signature, is_message));
            return;
        }
        out.extend_from_slice(&section);
        if self.levels.is_empty() || self.is_idle() {
            self.place = Place::Done;
        }
    }

    /// Octets of a body: to the text that is held, or on.
    fn pass(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match &mut self.part {
            None => out.extend_from_slice(octets),
            Some(part) => {
                if let Err(remark) = part.push(octets, out) {
                    self.part = None;
                    self.refuse(remark);
                }
            }
        }
    }

    fn end_part(&mut self, is_delimited: bool, out: &mut Vec<u8>) {
        let Some(part) = self.part.take() else {
            return;
        };
        let is_html = part.is_html();
        match part.finish(is_delimited, out) {
            Ok(()) if is_html => self.outcome.signed_html = true,
            Ok(()) => self.outcome.signed_text = true,
            Err(remark) => self.refuse(remark),
        }
    }

    fn refuse(&mut self, remark: Remark) {
        match remark {
            Remark::Sealed => self.give_up(remark),
            remark => self.outcome.remarks.push(remark),
        }
    }

    fn give_up(&mut self, remark: Remark) {
        self.text = None;
        self.html = None;
        self.outcome.remarks.push(remark);
    }
}

/// What these signatures may add to a message, at the most.
pub(super) fn growth_max(text: Option<&str>, html: Option<&str>) -> u64 {
    [text, html]
        .into_iter()
        .flatten()
        .map(TextPart::growth_max)
        .sum()
}
