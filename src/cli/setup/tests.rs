//! The whole of it in memory: scripted answers in, the settings' text out.

use std::collections::VecDeque;
use std::path::Path;

use super::answers::Answers;
use super::interview;
use super::plan::Plan;
use super::question::{Question, Replies, SecretReply};
use super::way::Way;
use crate::cli::error::{CliError, Exit};
use crate::config;
use crate::secret::Secret;

mod files;

const TENANT: &str = "aaaaaaaa-2222-3333-4444-555555555555";
const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const VALUE: &str = "pl4nted~S8Q+/.x";

/// Gives what is typed, one after the other, and keeps what was shown.
#[derive(Default)]
struct Script {
    typed: VecDeque<&'static str>,
    shown: Vec<String>,
}

impl Script {
    fn new(typed: &[&'static str]) -> Self {
        Self {
            typed: typed.iter().copied().collect(),
            shown: Vec::new(),
        }
    }

    fn next(&mut self, question: &Question<'_>) -> Result<&'static str, CliError> {
        self.shown.push(question.key.to_owned());
        let over = || CliError::new(Exit::Failed, format!("no answer for {}", question.key));
        self.typed.pop_front().ok_or_else(over)
    }
}

impl Replies for Script {
    fn say(&mut self, _: &str) -> Result<(), CliError> {
        Ok(())
    }

    fn text(&mut self, question: &Question<'_>) -> Result<String, CliError> {
        self.next(question).map(str::to_owned)
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<SecretReply, CliError> {
        Ok(match self.next(question)? {
            "" => SecretReply::Default,
            text => SecretReply::Text(Secret::new(text)),
        })
    }

    fn refuse(&mut self, question: &Question<'_>, why: &str) -> Result<(), CliError> {
        self.shown.push(format!("! {}: {why}", question.key));
        Ok(())
    }

    fn doubt(&mut self, question: &Question<'_>, why: &str) -> Result<bool, CliError> {
        self.shown.push(format!("? {}: {why}", question.key));
        Ok(self.next(question)? == "yes")
    }

    fn finish(&mut self) -> Result<(), CliError> {
        Ok(())
    }

    fn confirm(&mut self, _: &str) -> Result<bool, CliError> {
        Ok(true)
    }
}

fn plan(text: &str) -> Plan {
    let file = Path::new("/etc/exorelay/exorelay.toml");
    Plan::new(file, text.to_owned(), None).unwrap()
}

/// What the settings are after these answers to questions about settings of `before`.
fn held(before: &str, typed: &[&'static str]) -> (Answers, String, Vec<String>) {
    let (plan, mut script) = (plan(before), Script::new(typed));
    let answers = interview::hold(&mut script, plan.present()).unwrap();
    assert!(script.typed.is_empty(), "not asked for: {:?}", script.typed);
    let (text, changes) = plan.edited(&answers);
    (answers, text, changes)
}

/// The loader takes it.
#[track_caller]
fn assert_valid(text: &str) {
    let loaded = config::load_text(Path::new("exorelay.toml"), text, std::iter::empty(), &[]);
    if let Err(error) = loaded {
        panic!("{error} in\n{text}");
    }
}

/// A certificate and its key, in one file and apart.
fn certificate() -> (tempfile::TempDir, [&'static str; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["exorelay".to_owned()]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let files = [
        ("app.pem", certificate.clone()),
        ("app.key", key.clone()),
        ("both.pem", certificate + &key),
    ];
    let paths = files.map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        // Answers of a script live as long as the test.
        &*path.to_str().unwrap().to_owned().leak()
    });
    (folder, paths)
}

#[test]
fn every_way_leads_to_settings() {
    let (_folder, [pem, key, both]) = certificate();
    let id = TENANT;
    let rest = ["relay@contoso.com", "", "", ""];
    let ways: [(&[&'static str], &[&str]); 9] = [
        (
            &["1", "", id, CLIENT, VALUE, "2027-05-01"],
            &["/client-secret\" }", "credential_expires = \"2027-05-01\""],
        ),
        (
            &["2", "gcc_high", "contoso.com", CLIENT, pem, key],
            &[
                "cloud = \"gcc_high\"",
                "tenant_id = \"contoso.com\"",
                "client_certificate_key = ",
            ],
        ),
        (
            &["certificate", "", id, CLIENT, both, ""],
            &["client_certificate = "],
        ),
        (
            &["browser", "", id, CLIENT, ""],
            &["access = \"delegated\""],
        ),
        (
            &["3", "", id, CLIENT, VALUE],
            &["access = \"delegated\"", "client_secret = { file"],
        ),
        (
            &["4", "", "organizations", CLIENT, "-"],
            &["access = \"delegated\"", "\"organizations\""],
        ),
        (&["5", "", ""], &["access = \"managed_identity\""]),
        (
            &["6", "", id, CLIENT, "/run/token"],
            &[
                "access = \"workload_identity\"",
                "[account.default.oauth]\nfederated_token_file = \"/run/token\"",
            ],
        ),
        (
            &["7", "1-a.apps.googleusercontent.com", VALUE],
            &["provider = \"google\"", "access = \"delegated\""],
        ),
    ];
    for (typed, expected) in ways {
        let typed: Vec<&'static str> = typed.iter().chain(&rest).copied().collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exorelay.toml");
        let plan = |text: &str| Plan::new(&file, text.to_owned(), None).unwrap();
        let hold = |plan: &Plan, typed: &[&'static str]| {
            let mut script = Script::new(typed);
            let answers = interview::hold(&mut script, plan.present()).unwrap();
            let text = plan.edited(&answers).0;
            (answers, text, script.typed.len())
        };
        let (answers, text, left) = hold(&plan(""), &typed);
        assert_eq!(left, 0, "{typed:?}");
        assert_valid(&text);
        assert!(text.starts_with("# Made by exorelay setup"), "{text}");
        assert!(text.contains("mailbox = \"relay@contoso.com\""), "{text}");
        for part in expected {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let debug = format!("{answers:?}");
        assert!(!text.contains(VALUE) && !debug.contains(VALUE), "{text}");
        // Once more, with nothing but Enter: a code on another device is a browser in the settings.
        std::fs::write(folder.path().join("client-secret"), VALUE).unwrap();
        let again = plan(&text);
        let way = if answers.way == Way::Device {
            Way::Browser
        } else {
            answers.way
        };
        assert_eq!(again.present().answers.way, way);
        let (_, after, _) = hold(&again, &[""; 12]);
        assert_eq!(after, text);
    }
}

#[test]
fn what_is_not_asked_about_stays() {
    let before = "# Ours since 2019.\nhostname = \"relay.contoso.local\"  # as in DNS\n\n\
                  [account.default] # the only one\nmailbox = \"old@contoso.com\"  # of the scanners\n\
                  tenant_id = \"contoso.com\"\nclient_id = \"99999999-2222-3333-4444-555555555555\"\n\
                  client_secret = \"hunter2\"\n# Slow line.\nsmtp.timeouts.connect = \"60s\"\n\n\
                  [queue]\n# a large disk\nmax_bytes = \"50GiB\"\n\n\
                  [listener.scanners]\naddress = \"10.20.1.5:25\"\nallow = [\n  \"10.20.1.0/24\", # first floor\n]\n";
    let typed = [
        "",
        "",
        "",
        CLIENT,
        VALUE,
        "",
        "new@contoso.com",
        "",
        "",
        "none",
    ];
    let (_, text, changes) = held(before, &typed);
    assert_valid(&text);
    for kept in [
        "# Ours since 2019.",
        "hostname = \"relay.contoso.local\"  # as in DNS",
        "[account.default] # the only one",
        "mailbox = \"new@contoso.com\"  # of the scanners",
        "# Slow line.\nsmtp.timeouts.connect = \"60s\"",
        "# a large disk",
        "address = \"10.20.1.5:25\"",
        "[bounce]\nto = \"none\"",
    ] {
        assert!(text.contains(kept), "{kept} in\n{text}");
    }
    let changes = changes.join("\n");
    assert!(
        changes.contains("mailbox: \"old@contoso.com\" -> \"new@contoso.com\""),
        "{changes}"
    );
    assert!(
        changes.contains("client_secret: (a secret) -> { file ="),
        "{changes}"
    );
    assert!(
        !changes.contains("hunter2") && !text.contains("hunter2"),
        "{changes}"
    );
}

#[test]
fn another_way_takes_the_keys_of_the_first_away() {
    let before = "[account.default]\nmailbox = \"a@contoso.com\"\ntenant_id = \"contoso.com\"\n\
                  client_id = \"99999999-2222-3333-4444-555555555555\"\nclient_secret = \"hunter2\"\n\
                  credential_expires = \"2027-05-01\"\n";
    let (_, text, changes) = held(before, &["5", "", "-", "", "", "", ""]);
    assert_valid(&text);
    for gone in ["client_secret", "credential_expires", "client_id"] {
        assert!(!text.contains(gone), "{text}");
    }
    assert_eq!(changes.len(), 4, "{changes:?}");
}

#[test]
fn networks_are_let_in_beside_this_machine() {
    let typed = [
        "1",
        "",
        TENANT,
        CLIENT,
        VALUE,
        "",
        "relay@contoso.com",
        "10.20.1.0/24, 10.9.9.9",
        "",
        "",
    ];
    let (_, text, _) = held("", &typed);
    assert_valid(&text);
    let listener = "[listener.local]\naddress = \"0.0.0.0:2525\"\n\
                    allow = [\"127.0.0.0/8\", \"::1\", \"10.20.1.0/24\", \"10.9.9.9\"]\n";
    assert!(text.contains(listener), "{text}");
    // And back: the secret's file is not there, so it is asked for again.
    let (_, text, _) = held(&text, &["", "", "", "", VALUE, "", "", "local", "", ""]);
    assert!(
        text.contains("address = \"127.0.0.1:2525\"") && !text.contains("allow"),
        "{text}"
    );
    // Listeners that no question fits are left alone.
    let several = format!("{text}\n[listener.b]\naddress = \"127.0.0.1:26\"\n");
    let (_, after, changes) = held(&several, &["", "", "", "", VALUE, "", "", ""]);
    assert_eq!((after, changes), (several, Vec::new()));
}

#[test]
fn bad_answers_are_told_and_asked_again() {
    let typed = [
        "8",
        "secret",
        "mars",
        "global",
        "common",
        "contoso",
        "not a domain",
        TENANT,
        "exorelay",
        TENANT,
        CLIENT,
        "",
        "a\tb",
        CLIENT,
        "no",
        VALUE,
        "01.05.2027",
        "",
        "relay",
        "relay@contoso.com",
        "10.0.0.1/8",
        "0.0.0.0/0",
        "",
        "0.0.0.0:2525",
        "127.0.0.1",
        "",
        "nobody",
        "sender",
    ];
    let (plan, mut script) = (plan(""), Script::new(&typed));
    let answers = interview::hold(&mut script, plan.present()).unwrap();
    let told: Vec<&String> = script
        .shown
        .iter()
        .filter(|line| line.starts_with(['!', '?']))
        .collect();
    let expected = [
        ("way", "1 to 7"),
        ("cloud", "gcc_high"),
        ("tenant_id", "Directory"),
        ("tenant_id", "GUID nor a domain"),
        ("tenant_id", "not a tenant"),
        ("client_id", "Overview"),
        ("client_id", "tenant's id once more"),
        ("client_secret", "is needed"),
        ("client_secret", "Value only"),
        ("client_secret", "Secret ID"),
        ("credential_expires", "2027"),
        ("mailbox", "relay"),
        ("listener.allow", "10.0.0.0/8"),
        ("listener.allow", "open relay"),
        ("listener.address", "open relay"),
        ("listener.address", "no port"),
        ("bounce.to", "nobody"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, (key, part)) in told.iter().zip(expected) {
        assert!(
            line.contains(key) && line.contains(part),
            "{part} in {line}"
        );
    }
    assert_valid(&plan.edited(&answers).0);
}

#[test]
fn the_account_is_named_where_it_is_not_clear() {
    let accounts = "[account.a]\nmailbox = 'a@x'\n[account.b]\nmailbox = 'b@x'\n";
    let file = Path::new("x.toml");
    let error = Plan::new(file, accounts.to_owned(), None).unwrap_err();
    assert!(
        error
            .lines()
            .any(|line| line.contains("--account; there are a, b")),
        "{error:?}"
    );
    let plan = Plan::new(file, accounts.to_owned(), Some("b")).unwrap();
    assert_eq!(plan.present().answers.mailbox, "b@x");
    let error = Plan::new(file, "[account".to_owned(), None).unwrap_err();
    assert_eq!(error.exit(), Exit::Configuration);
    assert!(
        error.lines().any(|line| line.starts_with("x.toml:1: ")),
        "{error:?}"
    );
}
