//! What the sign-in service's errors mean, and who mends them, as a table.
//!
//! The `error` of RFC 6749 is too coarse for a remedy (`invalid_client` is a wrong secret, an expired
//! one, or a missing app), so Entra's AADSTS number is looked up first. Numbers are for diagnosis and
//! may change (Microsoft says so); one that is not listed falls back to the `error`, and so does
//! whoever has no numbers at all, such as Google. `docs/errors.md` is made from these tables.

mod errors;
mod table;

use std::time::Duration;

use super::response::ErrorResponse;

/// What is known of one error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is recognised by.
    pub code: Code,
    /// Who can mend it.
    pub class: Class,
    /// What is wrong, for people: one sentence.
    pub meaning: &'static str,
    /// How it is mended: one sentence. `ACCOUNT` in it stands for the account's name.
    pub remedy: &'static str,
}

/// What an error is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Microsoft's number, as in `AADSTS7000215`.
    Aadsts(u32),
    /// The `error` of RFC 6749 and its extensions.
    Error(&'static str),
}

/// Who can mend a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Time: the service is in trouble or protects itself; not before so long.
    Wait(Duration),
    /// The person on whose behalf mail is sent, by signing in once more. Where the application acts by
    /// itself nobody can, and it is the operator's.
    SignInAgain,
    /// The operator, at the service or in the settings.
    Operator,
    /// Nobody but us: the request was malformed.
    Ours,
}

impl Entry {
    /// Microsoft's number, if it has one.
    pub fn number(&self) -> Option<u32> {
        match self.code {
            Code::Aadsts(number) => Some(number),
            Code::Error(_) => None,
        }
    }

    /// The `error`, where there is no number.
    pub fn error(&self) -> Option<&'static str> {
        match self.code {
            Code::Aadsts(_) => None,
            Code::Error(error) => Some(error),
        }
    }

    /// A name that stays, for scripts: `aadsts7000215`, `oauth_invalid_grant`.
    pub fn key(&self) -> String {
        match self.code {
            Code::Aadsts(number) => format!("{AADSTS_KEY}{number}"),
            Code::Error(error) => format!("{ERROR_KEY}{error}"),
        }
    }
}

/// Looks a number up.
pub fn entry(number: u32) -> Option<&'static Entry> {
    numbered().find(|entry| entry.number() == Some(number))
}

/// Looks an [`Entry::key`] up.
pub fn named(key: &str) -> Option<&'static Entry> {
    if let Some(number) = number_of(key) {
        return entry(number);
    }
    let error = key.strip_prefix(ERROR_KEY)?;
    others().find(|entry| entry.error() == Some(error))
}

/// The number in an [`Entry::key`], if it has one.
pub fn number_of(key: &str) -> Option<u32> {
    key.strip_prefix(AADSTS_KEY)?.parse().ok()
}

/// Where Microsoft tells what it knows of a number.
pub fn link(number: u32) -> String {
    format!("https://login.microsoftonline.com/error?code={number}")
}

/// A remedy with the account's name in the command that it names.
pub fn addressed(remedy: &str, account: &str) -> String {
    remedy.replace("login ACCOUNT", &format!("login {account}"))
}

/// Every number, by topic.
pub fn numbered() -> impl Iterator<Item = &'static Entry> {
    table::TOPICS.into_iter().flatten()
}

/// Every `error` without a number of its own; the last stands for all others.
pub fn others() -> impl Iterator<Item = &'static Entry> {
    errors::ERRORS.iter().chain([&errors::UNKNOWN])
}

/// What `response` means: always something, if only that nobody knows.
pub(super) fn explain(response: &ErrorResponse) -> &'static Entry {
    let known = response.aadsts().and_then(entry);
    known.unwrap_or_else(|| errors::explain(response.error(), response.aadsts().is_some()))
}

