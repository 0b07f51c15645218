//! An error with its causes on one line.

use std::error::Error;

/// `what: why: why that`. A cause whose text is part of the message already is not repeated, and line
/// ends become spaces.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = cause.source();
    }
    single_line(text)
}

/// Line ends become spaces, other control characters go.
pub(super) fn single_line(mut text: String) -> String {
    if text.contains(char::is_control) {
        let words: Vec<&str> = text.split_whitespace().collect();
        text = words.join(" ");
        text.retain(|c| !c.is_control());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Trouble {
        #[error("read it")]
        Apart(#[source] std::io::Error),
        #[error("read it: {0}")]
        Within(#[source] std::io::Error),
    }

    #[test]
    fn causes_are_told_once_and_on_one_line() {
        let cause = || std::io::Error::other("no\r\n such \x1b[31mdisk");
        for error in [Trouble::Apart(cause()), Trouble::Within(cause())] {
            assert_eq!(one_line(&error), "read it: no such [31mdisk");
        }
    }
}
