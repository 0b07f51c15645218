//! A header section that is held while it is read, and its fields.

use memchr::memchr;

use crate::mail::header::field_name;

/// Grows line by line, up to a bound.
#[derive(Debug)]
pub(crate) struct Section {
    octets: Vec<u8>,
    /// Where the last line begins.
    line_at: usize,
    has_field: bool,
    max_bytes: usize,
}

/// What [`Section::gather`] arrived at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// The line has not ended yet.
    Part,
    /// [`Section::line`] is whole.
    Line,
    /// The bound is passed: what was gathered says nothing reliable.
    TooLong,
}

/// What the last line means for the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A field, or more of one.
    Field,
    /// The empty line that ends the section.
    End,
    /// Text where a field should stand: the section ended before it, without its empty line.
    Text,
}

impl Section {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            octets: Vec::new(),
            line_at: 0,
            has_field: false,
            max_bytes,
        }
    }

    /// Takes octets up to the end of a line; answers how many.
    pub(crate) fn gather(&mut self, octets: &[u8]) -> (usize, Gathered) {
        let (taken, ended) = match memchr(b'\n', octets) {
            Some(at) => (at + 1, true),
            None => (octets.len(), false),
        };
        let room = (self.max_bytes + 1).saturating_sub(self.octets.len());
        let taken = taken.min(room);
        self.octets.extend(octets.iter().take(taken));
        let gathered = if self.octets.len() > self.max_bytes {
            Gathered::TooLong
        } else if ended {
            Gathered::Line
        } else {
            Gathered::Part
        };
        (taken, gathered)
    }

    /// The line last gathered, with its line end.
    pub(crate) fn line(&self) -> &[u8] {
        self.octets.get(self.line_at..).unwrap_or_default()
    }

    /// Judges the line last gathered; the next one begins after it.
    pub(crate) fn judge(&mut self) -> Meaning {
        let meaning = match self.line() {
            b"\r\n" | b"\n" => Meaning::End,
            [b' ' | b'\t', ..] if self.has_field => Meaning::Field,
            line if field_name(line).is_some() => Meaning::Field,
            _ => Meaning::Text,
        };
        if meaning == Meaning::Field {
            self.has_field = true;
            self.line_at = self.octets.len();
        }
        meaning
    }

    /// What was gathered before the last line that was not judged a field, and that line.
    pub(crate) fn split_line(mut self) -> (Vec<u8>, Vec<u8>) {
        let line = self.octets.split_off(self.line_at.min(self.octets.len()));
        (self.octets, line)
    }

    pub(crate) fn into_octets(self) -> Vec<u8> {
        self.octets
    }
}

/// One field as it stands, folding and line end included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    /// What follows the colon.
    pub(crate) value: &'a [u8],
    pub(crate) octets: &'a [u8],
}

impl Field<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a section in their order; ends at the empty line, if there is one.
pub(crate) fn fields(section: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = section;
    std::iter::from_fn(move || {
        let name = field_name(first_line(rest))?;
        let mut length = first_line(rest).len();
        while let [b' ' | b'\t', ..] = rest.get(length..)? {
            length += first_line(rest.get(length..)?).len();
        }
        let (octets, next) = rest.split_at_checked(length)?;
        rest = next;
        let colon = memchr(b':', octets)?;
        Some(Field {
            name,
            value: octets.get(colon + 1..)?,
            octets,
        })
    })
}

fn first_line(octets: &[u8]) -> &[u8] {
    let length = memchr(b'\n', octets).map_or(octets.len(), |at| at + 1);
    octets.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_folding() {
        let section = b"A: 1\r\nb :\r\n\t2\r\n 3\r\nC:4\r\n\r\nD: 5\r\n";
        let found: Vec<_> = fields(section).map(|f| (f.name, f.value)).collect();
        let expected: [(&[u8], &[u8]); 3] = [
            (b"A", b" 1\r\n"),
            (b"b", b"\r\n\t2\r\n 3\r\n"),
            (b"C", b"4\r\n"),
        ];
        assert_eq!(found, expected);
        assert_eq!(fields(b"text\r\n").count(), 0);
        assert_eq!(fields(b"A: no line end").count(), 1);
    }

    #[test]
    fn a_section_is_never_longer_than_its_bound() {
        let mut section = Section::new(10);
        assert_eq!(section.gather(b"A: 345\r\n"), (8, Gathered::Line));
        assert_eq!(section.judge(), Meaning::Field);
        assert_eq!(section.gather(b"B: 2345678"), (3, Gathered::TooLong));
        assert_eq!(section.into_octets().len(), 11);
    }
}
