//! What Entra's AADSTS numbers ask of whom.
//!
//! The `error` of RFC 6749 is too coarse for a remedy (`invalid_client` is a wrong secret, an expired
//! one, or a missing app), so the number is looked up first. Numbers are for diagnosis and may
//! change (Microsoft says so); one that is not listed falls back to the `error`.

use std::time::Duration;

/// What is known about one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As in `AADSTS7000215`.
    pub number: u32,
    /// Who can mend it.
    pub class: Class,
    /// One sentence for the operator: what to do.
    pub remedy: &'static str,
}

/// Who can mend a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Time: the service is in trouble or protects itself; not before so long.
    Wait(Duration),
    /// The operator, in Entra or in the settings.
    Operator,
    /// Nobody but us: the request was malformed.
    Ours,
}

/// Looks a number up.
pub fn entry(number: u32) -> Option<&'static Entry> {
    CATALOGUE
        .binary_search_by_key(&number, |entry| entry.number)
        .ok()
        .and_then(|index| CATALOGUE.get(index))
}

/// `AADSTS7000215: Invalid client secret ...` begins with the number.
pub(super) fn number_in(description: &str) -> Option<u32> {
    let digits = description.trim_start().strip_prefix("AADSTS")?;
    let end = digits
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

const fn operator(number: u32, remedy: &'static str) -> Entry {
    Entry {
        number,
        class: Class::Operator,
        remedy,
    }
}

const fn wait(number: u32, seconds: u64) -> Entry {
    Entry {
        number,
        class: Class::Wait(Duration::from_secs(seconds)),
        remedy: "wait: the sign-in service is in trouble or limits requests, and it passes by itself",
    }
}

const fn ours(number: u32) -> Entry {
    Entry {
        number,
        class: Class::Ours,
        remedy: "report this: the request was not what the sign-in service expects",
    }
}

const TENANT: &str = "check tenant_id: give the tenant's GUID, and the cloud it belongs to";
const OWN_TENANT: &str =
    "set tenant_id to the GUID of your tenant in place of a shared name such as common";
const APP: &str = "check client_id (the Application ID), tenant_id and cloud, and that the app has consent in this tenant";
const ENABLE: &str = "enable the app in Entra under Enterprise applications";
const SCOPE: &str = "check scope: exactly one resource, as https://outlook.office365.com/.default";
const RESOURCE: &str = "check scope and cloud, and that the tenant has Exchange Online";
const CONSENT: &str = "grant admin consent to the app's permission SMTP.SendAsApp";
const POLICY: &str = "exclude the app from the Conditional Access policy that blocks it";
const CLOUD: &str = "check cloud: the tenant belongs to another national cloud";
const CREDENTIAL: &str = "configure client_secret or another credential of the app";
const FEDERATION: &str = "correct issuer, subject and audience of the app's federated credential";

/// Sorted by number.
const CATALOGUE: &[Entry] = &[
    wait(50_000, 0),
    operator(50_001, RESOURCE),
    wait(50_033, 0),
    wait(50_087, 0),
    operator(
        50_105,
        "assign the app, or clear \"assignment required\" on its enterprise application",
    ),
    operator(50_194, OWN_TENANT),
    // Entra saw the same request too often and asks for a pause of minutes.
    wait(50_196, 300),
    operator(53_003, POLICY),
    operator(65_001, CONSENT),
    operator(70_001, APP),
    operator(70_011, SCOPE),
    wait(80_002, 0),
    operator(90_002, TENANT),
    wait(90_006, 0),
    wait(90_012, 0),
    ours(90_014),
    ours(90_023),
    wait(90_024, 0),
    wait(90_033, 0),
    operator(90_038, CLOUD),
    wait(90_055, 60),
    wait(90_090, 0),
    operator(90_094, CONSENT),
    operator(90_095, CONSENT),
    operator(500_011, RESOURCE),
    operator(
        501_051,
        "assign the app to the enterprise application, or clear \"assignment required\"",
    ),
    operator(530_003, POLICY),
    operator(530_032, POLICY),
    operator(530_035, POLICY),
    operator(650_052, RESOURCE),
    operator(650_056, CONSENT),
    operator(
        650_057,
        "add the permission SMTP.SendAsApp of Office 365 Exchange Online to the app",
    ),
    operator(700_011, APP),
    operator(700_016, APP),
    operator(700_022, SCOPE),
    operator(700_023, SCOPE),
    operator(
        700_024,
        "set this machine's clock, or refresh the federated token: the assertion is outside its time",
    ),
    operator(
        700_025,
        "remove client_secret: the app is registered as a public client",
    ),
    operator(
        700_027,
        "upload the certificate to the app, or configure the one that is uploaded",
    ),
    operator(700_211, FEDERATION),
    operator(700_212, FEDERATION),
    operator(700_213, FEDERATION),
    operator(900_023, TENANT),
    ours(900_144),
    operator(900_382, CLOUD),
    operator(900_432, CLOUD),
    operator(901_002, SCOPE),
    operator(7_000_112, ENABLE),
    operator(
        7_000_215,
        "paste the secret's Value, not its Secret ID, into client_secret; if the Value is lost, make a new secret",
    ),
    operator(7_000_216, CREDENTIAL),
    operator(7_000_218, CREDENTIAL),
    operator(
        7_000_222,
        "the secret has expired: make a new one in Entra and replace client_secret",
    ),
    operator(7_000_229, APP),
    operator(9_001_023, OWN_TENANT),
    ours(9_002_313),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_is_sorted_and_without_doubles() {
        assert!(CATALOGUE.is_sorted_by(|a, b| a.number < b.number));
        for listed in CATALOGUE {
            assert_eq!(entry(listed.number), Some(listed));
            assert!(!listed.remedy.is_empty() && !listed.remedy.ends_with('.'));
        }
        assert_eq!(entry(1), None);
    }

    #[test]
    fn commonest_numbers_have_their_remedy() {
        for (number, words) in [
            (7_000_215, "Value, not its Secret ID"),
            (7_000_222, "expired"),
            (700_016, "client_id"),
            (90_002, "tenant_id"),
            (900_023, "tenant_id"),
            (9_001_023, "tenant_id"),
            (50_194, "tenant_id"),
            (7_000_112, "enable"),
            (500_011, "scope"),
            (700_024, "clock"),
        ] {
            assert!(entry(number).unwrap().remedy.contains(words), "{number}");
        }
        assert_eq!(
            entry(50_196).unwrap().class,
            Class::Wait(Duration::from_mins(5))
        );
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
