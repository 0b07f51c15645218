//! Entra's numbers by topic (facts D to F; Microsoft, "Microsoft Entra authentication and authorization
//! error codes").

mod app;
mod consent;
mod credential;
mod grant;
mod person;
mod service;

use std::time::Duration;

use super::{Class, Code, Entry};

pub(super) const TOPICS: [&[Entry]; 6] = [
    credential::ENTRIES,
    app::ENTRIES,
    consent::ENTRIES,
    person::ENTRIES,
    grant::ENTRIES,
    service::ENTRIES,
];

const fn operator(number: u32, meaning: &'static str, remedy: &'static str) -> Entry {
    row(number, Class::Operator, meaning, remedy)
}

const fn sign_in(number: u32, meaning: &'static str, remedy: &'static str) -> Entry {
    row(number, Class::SignInAgain, meaning, remedy)
}

const fn wait(number: u32, seconds: u64, meaning: &'static str, remedy: &'static str) -> Entry {
    let class = Class::Wait(Duration::from_secs(seconds));
    row(number, class, meaning, remedy)
}

const fn ours(number: u32, meaning: &'static str) -> Entry {
    row(number, Class::Ours, meaning, REPORT)
}

const fn row(number: u32, class: Class, meaning: &'static str, remedy: &'static str) -> Entry {
    Entry {
        code: Code::Aadsts(number),
        class,
        meaning,
        remedy,
    }
}

pub(super) const SIGN_IN: &str = "Sign in again: exorelay login ACCOUNT.";
pub(super) const PASSES: &str =
    "Nothing is to be done: it passes by itself, and exorelay asks again.";
pub(super) const REPORT: &str = "Check token_url and scope in [account.NAME.oauth] if they are set; otherwise report this with the log, because the fault is exorelay's.";
