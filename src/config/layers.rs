//! The layers of settings, merged by figment: file < environment < command line.
//!
//! Values stay as they were written; their types are decided by the key that reads them. So a client
//! secret of digits in a variable stays text, and no parser ever complains about it with a quotation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::error::{ConfigError, Origin, Problem};
use super::file;
use super::setting::Given;

/// Which layer a value was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    File,
    Environment,
    CommandLine,
}

/// All layers as one tree, with the way back to where each value was written. Secrets are still plain text
/// in it, so neither this nor what borrows from it has a `Debug`.
pub(super) struct Merged {
    pub(super) root: Dict,
    figment: Figment,
    file: PathBuf,
    /// Line of each key in the file, by dotted path.
    lines: BTreeMap<String, usize>,
    /// Variable of each key, by dotted path.
    variables: BTreeMap<String, String>,
    /// What the platform says in variables of its own, by name.
    platform: BTreeMap<String, Value>,
}

impl Merged {
    /// Merges the layers; `problems` receives what cannot be placed in the tree.
    pub(super) fn new(
        path: &Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        overrides: &[(String, String)],
        problems: &mut Vec<Problem>,
    ) -> Result<Self, ConfigError> {
        let file::Decoded { root, lines } = file::decode(path, text)?;
        let mut merged = Self {
            root: Dict::new(),
            figment: Figment::new(),
            file: path.to_owned(),
            lines,
            variables: BTreeMap::new(),
            platform: BTreeMap::new(),
        };
        let (platform, environment): (Vec<_>, Vec<_>) =
            environment.partition(|(variable, _)| PLATFORM.contains(&variable.as_str()));
        let platform = platform.into_iter();
        merged.platform = platform.map(|(name, text)| (name, text.into())).collect();
        let environment = merged.environment(environment.into_iter(), &root, problems);
        let command_line = command_line(overrides, problems);
        merged.figment = Figment::new()
            .merge(Source(Layer::File, root))
            .merge(Source(Layer::Environment, environment))
            .merge(Source(Layer::CommandLine, command_line));
        // No layer of ours can fail, so neither can the merge.
        if let Ok(Value::Dict(_, root)) = merged.figment.find_value("") {
            merged.root = root;
        }
        Ok(merged)
    }

    /// The layer `value` was written in; of a table, the highest one that wrote into it.
    pub(super) fn layer(&self, value: &Value) -> Layer {
        match self.figment.get_metadata(highest_tag(value)) {
            Some(metadata) if metadata.name == Layer::Environment.name() => Layer::Environment,
            Some(metadata) if metadata.name == Layer::CommandLine.name() => Layer::CommandLine,
            _ => Layer::File,
        }
    }

    /// Where `value`, found under `path`, was written.
    pub(super) fn origin(&self, path: &str, value: &Value) -> Origin {
        match self.layer(value) {
            Layer::File => Origin::File {
                path: self.file.clone(),
                line: self.lines.get(path).copied(),
            },
            Layer::Environment => Origin::Environment {
                variable: self.variable(path),
            },
            Layer::CommandLine => Origin::CommandLine,
        }
    }

    /// What the platform says in the variable `name`; one that is empty is as good as absent.
    pub(super) fn platform(&self, name: &str) -> Option<Given<'_>> {
        let given = self.platform.get(name).map(|value| Given {
            value,
            layer: Layer::Environment,
        });
        given.filter(|given| !given.is_empty())
    }

    /// Where the section `path` is opened in the file, if it is.
    pub(super) fn section(&self, path: &str) -> Option<Origin> {
        self.lines.get(path).map(|line| Origin::File {
            path: self.file.clone(),
            line: Some(*line),
        })
    }

    fn variable(&self, path: &str) -> String {
        let exact = self.variables.get(path).cloned();
        // A table given piecewise, `..__CLIENT_SECRET__FILE`: the first piece names it well enough.
        let piece = || {
            let below = format!("{path}.");
            let mut pieces = self.variables.range(below.clone()..);
            pieces
                .next()
                .filter(|(key, _)| key.starts_with(&below))
                .map(|(_, variable)| variable.clone())
        };
        exact.or_else(piece).unwrap_or_else(|| variable_name(path))
    }

    fn environment(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
        file: &Dict,
        problems: &mut Vec<Problem>,
    ) -> Dict {
        // In order of names, so that the result does not depend on the system's order.
        let variables: BTreeMap<String, String> = environment
            .filter(|(variable, _)| variable.starts_with(PREFIX) && !is_foreign(variable))
            .collect();
        let mut root = Dict::new();
        for (variable, text) in variables {
            let rest = variable.get(PREFIX.len()..).unwrap_or_default();
            let mut keys: Vec<String> = rest
                .split(LEVEL_SEPARATOR)
                .map(str::to_ascii_lowercase)
                .collect();
            written_name(&mut keys, file);
            let path = keys.join(".");
            if insert(&mut root, &keys, text) {
                self.variables.insert(path, variable);
            } else {
                problems.push(Problem {
                    key: path,
                    origin: Some(Origin::Environment { variable }),
                    text: MISPLACED.to_owned(),
                });
            }
        }
        root
    }
}

