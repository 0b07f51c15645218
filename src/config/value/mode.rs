//! Permissions of a file: `"0660"`.

use crate::config::setting::{Fault, Given, Setting, quoted};

/// The nine permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl Setting for Mode {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        // As a number it would be decimal: 660 is not 0660.
        let text = given.text()?;
        let octal = |text: &str| u32::from_str_radix(text, 8).ok();
        let digits = text.bytes().all(|octet| octet.is_ascii_digit());
        match octal(text) {
            Some(mode) if digits && (3..=4).contains(&text.len()) && mode <= 0o777 => {
                Ok(Self(mode))
            }
            _ => Err(Fault(format!(
                "{} is no file mode; write four octal digits in quotes, such as \"0660\"",
                quoted(text)
            ))),
        }
    }

    fn shown(&self) -> serde_json::Value {
        format!("{:04o}", self.0).into()
    }
}
