//! Who a message may be From (facts C.2).

use crate::delivery::rules::matching::{TRANSACTION, said};
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "from_cannot_be_rewritten",
        // Words of our own (mail::rewrite::Refusal), alone or behind the service's.
        when: &[said(5).text(&["From cannot be rewritten"])],
        verdict: Verdict::FailMessage,
        sentence: "The message would have to leave with the mailbox in From, and cannot be changed so.",
        remedy: "Add-RecipientPermission FROM -AccessRights SendAs -Trustee MAILBOX, then: exorelay sender forget FROM; or have the message signed after exorelay rather than before it, Exchange Online does so by itself. Then: exorelay queue retry ID.",
    },
    Rule {
        key: "send_as_denied",
        // New and old wording (facts I).
        when: &[
            said(5).text(&["SendAsDenied"]),
            said(550).status(&[(5, 7, 60)]),
        ],
        verdict: Verdict::SendAsDenied,
        sentence: "The mailbox may not send with the From address of this message.",
        remedy: "Add-RecipientPermission FROM -AccessRights SendAs -Trustee MAILBOX (app-only: the service principal's id), let the device use the mailbox's own address, or set policy = \"auto\" in [account.NAME.sender].",
    },
    Rule {
        key: "sender_address_invalid",
        when: &[said(5).status(&[(5, 1, 7)]).at(TRANSACTION)],
        verdict: Verdict::FailMessage,
        sentence: "The sender's address is malformed.",
        remedy: "Correct the sender that the device or program uses, then let it send again.",
    },
];
