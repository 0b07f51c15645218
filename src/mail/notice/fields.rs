//! Header sections of other messages, read but never repaired.

use memchr::memmem;

use crate::mail::subject;

/// The header section at the beginning of `content`, its last line end included and the empty line
/// not. Of a section that does not end in it, the whole lines.
pub fn header_section(content: &[u8]) -> &[u8] {
    if content.starts_with(b"\r\n") {
        return &[];
    }
    let end = match memmem::find(content, b"\r\n\r\n") {
        Some(at) => at + 2,
        None => memmem::rfind(content, b"\r\n").map_or(0, |at| at + 2),
    };
    content.get(..end).unwrap_or_default()
}

/// The subject in a header section, decoded.
pub fn subject_of(header: &[u8]) -> Option<String> {
    let mut fields = fields(header);
    let (_, raw) = fields.find(|(name, _)| name.eq_ignore_ascii_case(b"subject"))?;
    subject::decode(raw)
}

/// Names and bodies of fields in their order, folding included.
pub(super) fn fields(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        // A line that begins with white space goes on with the field before it.
        loop {
            let line = rest.get(end..).unwrap_or_default();
            end += memchr::memchr(b'\n', line).map_or(line.len(), |at| at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, after) = rest.split_at_checked(end)?;
        rest = after;
        let colon = memchr::memchr(b':', field).unwrap_or(field.len());
        let (name, body) = field.split_at_checked(colon)?;
        Some((name.trim_ascii(), body.get(1..).unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_ends_before_the_empty_line() {
        for (content, section) in [
            (&b"A: b\r\n\r\nbody\r\n\r\n"[..], &b"A: b\r\n"[..]),
            (b"A: b\r\nC: d\r\n", b"A: b\r\nC: d\r\n"),
            (b"A: b\r\nC: cut o", b"A: b\r\n"),
            (b"\r\nbody", b""),
            (b"", b""),
        ] {
            assert_eq!(header_section(content), section);
        }
    }

    #[test]
    fn folded_fields_are_one() {
        let found: Vec<_> = fields(b"A : b\r\n c\r\n\td\r\nE:\r\nnonsense\r\n").collect();
        let expected: [(&[u8], &[u8]); 3] = [
            (b"A", b" b\r\n c\r\n\td\r\n"),
            (b"E", b"\r\n"),
            (b"nonsense", b""),
        ];
        assert_eq!(found[..2], expected[..2]);
        assert_eq!(found.len(), 3);
        assert_eq!(
            subject_of(b"X: y\r\nSUBJECT: =?utf-8?Q?f=C3=BCr?=\r\n alle\r\n").as_deref(),
            Some("für alle")
        );
        assert_eq!(subject_of(b"X: y\r\n"), None);
    }
}
