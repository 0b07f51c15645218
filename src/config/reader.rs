//! Takes typed values out of the merged layers, and remembers everything on the way: what is wrong, which
//! keys there are, and where each value came from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use figment::value::{Dict, Value};

use super::error::{Origin, Problem};
use super::file::join;
use super::layers::{Merged, variable_name};
use super::nearest::nearest;
use super::setting::{Fault, Given, Setting, kind};

/// What reading the settings found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Every key that was read, in the order of reading.
    pub(super) entries: Vec<Entry>,
    /// The valid keys of every section that was read.
    known: BTreeMap<String, Vec<&'static str>>,
    unknown: Vec<Unknown>,
}

/// One key with its value in effect.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Dotted, in full.
    pub(super) path: String,
    /// Secrets redacted.
    pub(super) value: serde_json::Value,
    pub(super) origin: Origin,
}

#[derive(Debug)]
struct Unknown {
    section: String,
    key: String,
    origin: Origin,
}

/// One section of the settings.
pub(super) struct Table<'a> {
    merged: &'a Merged,
    report: &'a RefCell<Report>,
    /// Dotted; empty for the root.
    pub(super) path: String,
    dict: Option<&'a Dict>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The root of all sections.
    pub(super) fn root(merged: &'a Merged, report: &'a RefCell<Report>) -> Self {
        Self::new(merged, report, String::new(), Some(&merged.root))
    }

    fn new(
        merged: &'a Merged,
        report: &'a RefCell<Report>,
        path: String,
        dict: Option<&'a Dict>,
    ) -> Self {
        Self {
            merged,
            report,
            path,
            dict,
            known: RefCell::default(),
        }
    }

    /// The value of `key`, or `default` when no layer has it or what it has is wrong.
    pub(super) fn read<T: Setting>(&self, key: &'static str, default: T) -> T {
        let given = self.given(key);
        let parsed = given.map(|given| T::parse(&given));
        self.settle(key, given, parsed, default)
    }

    /// As [`Self::read`]; a value outside `range` is wrong.
    pub(super) fn bounded<T>(&self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Setting + PartialOrd,
    {
        let given = self.given(key);
        let parsed = given.map(|given| {
            let value = T::parse(&given)?;
            if range.contains(&value) {
                return Ok(value);
            }
            Err(Fault(format!(
                "{} is out of range; write something from {} to {}",
                plain(&value.shown()),
                plain(&range.start().shown()),
                plain(&range.end().shown())
            )))
        });
        self.settle(key, given, parsed, default)
    }

    /// As [`Self::read`]; empty text means the default as well, which is derived from other keys.
    pub(super) fn derived<T: Setting>(&self, key: &'static str, default: T) -> T {
        let given = self.given(key).filter(|given| !given.is_empty());
        let parsed = given.map(|given| T::parse(&given));
        self.settle(key, given, parsed, default)
    }

    /// As [`Self::read`]; without a value, what the platform says in its own variable `name`.
    pub(super) fn or_platform<T: Setting>(&self, key: &'static str, name: &str) -> Option<T> {
        let given = self.given(key).filter(|given| !given.is_empty());
        let platform = || {
            let origin = Origin::Environment {
                variable: name.to_owned(),
            };
            Some((self.merged.platform(name)?, origin))
        };
        let path = join(&self.path, key);
        let given = given.map(|given| (given, self.merged.origin(&path, given.value)));
        let (parsed, origin) = match given.or_else(platform) {
            Some((given, origin)) => (Some(T::parse(&given).map(Some)), Some(origin)),
            None => (None, None),
        };
        self.settle_from(path, origin, parsed, None)
    }

    /// A key without a default; `remedy` completes "is missing; ".
    pub(super) fn required<T: Setting>(&self, key: &'static str, remedy: &str) -> Option<T> {
        let value: Option<T> = self.read(key, None);
        if value.is_none() {
            self.refuse(key, format!("is missing; {remedy}"));
        }
        value
    }

    /// The section `key` below this one, whether or not any layer has it.
    pub(super) fn section(&self, key: &'static str) -> Self {
        self.known.borrow_mut().push(key);
        let path = join(&self.path, key);
        let dict = match self.value(key) {
            Some(Value::Dict(_, dict)) => Some(dict),
            Some(other) => {
                let text = format!("is a section, not {}; write [{path}]", kind(other));
                self.refuse(key, text);
                None
            }
            None => None,
        };
        Self::new(self.merged, self.report, path, dict)
    }

    /// The sections `key.NAME`, sorted by name.
    pub(super) fn named(&self, key: &'static str) -> Vec<(String, Self)> {
        let parent = self.section(key);
        let mut sections = Vec::new();
        for (name, value) in parent.dict.into_iter().flatten() {
            match value {
                Value::Dict(_, dict) if is_name(name) => {
                    let path = join(&parent.path, name);
                    let section = Self::new(self.merged, self.report, path, Some(dict));
                    sections.push((name.clone(), section));
                }
                Value::Dict(..) => parent.refuse(name, BAD_NAME.to_owned()),
                _ => {
                    let example = if key == "listener" {
                        "local"
                    } else {
                        "default"
                    };
                    let text = format!(
                        "stands outside of any {key}; every {key} has a name: write [{key}.{example}] above it"
                    );
                    parent.refuse(name, text);
                }
            }
        }
        sections
    }

    /// A section that no layer has, with nothing but defaults.
    pub(super) fn absent(&self, key: &str, name: &str) -> Self {
        let path = join(&join(&self.path, key), name);
        Self::new(self.merged, self.report, path, None)
    }

    /// The tables of the list `[[key]]`.
    pub(super) fn list(&self, key: &'static str) -> Vec<Self> {
        self.known.borrow_mut().push(key);
        let items = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(_, items)) => items,
            Some(other) => {
                let text = format!("is a list of tables, not {}; write [[{key}]]", kind(other));
                self.refuse(key, text);
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::Dict(_, dict) => {
                    let path = format!("{}[{index}]", join(&self.path, key));
                    tables.push(Self::new(self.merged, self.report, path, Some(dict)));
                }
                other => {
                    let text = format!("holds {}; every item is a table: [[{key}]]", kind(other));
                    self.refuse(key, text);
                }
            }
        }
        tables
    }

    /// Every key that was not asked for is unknown. To be called when all keys were read.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        let mut report = self.report.borrow_mut();
        for (key, value) in self.dict.into_iter().flatten() {
            if !known.contains(&key.as_str()) {
                let origin = self.merged.origin(&join(&self.path, key), value);
                report.unknown.push(Unknown {
                    section: self.path.clone(),
                    key: key.clone(),
                    origin,
                });
            }
        }
        report.known.insert(self.path, known);
    }

    /// `key` of this section cannot be as it is.
    pub(super) fn refuse(&self, key: &str, text: String) {
        let path = join(&self.path, key);
        let origin = match self.value(key) {
            Some(value) => Some(self.merged.origin(&path, value)),
            None => self.merged.section(&self.path),
        };
        self.report.borrow_mut().refuse(path, origin, text);
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.dict.and_then(|dict| dict.get(key))
    }

    fn given(&self, key: &'static str) -> Option<Given<'a>> {
        self.known.borrow_mut().push(key);
        self.value(key).map(|value| Given {
            value,
            layer: self.merged.layer(value),
        })
    }

    fn settle<T: Setting>(
        &self,
        key: &'static str,
        given: Option<Given<'a>>,
        parsed: Option<Result<T, Fault>>,
        default: T,
    ) -> T {
        let path = join(&self.path, key);
        let origin = given.map(|given| self.merged.origin(&path, given.value));
        self.settle_from(path, origin, parsed, default)
    }

    fn settle_from<T: Setting>(
        &self,
        path: String,
        origin: Option<Origin>,
        parsed: Option<Result<T, Fault>>,
        default: T,
    ) -> T {
        let mut report = self.report.borrow_mut();
        let (value, origin) = match parsed {
            Some(Ok(value)) => (value, origin.unwrap_or(Origin::Default)),
            Some(Err(Fault(text))) => {
                report.refuse(path.clone(), origin, text);
                (default, Origin::Default)
            }
            None => (default, Origin::Default),
        };
        report.entries.push(Entry {
            path,
            value: value.shown(),
            origin,
        });
        value
    }
}

