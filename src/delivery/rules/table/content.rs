//! The message itself (facts A.6).

use crate::delivery::rules::matching::said;
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "header_too_large",
        when: &[said(552).status(&[(5, 3, 4)]).text(&["Header size"])],
        verdict: Verdict::FailMessage,
        sentence: "The header of the message is larger than Exchange Online takes.",
        remedy: "Let the device write fewer or shorter header fields, References above all; fewer addresses in To and Cc.",
    },
    Rule {
        key: "message_too_large",
        when: &[
            said(5).status(&[(5, 3, 4)]),
            said(5).text(&["MapiExceptionMaxSubmissionExceeded"]),
            said(5).text(&["MessageSubmissionExceededException"]),
        ],
        verdict: Verdict::FailMessage,
        sentence: "The message is larger than the mailbox may send.",
        remedy: "Scan with a lower resolution, or raise the limit: Set-Mailbox MAILBOX -MaxSendSize 150MB (about 112 MB of files); max_message_size of the listener tells devices beforehand. Then: exorelay queue retry ID.",
    },
    Rule {
        key: "header_value_too_long",
        when: &[said(554).status(&[(5, 6, 211)])],
        verdict: Verdict::FailMessage,
        sentence: "A header field of the message is longer than 32,768 octets.",
        remedy: "Let the device shorten the field that the reply names.",
    },
    Rule {
        key: "bare_linefeed",
        when: &[said(5).status(&[(5, 6, 11)])],
        verdict: Verdict::FailMessage,
        sentence: "The message has line ends without CR.",
        remedy: "Set bare_newline = \"normalize\" for the listener, then let the device send again.",
    },
    Rule {
        key: "smtputf8_not_offered",
        // Our own words: RFC 6531 section 3.2.
        when: &[said(550).status(&[(5, 6, 7)])],
        verdict: Verdict::FailRecipient,
        sentence: "The server does not take addresses that are not ASCII.",
        remedy: "Use an ASCII address for the recipient or the sender.",
    },
    Rule {
        key: "content_invalid",
        when: &[said(5).details(5, 6, 0, 999)],
        verdict: Verdict::FailMessage,
        sentence: "Exchange Online cannot make sense of the message's MIME structure or header.",
        remedy: "exorelay queue show ID --content shows the message; often the References field or a Content-Type is at fault. Correct the program that makes it.",
    },
];
