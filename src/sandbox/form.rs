//! `application/x-www-form-urlencoded`, as strict as a token endpoint should be.

/// The fields of a form; `None` when it is malformed or names a field twice.
pub(super) fn decode(body: &[u8]) -> Option<Vec<(String, String)>> {
    let mut fields: Vec<(String, String)> = Vec::new();
    if body.is_empty() {
        return Some(fields);
    }
    for pair in body.split(|&octet| octet == b'&') {
        let at = memchr::memchr(b'=', pair)?;
        let (name, value) = pair.split_at(at);
        let name = component(name)?;
        let value = component(value.get(1..)?)?;
        if fields.iter().any(|(known, _)| *known == name) {
            return None;
        }
        fields.push((name, value));
    }
    Some(fields)
}

/// Decodes `+` and `%XX`. Any octet that a serializer must escape is refused, so that a client that forgets it shows
/// (facts D.7).
pub(super) fn component(text: &[u8]) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let high = char::from(*rest.next()?).to_digit(16)?;
                let low = char::from(*rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            // Serializers disagree about these; all of them are unambiguous.
            b'-' | b'_' | b'.' | b'~' | b'*' | b':' | b'/' | b'!' | b'\'' | b'(' | b')' => octet,
            _ if octet.is_ascii_alphanumeric() => octet,
            _ => return None,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_decode() {
        let fields = decode(b"client_secret=a%7E%2B%2F+%3D&x=&scope=https://h/.default").unwrap();
        let pairs: Vec<(&str, &str)> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("client_secret", "a~+/ ="),
                ("x", ""),
                ("scope", "https://h/.default")
            ]
        );
        assert_eq!(decode(b""), Some(Vec::new()));
    }

    #[test]
    fn malformed_forms_are_refused() {
        for body in [
            &b"a"[..],
            b"a=1&a=2",
            b"a=1&",
            b"a=%",
            b"a=%2",
            b"a=%zz",
            b"a=%ff",
            b"a=b=c",
            b"a=b c",
            b"a=\xc3\xa4",
        ] {
            assert_eq!(decode(body), None, "{body:?}");
        }
    }
}
