//! One recipient.

use crate::delivery::rules::matching::said;
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "recipient_unknown",
        when: &[said(5).status(&[(5, 1, 1), (5, 1, 10)])],
        verdict: Verdict::FailRecipient,
        sentence: "There is no such recipient.",
        remedy: "Correct the address in the device's address book; Get-Recipient ADDRESS looks for it in the tenant.",
    },
    Rule {
        key: "recipient_address_invalid",
        when: &[said(5).status(&[(5, 1, 3)])],
        verdict: Verdict::FailRecipient,
        sentence: "The recipient's address is malformed.",
        remedy: "Correct the address in the device's address book.",
    },
    Rule {
        key: "recipient_mailbox_full",
        // The sender's own was taken out by an earlier rule.
        when: &[said(5).status(&[(5, 2, 2)])],
        verdict: Verdict::FailRecipient,
        sentence: "The recipient's mailbox is full.",
        remedy: "The recipient has to make room; then: exorelay queue retry ID.",
    },
    Rule {
        key: "recipient_mailbox_full_for_now",
        when: &[said(4).status(&[(4, 2, 2)])],
        verdict: Verdict::RetryMessage,
        sentence: "The recipient's mailbox is full at the moment.",
        remedy: "The recipient has to make room; the message is tried again until it expires.",
    },
];
