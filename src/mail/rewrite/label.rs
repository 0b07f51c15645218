//! New labels on a text part whose old ones leave no room for a signature.

use super::section::fields;

/// Relabels a part as quoted-printable, or as UTF-8 where it was US-ASCII.
///
/// Everything else in the section stays as it is. `None` when the section has an unusual shape, in
/// which case the part is better left alone.
pub(super) fn relabel(
    section: &[u8],
    to_utf8: bool,
    to_quoted_printable: bool,
    is_message: bool,
) -> Option<Vec<u8>> {
    let body = section.strip_suffix(b"\r\n")?;
    if !body.is_empty() && !body.ends_with(b"\r\n") {
        return None;
    }
    let mut relabelled = Vec::with_capacity(section.len() + 128);
    let (mut has_type, mut has_version, mut length) = (false, false, 0);
    for field in fields(section) {
        length += field.octets.len();
        has_version |= field.is("MIME-Version");
        if field.is("Content-Type") {
            has_type = true;
            if to_utf8 {
                relabelled.extend(with_utf8(field.octets)?);
                continue;
            }
        } else if field.is("Content-Transfer-Encoding") && to_quoted_printable {
            continue;
        }
        relabelled.extend_from_slice(field.octets);
    }
    if length != body.len() {
        return None;
    }
    let mut add = |field: &str| relabelled.extend_from_slice(field.as_bytes());
    if is_message && !has_version {
        add("MIME-Version: 1.0\r\n");
    }
    if to_utf8 && !has_type {
        add("Content-Type: text/plain; charset=utf-8\r\n");
    }
    if to_quoted_printable {
        add("Content-Transfer-Encoding: quoted-printable\r\n");
    }
    add("\r\n");
    Some(relabelled)
}

fn with_utf8(field: &[u8]) -> Option<Vec<u8>> {
    let field = std::str::from_utf8(field).ok()?;
    let lower = field.to_ascii_lowercase();
    let changed = match lower.matches("charset").count() {
        0 if !lower.contains('(') => {
            let value = field.trim_end().trim_end_matches(';');
            format!("{value};\r\n charset=utf-8\r\n")
        }
        1 => {
            let mut names = ["us-ascii", "ansi_x3.4-1968", "ascii"].into_iter();
            let name = names.find(|name| lower.contains(name))?;
            let at = lower
                .find(name)
                .filter(|_| lower.matches(name).count() == 1)?;
            let after = field.get(at + name.len()..)?;
            format!("{}utf-8{after}", field.get(..at)?)
        }
        _ => return None,
    };
    Some(changed.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(section: &str, to_utf8: bool, is_message: bool) -> Option<String> {
        let relabelled = relabel(section.as_bytes(), to_utf8, true, is_message)?;
        Some(String::from_utf8(relabelled).unwrap())
    }

    #[test]
    fn labels_change_and_nothing_else() {
        const ADDED: &str = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
        for (section, expected) in [
            ("\r\n", "Content-Type: text/plain; charset=utf-8\r\n"),
            (
                "X: 1\r\nContent-Type: text/plain;\r\n\tCharset=\"US-ASCII\"; format=flowed\r\nY:\r\n 2\r\n\r\n",
                "X: 1\r\nContent-Type: text/plain;\r\n\tCharset=\"utf-8\"; format=flowed\r\nY:\r\n 2\r\n",
            ),
            (
                "Content-Transfer-Encoding: 7bit\r\nContent-Type: text/plain;\r\n\r\n",
                "Content-Type: text/plain;\r\n charset=utf-8\r\n",
            ),
        ] {
            let relabelled = text(section, true, false).unwrap();
            assert_eq!(relabelled, format!("{expected}{ADDED}"));
        }
        let relabelled = text("From: a@b\r\n\r\n", false, true).unwrap();
        assert_eq!(
            relabelled,
            format!("From: a@b\r\nMIME-Version: 1.0\r\n{ADDED}")
        );
    }

    #[test]
    fn an_unusual_section_is_left_alone() {
        for section in [
            "",
            "Content-Type: text/plain\r\n",
            "text without a field\r\n\r\n",
            "Content-Type: text/plain (charset=us-ascii); charset=us-ascii\r\n\r\n",
        ] {
            assert_eq!(text(section, true, false), None, "{section}");
        }
    }
}
