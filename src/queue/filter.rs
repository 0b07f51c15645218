//! Which messages are meant.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, named_params};
use serde::{Deserialize, Serialize};

use crate::queue::clock::wall_ms;
use crate::queue::{MessageState, QueueId, StorageError};

/// Conditions, all of which must hold; without any, every message that waits or failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// None: everything that is not delivered or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// None: every account. An account's name takes the mail of its pools too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The reverse-path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<AddressPattern>,
    /// Any recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<AddressPattern>,
    /// Accepted longer ago than this, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than_s: Option<u64>,
}

/// An address, `*@DOMAIN`, or `<>` for the null reverse-path; upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddressPattern(String);

/// A text is not an address pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address: write one such as desk@contoso.com, *@contoso.com, or <> for the null path"
)]
pub struct AddressPatternError;

/// The messages an operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<QueueId>),
    /// Those that the filter takes; it has at least one condition.
    Filter(Filter),
    /// Everything that waits or failed.
    All,
}

/// A selection as it is sent, before anybody has looked whether it makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionRequest {
    /// These messages.
    pub ids: Vec<QueueId>,
    /// Those that it takes.
    pub filter: Filter,
    /// Everything: an empty filter must not come to mean that by accident.
    pub all: bool,
}

/// Messages are named in no way, or in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No ids, no filter, and not all.
    #[error("no message is named: give ids, a filter, or say that all are meant")]
    Nothing,
    /// Two of them.
    #[error("give either ids, or a filter, or say that all are meant")]
    Several,
}

impl TryFrom<SelectionRequest> for Selection {
    type Error = SelectionError;

    fn try_from(request: SelectionRequest) -> Result<Self, SelectionError> {
        let filtered = request.filter != Filter::default();
        match (request.ids.is_empty(), filtered, request.all) {
            (true, false, false) => Err(SelectionError::Nothing),
            (false, false, false) => Ok(Self::Ids(request.ids)),
            (true, true, false) => Ok(Self::Filter(request.filter)),
            (true, false, true) => Ok(Self::All),
            _ => Err(SelectionError::Several),
        }
    }
}

impl From<Selection> for SelectionRequest {
    fn from(selection: Selection) -> Self {
        match selection {
            Selection::Ids(ids) => Self {
                ids,
                ..Self::default()
            },
            Selection::Filter(filter) => Self {
                filter,
                ..Self::default()
            },
            Selection::All => Self {
                all: true,
                ..Self::default()
            },
        }
    }
}

impl AddressPattern {
    /// Checks the shape, not whether such an address can exist.
    pub fn parse(text: &str) -> Result<Self, AddressPatternError> {
        let text = text.trim();
        if text == "<>" {
            return Ok(Self(text.to_owned()));
        }
        let bare = text
            .strip_prefix('<')
            .and_then(|text| text.strip_suffix('>'));
        let bare = bare.unwrap_or(text);
        let (local, domain) = bare.rsplit_once('@').ok_or(AddressPatternError)?;
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '*');
        let local_is_good = local == "*" || !(local.is_empty() || local.contains(odd));
        if !local_is_good || domain.is_empty() || domain.contains(odd) || bare.len() > 320 {
            return Err(AddressPatternError);
        }
        Ok(Self(bare.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For `LIKE ... ESCAPE '\'`, which takes upper and lower case of US-ASCII for the same.
    fn like(&self) -> String {
        let (any, rest) = match self.0.strip_prefix("*@") {
            _ if self.0 == "<>" => return String::new(),
            Some(_) => ("%", self.0.get(1..).unwrap_or_default()),
            None => ("", self.0.as_str()),
        };
        let mut pattern = any.to_owned();
        for c in rest.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern
    }
}

impl ToSql for AddressPattern {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.like().into())
    }
}

impl FromStr for AddressPattern {
    type Err = AddressPatternError;

    fn from_str(text: &str) -> Result<Self, AddressPatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AddressPattern> for String {
    fn from(pattern: AddressPattern) -> Self {
        pattern.0
    }
}

impl TryFrom<String> for AddressPattern {
    type Error = AddressPatternError;

