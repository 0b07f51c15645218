//! `docs/replies.md`, which is made from the tables.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::delivery::{PausePolicy, Probe, State};

const HEAD: &str = "\
# What Exchange Online answers, and what exorelay does about it

Made from the tables in `src/delivery/rules` and `src/sandbox/replies.rs` by a test: do not edit, run
`EXORELAY_WRITE_DOCS=1 cargo test --lib docs_page` after changing them.

The first row that takes a reply decides. Code, enhanced code, words (in whatever case) and step count together;
trailers such as `[HOST TIME ID]` and addresses are left out of the comparison and kept in log and history. The key
is in `status` (`rule`) and in the log; sentence and remedy are shown wherever the reply is. In the remedies, MAILBOX,
FROM, APP_ID and the like stand for yours.

- **pause account**: nobody's message is to blame. The account sends nothing; its messages neither grow older nor use
  up attempts; probes with growing pauses, by a message or by signing in, find out when it is over. *throttled* passes
  by itself, *paused* usually does, *blocked* needs somebody to act (and is tried at once after a reload). **pause
  tenant** does the same to every account of the tenant.
- **refresh token**: a new token and one more try at once; then a pause.
- **new connection**: at once, without using up an attempt; if it says the same, a pause or the message's back-off.
- **split**: recipients that were accepted are served, the others follow in a transaction of their own.
- **fail**: the message stays in the queue as failed, for `queue retry` once the cause is mended.
- **send as denied**: what the sender policy is about; without one that helps, as *fail message*.

";

const SANDBOX: &str = "
## In the sandbox

Send to `fault+NAME@any.domain` (`-` is as good as `_`) or `fault+CODE@any.domain`, and the sandbox answers in these
words: at the end of data if the reply belongs there, else at RCPT. `POST /control/smtp {\"documented\": \"NAME\",
\"count\": 1}` gives it where Exchange gives it, at AUTH for instance. Of several with one code the code stands for the
first. Where only a code is on record (High Volume Email), the words are the sandbox's. Before `google_token_refused` at
AUTH goes Google's error challenge, a 334 with JSON, which the client has to answer with an empty line.

| name | at | reply |
| --- | --- | --- |
";

fn time(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3_600 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

fn pause(pause: &PausePolicy) -> String {
    let state = match pause.state {
        State::Throttled => "throttled",
        State::Blocked => "blocked",
        State::Ready | State::Refreshing | State::Paused => "paused",
    };
    let probe = match pause.probe {
        Probe::Authentication => "signing in",
        Probe::Message => "a message",
    };
    let (first, longest) = (time(pause.first), time(pause.longest));
    format!("{state}, {first} to {longest}, by {probe}")
}

/// The replies that a rule is about.
pub(super) fn replies(rule: &Rule) -> String {
    let replies: Vec<_> = rule.when.iter().map(ToString::to_string).collect();
    match rule.key {
        "accepted" => "`2yz` (at the end of data)".to_owned(),
        "undecided" => "`2yz`, `3yz` (before it)".to_owned(),
        "unknown_at_connect" => "any other (at the opening)".to_owned(),
        "unknown_at_auth_later" => "any other `4yz` (at AUTH)".to_owned(),
        "unknown_at_auth" => "any other `5yz` (at AUTH)".to_owned(),
        "unknown_deferral" => "any other `4yz`".to_owned(),
        "unknown_recipient_refusal" => "any other `5yz` (at RCPT)".to_owned(),
        "unknown_refusal" => "any other `5yz`".to_owned(),
        _ => replies.join("<br>"),
    }
}

/// A bar would end the cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn row(page: &mut String, rule: &Rule) {
    let replies = replies(rule);
    let mut verdict = word(rule.verdict).to_owned();
    if let Some(policy) = rule.verdict.pause() {
        verdict.push_str(": ");
        verdict.push_str(&pause(&policy));
    }
    let (key, sentence) = (rule.key, rule.sentence);
    let remedy = cell(rule.remedy);
    writeln!(
        page,
        "| `{key}` | {replies} | {verdict} | {sentence} | {remedy} |"
    )
    .unwrap();
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(
        "| key | reply | verdict | what is wrong | remedy |\n| --- | --- | --- | --- | --- |\n",
    );
    for rule in table::rules().chain(table::FALLBACKS) {
        row(&mut page, rule);
    }
    page.push_str(SANDBOX);
    for documented in sandbox::documented() {
        let at = match documented.at {
            sandbox::Step::Ehlo => "EHLO",
            sandbox::Step::Auth => "AUTH",
            sandbox::Step::Mail => "MAIL",
            sandbox::Step::Rcpt => "RCPT",
            _ => "end of data",
        };
        let (name, text) = (documented.name, documented.text);
        writeln!(page, "| `{name}` | {at} | `{text}` |").unwrap();
    }
    page
}

#[test]
fn the_docs_page_is_what_the_tables_say() {
    is_written("docs/replies.md", &page());
}

/// Writes it when asked to, else compares.
pub(super) fn is_written(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("EXORELAY_WRITE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "{file} is stale: EXORELAY_WRITE_DOCS=1 cargo test --lib docs_page"
    );
}
