//! `[account.NAME.sender]`: what happens to the From of messages.

use super::reader::Table;
use super::setting::{Paragraphs, words};
use crate::mail::Mailbox;

/// What an account may change in the messages it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// When From is rewritten to the account's mailbox.
    pub policy: SenderPolicy,
    /// For a From that is rewritten or has no name; empty: none.
    pub display_name: String,
    /// Where answers go when From is rewritten; none: the original From.
    pub reply_to: Option<Mailbox>,
    /// Appended to text/plain; empty: nothing.
    pub signature_text: String,
    /// Appended to text/html; empty: nothing.
    pub signature_html: String,
}

words! {
    /// When From is rewritten.
    pub enum SenderPolicy {
        /// Never.
        Keep = "keep",
        /// Always.
        Mailbox = "mailbox",
        /// For a From that the service has refused.
        Auto = "auto",
    }
}

impl Sender {
    pub(super) fn read(table: Table<'_>) -> Self {
        let sender = Self {
            policy: table.read("policy", SenderPolicy::Auto),
            display_name: table.read("display_name", String::new()),
            reply_to: table.read("reply_to", None),
            signature_text: paragraphs(&table, "signature_text"),
            signature_html: paragraphs(&table, "signature_html"),
        };
        table.finish();
        sender
    }
}

fn paragraphs(table: &Table<'_>, key: &'static str) -> String {
    let Paragraphs(text) = table.read(key, Paragraphs::default());
    text
}
