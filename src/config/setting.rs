//! How one value is parsed from what was written, and shown again.

use std::borrow::Cow;
use std::path::PathBuf;

use figment::value::Value;

use super::file;
use super::layers::Layer;
use crate::mail::Mailbox;

/// A type that a key can have.
pub(super) trait Setting: Sized {
    /// Parses what was written. The fault must not quote anything that could be a secret.
    fn parse(given: &Given<'_>) -> Result<Self, Fault>;

    /// The value as it would be written in the file; a secret only as `(redacted)`.
    fn shown(&self) -> serde_json::Value;
}

/// What is wrong with a value and the remedy, without key and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

/// What was written for a key, in any layer.
#[derive(Clone, Copy)]
pub(super) struct Given<'v> {
    pub(super) value: &'v Value,
    pub(super) layer: Layer,
}

impl<'v> Given<'v> {
    /// The text, which in the file must stand in quotes.
    pub(super) fn text(&self) -> Result<&'v str, Fault> {
        match self.value {
            Value::String(_, text) => Ok(text),
            other => Err(Fault(format!(
                "is {}, not text; write it in quotes",
                kind(other)
            ))),
        }
    }

    /// A whole number, which in variables and arguments is text.
    pub(super) fn integer(&self) -> Result<u64, Fault> {
        let fault = |what: String| Fault(format!("{what}; write a whole number such as 100"));
        match self.value {
            Value::Num(_, number) => {
                let number = number.to_i128().map(u64::try_from);
                number
                    .and_then(Result::ok)
                    .ok_or_else(|| fault("is not a whole number from 0 up".to_owned()))
            }
            Value::String(_, text) if self.is_textual() => {
                let digits = text.trim().replace('_', "");
                digits
                    .parse()
                    .map_err(|_| fault(format!("{} is not a whole number", quoted(text))))
            }
            Value::String(..) => Err(fault("is text, not a number; leave the quotes out".into())),
            other => Err(fault(format!("is {}, not a number", kind(other)))),
        }
    }

    /// The items of a list. A variable or an argument writes `["a", "b"]` or only `a, b`.
    pub(super) fn items(&self) -> Result<Cow<'v, [Value]>, Fault> {
        match self.value {
            Value::Array(_, items) => Ok(Cow::Borrowed(items)),
            Value::String(_, text) if self.is_textual() => Ok(Cow::Owned(split(text))),
            Value::String(_, text) if text.is_empty() => Ok(Cow::Owned(Vec::new())),
            other => Err(Fault(format!(
                "is {}, not a list; put it in brackets: [...]",
                kind(other)
            ))),
        }
    }

    /// Whether the layer knows only text.
    pub(super) fn is_textual(&self) -> bool {
        self.layer != Layer::File
    }

    /// Whether the key was left empty, which means "not set" wherever that has a meaning.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.value, Value::String(_, text) if text.is_empty())
    }
}

/// `text` for an error message: quoted, escaped, and no longer than a line.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTED_MAX_CHARS).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{dots}")
}

/// What `value` is, in a sysadmin's words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "text",
        Value::Bool(..) => "true or false",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}

fn split(text: &str) -> Vec<Value> {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        if let Some(Value::Array(_, items)) = file::decode_value(text) {
            return items;
        }
        return split(inner);
    }
    let items = text.split(',').map(str::trim).filter(|t| !t.is_empty());
    items.map(Value::from).collect()
}

const QUOTED_MAX_CHARS: usize = 60;

/// Empty text is the value that is not there.
impl<T: Setting> Setting for Option<T> {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        if given.is_empty() {
            return Ok(None);
        }
        T::parse(given).map(Some)
    }

    fn shown(&self) -> serde_json::Value {
        self.as_ref().map_or_else(|| "".into(), Setting::shown)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let items = given.items()?;
        let item = |value| {
            T::parse(&Given {
                value,
                layer: given.layer,
            })
        };
        items.iter().map(item).collect()
    }

    fn shown(&self) -> serde_json::Value {
        self.iter().map(Setting::shown).collect()
    }
}