    fn try_from(text: String) -> Result<Self, AddressPatternError> {
        Self::parse(&text)
    }
}

/// Conditions on addresses, of `:from` and `:to`.
pub(super) const ADDRESSES: &str = r"(:from IS NULL OR reverse_path LIKE :from ESCAPE '\')
    AND (:to IS NULL OR EXISTS (SELECT 1 FROM recipient
        WHERE recipient.seq = message.seq AND recipient.address LIKE :to ESCAPE '\'))";

/// Mail that `:account` may send: its own, and that of its pools. The key of a pool stands for itself.
const ACCOUNT: &str = "(:account IS NULL OR account = :account
    OR instr(:account, '+') = 0 AND instr('+' || account || '+', '+' || :account || '+') > 0)";

impl Filter {
    /// The messages it takes, oldest first. Eight bytes each are all that a listing holds at once.
    pub(super) fn sequence_numbers(
        &self,
        connection: &Connection,
    ) -> Result<Vec<i64>, StorageError> {
        // The second half of each condition names the partial index that serves it.
        let state = match self.state {
            None => "(state < 4 OR (state = 4 AND state >= 4))".to_owned(),
            Some(state) if state.waits() => format!("state = {} AND state < 4", state.number()),
            Some(state) => format!("state = {} AND state >= 4", state.number()),
        };
        let mut statement = connection.prepare(&format!(
            "SELECT seq FROM message WHERE {state} AND {ACCOUNT}
                 AND (:before_ms IS NULL OR received_wall_ms < :before_ms) AND {ADDRESSES}
             ORDER BY seq"
        ))?;
        let before_ms = self.older_than_s.map(|seconds| {
            let age_ms = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000);
            wall_ms().saturating_sub(age_ms)
        });
        let numbers = statement.query_map(
            named_params! {
                ":account": self.account,
                ":before_ms": before_ms,
                ":from": self.from,
                ":to": self.to,
            },
            |row| row.get(0),
        )?;
        Ok(numbers.collect::<rusqlite::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_addresses_domains_or_the_null_path() {
        for (text, like) in [
            ("desk@contoso.com", "desk@contoso.com"),
            ("<desk@contoso.com>", "desk@contoso.com"),
            ("*@contoso.com", "%@contoso.com"),
            (r"a_b%c\d@x", r"a\_b\%c\\d@x"),
            ("<>", ""),
        ] {
            assert_eq!(AddressPattern::parse(text).unwrap().like(), like, "{text}");
        }
        for bad in [
            "",
            "*",
            "desk",
            "@contoso.com",
            "desk@",
            "a b@x",
            "*x@y",
            "a@*",
            "a@b\r\n",
        ] {
            assert!(
                bad.trim() == "a@b" || AddressPattern::parse(bad).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_selection_names_messages_in_exactly_one_way() {
        let id = QueueId::parse("01K9Z3X4T5ABCDEF").unwrap();
        let filter = Filter {
            account: Some("default".into()),
            ..Filter::default()
        };
        let selected = |ids: &[QueueId], filter: &Filter, all| {
            Selection::try_from(SelectionRequest {
                ids: ids.to_vec(),
                filter: filter.clone(),
                all,
            })
        };
        let none = Filter::default();
        assert_eq!(selected(&[], &none, false), Err(SelectionError::Nothing));
        assert_eq!(selected(&[id], &none, true), Err(SelectionError::Several));
        assert_eq!(
            selected(&[id], &filter, false),
            Err(SelectionError::Several)
        );
        assert_eq!(selected(&[], &filter, true), Err(SelectionError::Several));
        for selection in [
            selected(&[id], &none, false),
            selected(&[], &filter, false),
            selected(&[], &none, true),
        ] {
            let selection = selection.unwrap();
            let sent = serde_json::to_string(&SelectionRequest::from(selection.clone())).unwrap();
            let read: SelectionRequest = serde_json::from_str(&sent).unwrap();
            assert_eq!(Selection::try_from(read), Ok(selection));
        }
        let strange = serde_json::from_str::<SelectionRequest>(r#"{"all":true,"younger":3}"#);
        assert!(strange.is_err(), "a later version's filter is not ignored");
    }
}
