//! What is known of one client.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One client, as `exorelay clients --json` shows it. Keys may be added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its address, or `uid:1000` for a local process.
    pub client: String,
    /// When it first connected, as far as it is remembered.
    pub first_seen: Timestamp,
    /// When something of it was last seen, be it a refused connection.
    pub last_seen: Timestamp,
    /// When a message of it was last accepted.
    #[serde(default)]
    pub last_message_at: Option<Timestamp>,
    /// Accepted from it.
    pub messages: u64,
    /// That it has opened; those that were turned away are not among them.
    pub sessions: u64,
    /// The listener it last came to.
    pub listener: String,
    /// What it last called itself; empty: nothing.
    pub helo: String,
    /// The protocol version of its TLS, last time; none: plain text.
    pub tls: Option<String>,
    /// Whom it authenticated as, last time.
    pub auth_name: Option<String>,
    /// The reverse-path of its last message as it gave it.
    pub sender: Option<String>,
    /// The longest that was accepted.
    pub largest_bytes: u64,
    /// The longest that was refused for its size.
    #[serde(default)]
    pub largest_refused_bytes: u64,
    /// In how many messages what was tolerated.
    pub quirks: BTreeMap<Quirk, u64>,
    /// What it was refused, the latest first.
    pub refusals: Vec<Refusal>,
}

/// Replies of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The last of them.
    pub reply: String,
    /// How often.
    pub count: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// What a client does otherwise than the RFCs want, and was tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// HELO, so that it hears of no extension.
    HeloOnly,
    /// Neither HELO nor EHLO.
    NoHelo,
    /// Addresses without angle brackets in MAIL or RCPT.
    NoBrackets,
    /// Commands that end in LF.
    LfCommands,
    /// Content with bare LF or bare CR.
    BareNewline,
    /// Content that seems to end in LF.LF: its end never came.
    LfEnd,
    /// NUL in the content.
    Nul,
    /// Content lines over 998 octets.
    LongLines,
    /// 8-bit content without BODY=8BITMIME.
    #[serde(rename = "undeclared_8bit")]
    UndeclaredEightBit,
    /// No From, or one that names no address.
    NoFrom,
    /// No Date.
    NoDate,
    /// No Message-ID.
    NoMessageId,
    /// A display name that is an address, without quotes.
    UnquotedName,
    /// A Message-ID that another message had.
    RepeatedMessageId,
    /// It sent its password in plain text.
    PlainAuth,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks(u32);

impl Quirk {
    /// All that this version knows.
    pub const ALL: [Self; 15] = [
        Self::HeloOnly,
        Self::NoHelo,
        Self::NoBrackets,
        Self::LfCommands,
        Self::BareNewline,
        Self::LfEnd,
        Self::Nul,
        Self::LongLines,
        Self::UndeclaredEightBit,
        Self::NoFrom,
        Self::NoDate,
        Self::NoMessageId,
        Self::UnquotedName,
        Self::RepeatedMessageId,
        Self::PlainAuth,
    ];

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeloOnly => "HELO only",
            Self::NoHelo => "no HELO",
            Self::NoBrackets => "addresses without brackets",
            Self::LfCommands => "commands end in LF",
            Self::BareNewline => "bare LF or CR",
            Self::LfEnd => "content ends in LF.LF",
            Self::Nul => "NUL",
            Self::LongLines => "lines over 998 octets",
            Self::UndeclaredEightBit => "8-bit undeclared",
            Self::NoFrom => "no From",
            Self::NoDate => "no Date",
            Self::NoMessageId => "no Message-ID",
            Self::UnquotedName => "unquoted display name",
            Self::RepeatedMessageId => "Message-ID used again",
            Self::PlainAuth => "password in plain text",
            Self::Unknown => "unknown to this version",
        }
    }
}

impl Quirks {
    /// Adds it, if it was met.
    pub fn note(&mut self, quirk: Quirk, is_met: bool) {
        self.0 |= u32::from(is_met) << quirk as u32;
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        let is_met = move |quirk: &Quirk| self.0 & (1 << *quirk as u32) != 0;
        Quirk::ALL.into_iter().filter(is_met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks_are_kept_apart() {
        let mut some = Quirks::default();
        assert!(some.is_empty());
        for quirk in Quirk::ALL {
            some.note(quirk, false);
        }
        assert!(some.is_empty());
        some.note(Quirk::Nul, true);
        some.note(Quirk::PlainAuth, true);
        some.note(Quirk::Nul, true);
        let met: Vec<_> = some.iter().collect();
        assert_eq!(met, [Quirk::Nul, Quirk::PlainAuth]);
        for quirk in Quirk::ALL {
            some.note(quirk, true);
        }
        assert!(some.iter().eq(Quirk::ALL));
    }

    #[test]
    fn words_of_a_later_version_are_understood_as_unknown() {
        let read: BTreeMap<Quirk, u64> =
            serde_json::from_str(r#"{"undeclared_8bit":2,"nul":3,"telepathy":1}"#).unwrap();
        let expected = [
            (Quirk::Nul, 3),
            (Quirk::UndeclaredEightBit, 2),
            (Quirk::Unknown, 1),
        ];
        assert_eq!(read, expected.into());
    }
}