impl Layer {
    const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        }
    }
}

/// The variable that sets the key `path`.
pub(super) fn variable_name(path: &str) -> String {
    format!(
        "{PREFIX}{}",
        path.replace('.', LEVEL_SEPARATOR).to_ascii_uppercase()
    )
}

/// Whether any variable or override says something about an account.
pub(super) fn names_an_account(
    environment: &[(String, String)],
    overrides: &[(String, String)],
) -> bool {
    environment
        .iter()
        .any(|(variable, _)| variable.starts_with("EXORELAY_ACCOUNT__"))
        || overrides.iter().any(|(key, _)| key.starts_with("account."))
}

/// One layer, as figment wants to see it.
struct Source(Layer, Dict);

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.name())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.1.clone()))
    }
}

fn command_line(overrides: &[(String, String)], problems: &mut Vec<Problem>) -> Dict {
    let mut root = Dict::new();
    for (path, text) in overrides {
        let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
        if !insert(&mut root, &keys, text.clone()) {
            problems.push(Problem {
                key: path.clone(),
                origin: Some(Origin::CommandLine),
                text: MISPLACED.to_owned(),
            });
        }
    }
    root
}

/// Puts `text` at `keys`; false when a level is empty, too deep, or already a value. A later value of the
/// same key replaces an earlier one.
fn insert(dict: &mut Dict, keys: &[String], text: String) -> bool {
    if keys.len() > LEVELS_MAX {
        return false;
    }
    match keys {
        [] => false,
        [key, ..] if key.is_empty() => false,
        [key] => {
            let is_section = matches!(dict.get(key), Some(Value::Dict(..)));
            if !is_section {
                dict.insert(key.clone(), Value::from(text));
            }
            !is_section
        }
        [key, rest @ ..] => {
            let below = dict
                .entry(key.clone())
                .or_insert_with(|| Value::from(Dict::new()));
            match below {
                Value::Dict(_, below) => insert(below, rest, text),
                _ => false,
            }
        }
    }
}

/// A shell cannot write `lobby-printer` or `Contoso` in a variable's name: `LOBBY_PRINTER` and `CONTOSO`
/// mean the name that the file has.
fn written_name(keys: &mut [String], file: &Dict) {
    let [section, name, ..] = keys else { return };
    if !["account", "client", "listener"].contains(&section.as_str()) {
        return;
    }
    let Some(Value::Dict(_, named)) = file.get(section) else {
        return;
    };
    let same = |written: &&String| {
        written.to_ascii_lowercase().replace('-', "_") == name.replace('-', "_")
    };
    if let Some(written) = named.keys().find(same) {
        name.clone_from(written);
    }
}

/// Variables with our prefix that are not settings: those of the command line and of logging, and what
/// Kubernetes adds to every container beside a Service called `exorelay`.
fn is_foreign(variable: &str) -> bool {
    matches!(
        variable,
        "EXORELAY_CONFIG"
            | "EXORELAY_LOG"
            | "EXORELAY_SENDMAIL_SERVER"
            | "EXORELAY_SERVICE_HOST"
            | "EXORELAY_PORT"
    ) || variable.starts_with("EXORELAY_SERVICE_PORT")
        || variable.starts_with("EXORELAY_PORT_")
}

fn highest_tag(value: &Value) -> Tag {
    match value {
        Value::Dict(tag, dict) => dict.values().map(highest_tag).max().unwrap_or(*tag),
        value => value.tag(),
    }
}

/// Where workload identity says that its token is.
pub(super) const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
/// The variables of others that stand in for settings.
const PLATFORM: [&str; 1] = [FEDERATED_TOKEN_FILE];
const PREFIX: &str = "EXORELAY_";
const LEVEL_SEPARATOR: &str = "__";
/// `account.NAME.smtp.timeouts.connect` is five deep.
const LEVELS_MAX: usize = 8;
const MISPLACED: &str = "is not the name of a setting; levels are separated by one dot, or by two underscores in a variable";
