//! Enhanced mail system status codes (RFC 3463).

use std::fmt;

/// `class "." subject "." detail`, RFC 3463 section 2; class is 2, 4 or 5.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatus {
    class: u8,
    subject: u16,
    detail: u16,
}

/// A text is not an enhanced status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code such as 4.3.1")]
pub struct EnhancedStatusError;

impl EnhancedStatus {
    /// For the replies this program writes itself.
    ///
    /// # Panics
    /// When `class` is not 2, 4 or 5, or a part has more than three digits: a mistake in our own text.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        assert!(matches!(class, 2 | 4 | 5) && subject < 1000 && detail < 1000);
        Self {
            class,
            subject,
            detail,
        }
    }

    /// Decodes `5.7.139`; each part is one to three digits (RFC 3463 section 2).
    pub fn parse(text: &str) -> Result<Self, EnhancedStatusError> {
        let mut parts = text.split('.').map(|part| {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if digits {
                part.parse::<u16>().ok()
            } else {
                None
            }
        });
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(class @ (2 | 4 | 5))), Some(Some(subject)), Some(Some(detail)), None) => {
                Ok(Self {
                    class: class as u8,
                    subject,
                    detail,
                })
            }
            _ => Err(EnhancedStatusError),
        }
    }

    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The second number.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third number.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decode_and_encode() {
        for text in ["2.0.0", "4.3.1", "5.7.139", "5.2.252"] {
            assert_eq!(EnhancedStatus::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "", "2", "3.0.0", "5.7", "5.7.1.1", "5.7.1000", "5.+7.1", "5.7.", "a.b.c",
        ] {
            assert_eq!(
                EnhancedStatus::parse(text),
                Err(EnhancedStatusError),
                "{text}"
            );
        }
    }
}