impl Report {
    /// Adds a problem, unless the key already has one: the first is the cause, the next its echo.
    pub(super) fn refuse(&mut self, key: String, origin: Option<Origin>, text: String) {
        if !self.problems.iter().any(|problem| problem.key == key) {
            self.problems.push(Problem { key, origin, text });
        }
    }

    /// Adds a problem found when all values were known; its place is that of `key`, of anything below it,
    /// or of the section it is missing from.
    pub(super) fn refuse_value(&mut self, merged: &Merged, key: &str, text: impl Into<String>) {
        let below = format!("{key}.");
        let written = |entry: &&Entry| {
            (entry.path == key || entry.path.starts_with(&below)) && entry.origin != Origin::Default
        };
        let written = self.entries.iter().find(written);
        let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
        let origin = merged
            .section(key)
            .filter(|_| self.origin(key).is_none())
            .or_else(|| written.map(|entry| entry.origin.clone()))
            .or_else(|| merged.section(parent));
        self.refuse(key.to_owned(), origin, text.into());
    }

    /// Where the value of `key` came from.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        let entry = self.entries.iter().find(|entry| entry.path == key);
        entry.map(|entry| &entry.origin)
    }

    /// Whether a layer gave `key` a value that could be used.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.origin(key)
            .is_some_and(|origin| *origin != Origin::Default)
    }

    /// Whether `key` is known to be wrong.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    /// Turns the unknown keys into problems that name what was probably meant.
    pub(super) fn resolve_unknown(&mut self) {
        for unknown in std::mem::take(&mut self.unknown) {
            let text = format!("is not a known key; {}", self.suggestion(&unknown));
            let key = join(&unknown.section, &unknown.key);
            self.refuse(key, Some(unknown.origin), text);
        }
    }

    fn suggestion(&self, unknown: &Unknown) -> String {
        if let Some(variable) = self.same_variable(unknown) {
            return format!("levels are separated by two underscores: did you mean {variable}?");
        }
        let here = self.known.get(&unknown.section);
        let here = here.map(Vec::as_slice).unwrap_or_default();
        let near = nearest(&unknown.key, here.iter().copied());
        // One wrong letter is more likely than the wrong section, and the wrong section than two.
        let slip = near.filter(|(distance, _)| *distance <= 1);
        let mut sections = self.known.iter();
        let elsewhere = sections.find(|(_, keys)| keys.contains(&unknown.key.as_str()));
        let meant = match (slip, elsewhere, near) {
            (Some((_, slip)), _, _) => join(&unknown.section, slip),
            (None, Some((section, _)), _) => join(section, &unknown.key),
            (None, None, Some((_, near))) => join(&unknown.section, near),
            (None, None, None) => return format!("known here: {}", here.join(", ")),
        };
        format!("did you mean {meant}?")
    }

    /// `EXORELAY_QUEUE_MAX_BYTES` written for `EXORELAY_QUEUE__MAX_BYTES`.
    fn same_variable(&self, unknown: &Unknown) -> Option<String> {
        let Origin::Environment { variable } = &unknown.origin else {
            return None;
        };
        let flat = |name: &str| name.replace("__", "_");
        let paths = self.entries.iter().map(|entry| variable_name(&entry.path));
        let mut paths = paths.filter(|path| path != variable);
        paths.find(|path| flat(path) == flat(variable))
    }
}

/// A value as a person would say it.
fn plain(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Names appear in variables, metrics and logs.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

const BAD_NAME: &str = "is not a usable name; take letters, digits, - and _, at most 64";
