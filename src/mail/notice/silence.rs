//! Mail that is not answered with a notice.

use super::fields::fields;

/// Why nobody is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It is a notice, or another automatic answer: to tell of one would begin a loop.
    Notice,
    /// Whoever sent it wants no answer, or is a program. Somebody else may still be told.
    Unwanted,
}

/// Why the sender of a message with this header section is not told of it, if so.
///
/// `Precedence` says nothing about notices: newsletters want theirs.
pub fn silence(header: &[u8]) -> Option<Silence> {
    let mut unwanted = false;
    for (name, body) in fields(header) {
        let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
        if is("auto-submitted") {
            // RFC 3834 section 5; `auto-generated` is said by cron and the like of mail that answers
            // nothing.
            match word(body).as_str() {
                "no" | "" => {}
                "auto-generated" => unwanted = true,
                _ => return Some(Silence::Notice),
            }
        } else if is("content-type") && word(body) == "multipart/report" {
            return Some(Silence::Notice);
        } else if is("x-auto-response-suppress") {
            let text = String::from_utf8_lossy(body).to_ascii_lowercase();
            let mut words = text.split(',').map(str::trim);
            unwanted |= words.any(|word| matches!(word, "all" | "ndr"));
        }
    }
    unwanted.then_some(Silence::Unwanted)
}

/// What stands before the parameters.
fn word(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let end = text.find([';', '(']).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_and_answers_are_told_from_mail() {
        for (header, found) in [
            ("Subject: x\r\n", None),
            ("Auto-Submitted: no\r\n", None),
            (
                "Auto-Submitted: auto-generated\r\n",
                Some(Silence::Unwanted),
            ),
            (
                "AUTO-SUBMITTED: Auto-Replied (bounce)\r\n",
                Some(Silence::Notice),
            ),
            (
                "Auto-Submitted: auto-notified; owner-email=\"a@b\"\r\n",
                Some(Silence::Notice),
            ),
            (
                "Content-Type: multipart/mixed; boundary=multipart/report\r\n",
                None,
            ),
            (
                "Content-Type:\r\n Multipart/Report; report-type=delivery-status\r\n",
                Some(Silence::Notice),
            ),
            ("X-Auto-Response-Suppress: OOF, AutoReply\r\n", None),
            (
                "X-Auto-Response-Suppress: OOF, NDR\r\n",
                Some(Silence::Unwanted),
            ),
            ("X-Auto-Response-Suppress: All\r\n", Some(Silence::Unwanted)),
            (
                "X-Auto-Response-Suppress: All\r\nAuto-Submitted: auto-replied\r\n",
                Some(Silence::Notice),
            ),
            ("Precedence: bulk\r\nList-Id: <x>\r\n", None),
            ("Subject: x\r\n Auto-Submitted: auto-replied\r\n", None),
            ("", None),
        ] {
            assert_eq!(silence(header.as_bytes()), found, "{header}");
        }
    }
}