/// `AADSTS7000215: Invalid client secret ...` begins with the number.
pub(super) fn number_in(description: &str) -> Option<u32> {
    let digits = description.trim_start().strip_prefix("AADSTS")?;
    let end = digits
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

const AADSTS_KEY: &str = "aadsts";
const ERROR_KEY: &str = "oauth_";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_are_whole_and_none_stands_twice() {
        let mut keys = BTreeSet::new();
        for row in numbered().chain(others()) {
            let key = row.key();
            assert!(keys.insert(key.clone()), "{key} twice");
            assert_eq!(named(&key), Some(row));
            assert_eq!(number_of(&key), row.number());
            for text in [row.meaning, row.remedy] {
                assert!(text.len() >= 19 && text.ends_with('.'), "{key}: {text}");
                assert!(
                    text.starts_with(|c: char| c.is_ascii_uppercase()),
                    "{key}: {text}"
                );
                // One sentence each, so that both fit a line of `status`.
                let inner = text.trim_end_matches('.').replace("admin centre > ", "");
                assert!(
                    !inner.contains(". ") && !inner.contains('\n'),
                    "{key}: {text}"
                );
            }
            assert_ne!(row.meaning, row.remedy, "{key}");
            // Who is to sign in is told the command.
            let tells = row.remedy.contains("exorelay login ACCOUNT");
            assert!(row.class != Class::SignInAgain || tells, "{key}");
        }
        assert!(keys.len() > 120, "{}", keys.len());
        assert_eq!(entry(1), None);
        for unknown in [
            "aadsts1",
            "aadsts",
            "oauth_nothing",
            "sender_restricted",
            "",
        ] {
            assert_eq!(named(unknown), None, "{unknown}");
        }
    }

    /// Facts F, and what sections D and E name.
    #[test]
    fn every_number_on_record_has_its_class() {
        let classes: [(char, &[u32]); 4] = [
            (
                'P',
                &[
                    7_000_215, 7_000_222, 7_000_216, 7_000_218, 700_025, 700_027, 700_024, 700_211,
                    700_212, 700_213, 700_016, 700_011, 7_000_229, 7_000_112, 70_001, 90_002,
                    900_023, 90_038, 900_382, 900_432, 50_194, 9_001_023, 50_034, 50_020, 51_004,
                    500_208, 50_057, 50_105, 501_051, 53_000, 53_001, 53_003, 53_011, 530_003,
                    530_032, 530_035, 65_001, 90_094, 90_095, 650_052, 650_056, 650_057, 500_011,
                    50_001, 70_011, 28_000, 28_002, 28_003, 700_022, 700_023, 90_009, 90_008,
                    901_002, 50_011, 500_113, 900_971, 1_002_016, 135_010,
                ],
            ),
            (
                'R',
                &[
                    50_126, 50_055, 50_072, 50_074, 50_076, 50_078, 50_079, 65_004, 70_000, 70_008,
                    700_082, 700_084, 70_043, 50_089, 50_173, 54_005, 70_018, 70_019,
                ],
            ),
            (
                'T',
                &[
                    50_053, 70_016, 50_000, 50_033, 50_087, 80_002, 90_006, 90_012, 90_024, 90_033,
                    90_090, 50_196, 90_055,
                ],
            ),
            // Permanent as well; the fault is the program's, or an URL's in the settings.
            ('O', &[501_481, 90_014, 900_144, 9_002_313, 90_023, 90_100]),
        ];
        for (class, numbers) in classes {
            for number in numbers {
                let row = entry(*number).unwrap_or_else(|| panic!("{number} is missing"));
                let found = match row.class {
                    Class::Operator => 'P',
                    Class::SignInAgain => 'R',
                    Class::Wait(_) => 'T',
                    Class::Ours => 'O',
                };
                assert_eq!(found, class, "{number}");
            }
        }
    }

    #[test]
    fn commonest_numbers_have_their_remedy() {
        for (number, words) in [
            (7_000_215, "Value, not its Secret ID"),
            (7_000_222, "Certificates & secrets"),
            (700_016, "client_id"),
            (90_002, "tenant_id"),
            (900_023, "tenant_id"),
            (9_001_023, "tenant_id"),
            (50_194, "tenant_id"),
            (7_000_112, "Enterprise applications"),
            (500_011, "scope"),
            (700_024, "clock"),
            (50_011, "Authentication"),
            (65_001, "Grant admin consent"),
            (700_082, "exorelay login ACCOUNT"),
        ] {
            assert!(entry(number).unwrap().remedy.contains(words), "{number}");
        }
        assert_eq!(
            entry(50_196).unwrap().class,
            Class::Wait(Duration::from_mins(5))
        );
    }

    #[test]
    fn remedies_are_addressed_to_the_account() {
        let remedy = entry(50_173).unwrap().remedy;
        assert!(addressed(remedy, "lobby").contains("exorelay login lobby"));
        let other = entry(7_000_215).unwrap().remedy;
        assert_eq!(addressed(other, "lobby"), other);
    }

    #[test]
    fn number_is_read_from_the_start_only() {
        for (description, number) in [
            ("AADSTS7000215: Invalid client secret", Some(7_000_215)),
            (" AADSTS90002", Some(90_002)),
            ("AADSTS: none", None),
            ("AADSTS99999999999999: too large", None),
            ("see AADSTS90002", None),
            ("", None),
        ] {
            assert_eq!(number_in(description), number, "{description}");
        }
    }
}
