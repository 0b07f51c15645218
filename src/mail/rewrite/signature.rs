//! What is appended, and how it joins the text before it.

use memchr::memrchr_iter;

/// Put under the text that people read. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// For `text/plain`; its line ends do not matter.
    pub text: String,
    /// For `text/html`: a fragment, as it may stand within `<body>`.
    pub html: String,
}

impl Signature {
    /// Nothing to append at all.
    pub fn is_empty(&self) -> bool {
        self.text().is_none() && self.html().is_none()
    }

    /// With CRLF between its lines and none at its end.
    pub(super) fn text(&self) -> Option<String> {
        in_lines(&self.text)
    }

    /// As [`Signature::text`].
    pub(super) fn html(&self) -> Option<String> {
        in_lines(&self.html)
    }
}

fn in_lines(text: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text: String = text
        .chars()
        .filter(|c| matches!(c, '\n' | '\t') || !c.is_control())
        .collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.replace('\n', "\r\n"))
}

/// RFC 3676 sections 4.1 and 4.4: no blank at the end of a line, which would join it with the next,
/// except in the line that sets signatures apart; and one more before what begins like a quote.
pub(super) fn flowed(text: &str) -> String {
    let lines = text.split("\r\n").map(|line| match line {
        "--" | "-- " => "-- ".to_owned(),
        line => {
            let line = line.trim_end_matches(' ');
            let is_stuffed = line.starts_with([' ', '>']) || line.starts_with("From ");
            format!("{}{line}", if is_stuffed { " " } else { "" })
        }
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// A signature with the line ends it needs where it goes.
///
/// `before` is the decoded text before it. An empty line sets a signature apart from text; whoever
/// wants a rule or `-- ` writes it into the signature. What in HTML stands before `</body>` may be a MIME delimiter
/// as soon as its line ends there, so the signature goes on in a line that begins like one.
pub(super) fn join(before: &[u8], signature: &[u8], sets_apart: bool, ends_line: bool) -> Vec<u8> {
    let mut joined = Vec::with_capacity(signature.len() + 6);
    let is_blank = before.iter().all(u8::is_ascii_whitespace);
    let line = before.rsplit(|octet| *octet == b'\n').next();
    let may_end = sets_apart || line.is_some_and(|line| !line.starts_with(b"--"));
    if !before.is_empty() && !before.ends_with(b"\n") && may_end {
        joined.extend_from_slice(b"\r\n");
    }
    if sets_apart && !is_blank {
        joined.extend_from_slice(b"\r\n");
    }
    joined.extend_from_slice(signature);
    if ends_line {
        joined.extend_from_slice(b"\r\n");
    }
    joined
}

/// Where in HTML the visible text ends: before the last `</body>`, else before the last `</html>`.
pub(super) fn end_of_body(html: &[u8]) -> Option<usize> {
    let last = |tag: &[u8]| {
        memrchr_iter(b'<', html).find(|at| {
            let found = html.get(*at..*at + tag.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(tag))
        })
    };
    last(b"</body").or_else(|| last(b"</html"))
}

/// Whether a text has PGP armour in it (RFC 4880 section 6.2), which is signed or encrypted text.
pub(super) fn has_armour(text: &[u8]) -> bool {
    const ARMOUR: &[u8] = b"-----BEGIN PGP ";
    memchr::memmem::find_iter(text, ARMOUR).any(|at| {
        at == 0
            || text
                .get(at - 1)
                .is_some_and(|before| matches!(before, b'\n' | b'>'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_consists_of_lines() {
        let signature = Signature {
            text: "one\n\u{7}two\r\nthree\n\n".into(),
            html: "\n".into(),
        };
        assert_eq!(signature.text().as_deref(), Some("one\r\ntwo\r\nthree"));
        assert_eq!(signature.html(), None);
        assert!(!signature.is_empty());
    }

    #[test]
    fn flowed_lines_stay_lines() {
        let text = "-- \r\nA  \r\n> b\r\nFrom c\r\n d\r\n--";
        assert_eq!(flowed(text), "-- \r\nA\r\n > b\r\n From c\r\n  d\r\n-- ");
    }

    #[test]
    fn text_before_a_tag_becomes_no_delimiter() {
        let html = |before: &[u8]| join(before, b"<p>s</p>", false, true);
        assert_eq!(html(b"<body>a"), b"\r\n<p>s</p>\r\n");
        assert_eq!(html(b"<body>\r\n--b=_1"), b"<p>s</p>\r\n");
        assert_eq!(html(b"--b=_1\r\n"), b"<p>s</p>\r\n");
        assert_eq!(join(b"--", b"s", true, false), b"\r\n\r\ns");
    }

    #[test]
    fn the_visible_end_of_html_is_found() {
        for (html, at) in [
            (&b"<body>a</BODY ></html>"[..], Some(7)),
            (b"</body>x</body>", Some(8)),
            (b"<html>a</html>", Some(7)),
            (b"a", None),
        ] {
            assert_eq!(end_of_body(html), at);
        }
    }
}
