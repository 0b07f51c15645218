//! A message taken apart line by line, as simply as can be, to compare with.

/// RFC 5322 section 2.1, as far as it holds for what devices send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// With their folding and line ends.
    pub(super) fields: Vec<&'a [u8]>,
    /// What follows the empty line, or the first line that cannot be a field.
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn read(content: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        let mut field_at = None;
        let mut at = 0;
        let mut body_at = content.len();
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            let is_more = field_at.is_some() && matches!(line, [b' ' | b'\t', ..]);
            if !is_more {
                fields.extend(field_at.map(|start: usize| &content[start..at]));
                field_at = name(line).map(|_| at);
                if field_at.is_none() {
                    body_at = if line == b"\r\n" { at + 2 } else { at };
                    break;
                }
            }
            at += line.len();
        }
        fields.extend(field_at.map(|start| &content[start..]));
        Self {
            fields,
            body: &content[body_at..],
        }
    }

    /// The fields called `wanted`.
    pub(super) fn all(&self, wanted: &str) -> Vec<&'a [u8]> {
        let fields = self.fields.iter().copied();
        fields.filter(|field| is(field, wanted)).collect()
    }
}

/// Whether a field has one of these names, separated by spaces.
pub(super) fn is(field: &[u8], names: &str) -> bool {
    let name = name(field).unwrap_or_default();
    let mut names = names.split(' ');
    names.any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let name = line[..colon].trim_ascii_end();
    let is_legal = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_legal.then_some(name)
}
