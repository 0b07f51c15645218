//! Subjects for people's eyes.

use exorelay::mail::subject;

use super::assert_one_line;

pub(super) fn run(raw: &[u8]) {
    let Some(subject) = subject::decode(raw) else {
        return;
    };
    assert_one_line(&subject);
    assert!(!subject.is_empty() && subject.chars().count() <= 251);
    assert!(
        !subject.contains("  ") && subject.trim() == subject,
        "{subject:?}"
    );
    // Plain text says what it said.
    if raw.iter().all(u8::is_ascii_alphanumeric) && raw.len() <= 250 {
        assert_eq!(subject.as_bytes(), raw);
    }
}