impl Setting for u32 {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        Self::try_from(given.integer()?)
            .map_err(|_| Fault(format!("is too large; at most {}", Self::MAX)))
    }

    fn shown(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Setting for u16 {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        Self::try_from(given.integer()?)
            .map_err(|_| Fault(format!("is too large; at most {}", Self::MAX)))
    }

    fn shown(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Setting for f64 {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let number = match given.value {
            Value::Num(_, number) => number
                .to_f64()
                .or_else(|| number.to_i128().map(|n| n as Self)),
            Value::String(_, text) if given.is_textual() => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| Fault("is not a number; write one such as 2.0, without quotes".into()))
    }

    fn shown(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Setting for bool {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        match given.value {
            Value::Bool(_, truth) => Ok(*truth),
            Value::String(_, text) if given.is_textual() && text == "true" => Ok(true),
            Value::String(_, text) if given.is_textual() && text == "false" => Ok(false),
            _ => Err(Fault(
                "is not a truth value; write true or false, without quotes".into(),
            )),
        }
    }

    fn shown(&self) -> serde_json::Value {
        (*self).into()
    }
}

/// One line of text.
impl Setting for String {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        if text.chars().any(char::is_control) {
            return Err(Fault(
                "has a line end or another control character in it; write one plain line".into(),
            ));
        }
        if text.trim() != text {
            return Err(Fault("begins or ends with a space; remove it".into()));
        }
        Ok(text.to_owned())
    }

    fn shown(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

/// Text of any number of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paragraphs(pub(super) String);

impl Setting for Paragraphs {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        given.text().map(|text| Self(text.to_owned()))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

impl Setting for Mailbox {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        let bare =
            !text.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;".contains(c));
        if !bare {
            return Err(Fault(format!(
                "{} is not a bare address; write only relay@contoso.com, without name or brackets",
                quoted(text)
            )));
        }
        Self::parse(text).map_err(|error| {
            Fault(format!(
                "{}: {error}; write it as relay@contoso.com",
                quoted(text)
            ))
        })
    }

    fn shown(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

/// Absolute, since daemon and commands run in different folders.
impl Setting for PathBuf {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        let path = Self::from(text);
        if !path.is_absolute() {
            return Err(Fault(format!(
                "{} is not an absolute path; begin it with /",
                quoted(text)
            )));
        }
        if text.contains('\0') {
            return Err(Fault("has a NUL in it; remove it".into()));
        }
        Ok(path)
    }

    fn shown(&self) -> serde_json::Value {
        self.to_string_lossy().into()
    }
}

/// A day, `2027-05-01`, with or without quotes.
impl Setting for jiff::civil::Date {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        text.parse().map_err(|_| {
            Fault(format!(
                "{} is not a day; write it as \"2027-05-01\"",
                quoted(text)
            ))
        })
    }

    fn shown(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

/// An enum of words: the type, its words and its [`Setting`].
macro_rules! words {
    ($(#[$attr:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// The word in the settings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::config::setting::Setting for $name {
            fn parse(
                given: &$crate::config::setting::Given<'_>,
            ) -> Result<Self, $crate::config::setting::Fault> {
                match given.text()? {
                    $($word => Ok(Self::$variant),)+
                    other => Err($crate::config::setting::unknown_word(other, &[$($word),+])),
                }
            }

            fn shown(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    };
}
pub(super) use words;

/// The fault of a word that is none of `words`.
pub(super) fn unknown_word(given: &str, words: &[&str]) -> Fault {
    let lower = given.to_ascii_lowercase();
    let given = quoted(given);
    match super::nearest::nearest(&lower, words.iter().copied()) {
        Some((_, near)) => Fault(format!(
            "{given} is none of {}; did you mean \"{near}\"?",
            words.join(", ")
        )),
        None => Fault(format!("{given} is none of {}", words.join(", "))),
    }
}
