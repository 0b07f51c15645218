//! `docs/errors.md`, which is made from both catalogues: the sign-in service's errors and the replies.

use std::fmt::Write as _;

use super::page::{cell, is_written, replies};
use super::*;
use crate::oauth::aadsts::{self, Class, Entry};

const HEAD: &str = "\
# What the error means

Made from the tables in `src/oauth/aadsts` and `src/delivery/rules` by a test: do not edit, run
`EXORELAY_WRITE_DOCS=1 cargo test --lib docs_page` after changing them.

There are two kinds of errors, and `exorelay status` shows which it is: the sign-in service (Entra, or Google) gives no
token, or the submission service (Exchange Online, or Gmail) refuses a connection or a message. Both are in the log and in
`exorelay queue show` with meaning (`why`) and remedy (`remedy`), and by their key in `rule`. In the remedies, ACCOUNT, MAILBOX,
FROM, APP_ID and the like stand for yours; *your app* is the app registration in Entra. Wherever the fault lies, mail is
kept and goes out once it is mended: exorelay tries again by itself, after a reload and `exorelay login` at once. What is
changed in Entra or Exchange Online takes from minutes up to two hours to work.

## The sign-in service: AADSTS numbers

The number stands in the message: `invalid_client: AADSTS7000215: Invalid client secret provided ...`. It links to what
Microsoft tells of it. The key is the number behind `aadsts`, as in `aadsts7000215`.

- **operator**: somebody has to change something, in the settings or in Entra. The account is *blocked* as long as the token
  before does not serve any more.
- **sign in again**: of accounts with `access = \"delegated\"` the stored sign-in is over: `exorelay login ACCOUNT`. Where the app
  signs in by itself there is nobody to do so, and its registration is to be looked at.
- **wait**: it passes by itself.
- **program**: the request was not what the service expects.

| error | who | what is wrong | remedy |
| --- | --- | --- | --- |
";

const OTHERS: &str = "
## The sign-in service: errors without a number of this list

Google has no numbers at all, and Microsoft may invent new ones; then the `error` of the message counts, the word that it
begins with. The key is that word behind `oauth_`, as in `oauth_invalid_grant`.

| error | who | what is wrong | remedy |
| --- | --- | --- | --- |
";

const REPLIES: &str = "
## The submission service: replies

The first row that takes a reply decides; code, enhanced code and words count together. What exorelay does about each, and
how the sandbox is made to say it, is told in [replies.md](replies.md).

| key | reply | what is wrong | remedy |
| --- | --- | --- | --- |
";

fn sign_in_row(page: &mut String, name: &str, entry: &Entry) {
    let who = match entry.class {
        Class::Wait(_) => "wait",
        Class::SignInAgain => "sign in again",
        Class::Operator => "operator",
        Class::Ours => "program",
    };
    let (meaning, remedy) = (entry.meaning, cell(entry.remedy));
    writeln!(page, "| {name} | {who} | {meaning} | {remedy} |").unwrap();
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut numbered: Vec<_> = aadsts::numbered().collect();
    // Looked up by number: as a telephone book, not by size.
    numbered.sort_by_key(|entry| entry.key());
    for entry in numbered {
        let number = entry.number().unwrap();
        let name = format!("[AADSTS{number}]({})", aadsts::link(number));
        sign_in_row(&mut page, &name, entry);
    }
    page.push_str(OTHERS);
    for entry in aadsts::others() {
        let name = match entry.error().unwrap() {
            "unknown" => "any other".to_owned(),
            error => format!("`{error}`"),
        };
        sign_in_row(&mut page, &name, entry);
    }
    page.push_str(REPLIES);
    for rule in table::rules().chain(table::FALLBACKS) {
        let (key, replies) = (rule.key, replies(rule));
        let (sentence, remedy) = (rule.sentence, cell(rule.remedy));
        writeln!(page, "| `{key}` | {replies} | {sentence} | {remedy} |").unwrap();
    }
    page
}

#[test]
fn the_errors_docs_page_is_what_both_catalogues_say() {
    is_written("docs/errors.md", &page());
}
