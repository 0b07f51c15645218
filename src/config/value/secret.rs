//! Secrets: text, or where to read it.

use figment::value::{Dict, Value};

use crate::config::file;
use crate::config::layers::Layer;
use crate::config::setting::{Fault, Given, Setting, quoted, unknown_word};
use crate::secret::{Secret, SecretSource};

/// One secret or several, tried in order when one is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Secrets(pub(crate) Vec<SecretSource>);

impl Setting for Secrets {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        if given.is_empty() {
            return Ok(Self::default());
        }
        let list = match given.value {
            Value::Array(_, items) => Some(items.clone()),
            Value::String(_, text) if given.is_textual() => match file::decode_value(text) {
                Some(Value::Array(_, items)) => Some(items),
                _ => None,
            },
            _ => None,
        };
        let Some(items) = list else {
            return SecretSource::parse(given).map(|secret| Self(vec![secret]));
        };
        let one = |value| {
            SecretSource::parse(&Given {
                value,
                layer: given.layer,
            })
        };
        items.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        match self.0.as_slice() {
            [] => "".into(),
            [secret] => secret.shown(),
            secrets => secrets.iter().map(Setting::shown).collect(),
        }
    }
}

/// No fault of a secret ever quotes what was given.
impl Setting for SecretSource {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        match given.value {
            Value::Dict(_, dict) => reference(dict),
            Value::String(_, text) if given.is_textual() && text.trim_start().starts_with('{') => {
                match file::decode_value(text) {
                    Some(Value::Dict(_, dict)) => reference(&dict),
                    _ => literal(text, given.layer),
                }
            }
            Value::String(_, text) => literal(text, given.layer),
            _ => Err(Fault(format!(
                "is neither text in quotes nor a place; {PLACES}"
            ))),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Literal(_) => "(redacted)".into(),
            Self::File(path) => serde_json::json!({ "file": path.to_string_lossy() }),
            Self::Env(name) => serde_json::json!({ "env": name }),
            Self::Credential(name) => serde_json::json!({ "credential": name }),
        }
    }
}

fn literal(text: &str, layer: Layer) -> Result<SecretSource, Fault> {
    if layer == Layer::CommandLine {
        return Err(Fault(format!(
            "every user of this machine can read arguments; {PLACES}"
        )));
    }
    if text.is_empty() {
        return Err(Fault(format!("is empty; {PLACES}")));
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Fault(
            "begins or ends with a space, or has a line end in it; copy the secret's value only"
                .into(),
        ));
    }
    Ok(SecretSource::Literal(Secret::new(text)))
}

fn reference(dict: &Dict) -> Result<SecretSource, Fault> {
    if let Some(unknown) = dict.keys().find(|key| !WAYS.contains(&key.as_str())) {
        let Fault(text) = unknown_word(unknown, &WAYS);
        return Err(Fault(format!("{text}; {PLACES}")));
    }
    // A higher layer may give another way than a lower one: the highest wins, as for any other value.
    let highest = dict.values().map(Value::tag).max();
    let mut ways = dict
        .iter()
        .filter(|(_, value)| Some(value.tag()) == highest);
    let (Some((way, value)), None) = (ways.next(), ways.next()) else {
        return Err(Fault(format!("must name exactly one place; {PLACES}")));
    };
    let Value::String(_, place) = value else {
        return Err(Fault(format!("{way} is not text; {PLACES}")));
    };
    match way.as_str() {
        "file" if place.starts_with('/') => Ok(SecretSource::File(place.into())),
        "file" => Err(Fault(format!(
            "the file {} is not an absolute path; begin it with /",
            quoted(place)
        ))),
        "env" if is_name(place, "=") => Ok(SecretSource::Env(place.clone())),
        "credential" if is_name(place, "/") => Ok(SecretSource::Credential(place.clone())),
        way => Err(Fault(format!("{way} names nothing; {PLACES}"))),
    }
}

fn is_name(text: &str, forbidden: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_control() || forbidden.contains(c))
}

const WAYS: [&str; 3] = ["credential", "env", "file"];
const PLACES: &str =
    "write { file = \"/etc/exorelay/secret\" }, { env = \"NAME\" } or { credential = \"NAME\" }";
