//! Limits and throttles: nobody's fault, and none of them a message's (facts B).

use crate::delivery::PausePolicy;
use crate::delivery::rules::matching::said;
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "submission_quota_exceeded",
        // A 5yz, and yet it passes: the window of a day slides (facts B.1). The pages disagree on the code (facts I).
        when: &[
            said(5).text(&["SubmissionQuotaExceeded"]),
            said(5).text(&["submission quota exceeded"]),
            said(5).status(&[(5, 1, 90), (5, 1, 92)]),
        ],
        verdict: Verdict::PauseAccount(PausePolicy::DAY_QUOTA),
        sentence: "The mailbox has reached its 10,000 recipients in 24 hours.",
        remedy: "Wait: sending resumes as the 24 hours pass. For more, add another mailbox as an account of its own; a lower limit may be set in Get-HostedOutboundSpamFilterPolicy | fl RecipientLimit*.",
    },
    Rule {
        key: "sender_throttled_mailbox_full",
        when: &[said(550).status(&[(5, 2, 251)]).text(&["Sender throttled"])],
        verdict: Verdict::PauseAccount(PausePolicy::SENDER_THROTTLED),
        sentence: "Exchange Online has shut the mailbox out for a time, because it was full at one message after the other.",
        remedy: "Empty Sent Items and give it a retention policy (New-RetentionPolicyTag -Type SentItems); then wait: it ends within about a day, and nobody can lift it.",
    },
    Rule {
        key: "sender_throttled_send_as",
        // Shares 5.2.252 with SendAsDenied and nothing else: code and text differ (facts B.3).
        when: &[said(550).status(&[(5, 2, 252)]).text(&["Sender throttled"])],
        verdict: Verdict::PauseAccount(PausePolicy::SENDER_THROTTLED),
        sentence: "Exchange Online has shut the mailbox out for a time, because too many messages in a row were From addresses it may not send as.",
        remedy: "Find the device (exorelay history --state failed), then Add-RecipientPermission FROM -AccessRights SendAs -Trustee MAILBOX, or correct its From; then wait: it ends within about a day.",
    },
    Rule {
        key: "sender_throttled_license",
        when: &[said(550).status(&[(5, 2, 253)]).text(&["Sender throttled"])],
        verdict: Verdict::PauseAccount(PausePolicy::SENDER_THROTTLED),
        sentence: "Exchange Online has shut the mailbox out for a time, because its licence is missing or has run out.",
        remedy: "Assign a licence with Exchange Online in the Microsoft 365 admin centre > Users > Active users > Licenses and apps; then wait: it ends within about a day.",
    },
    Rule {
        key: "sender_throttled_recipient_count",
        when: &[said(550).status(&[(5, 2, 254)]).text(&["Sender throttled"])],
        verdict: Verdict::PauseAccount(PausePolicy::SENDER_THROTTLED),
        sentence: "Exchange Online has shut the mailbox out for a time, because too many messages in a row had more recipients than it may use.",
        remedy: "Set recipients_per_message of the account to (Get-Mailbox MAILBOX).RecipientLimits or raise that: Set-Mailbox MAILBOX -RecipientLimits 1000; then wait: it ends within about a day.",
    },
    Rule {
        key: "sender_throttled_invalid_recipients",
        when: &[said(550).status(&[(5, 2, 255)]).text(&["Sender throttled"])],
        verdict: Verdict::PauseAccount(PausePolicy::SENDER_THROTTLED),
        sentence: "Exchange Online has shut the mailbox out for a time, because too many recipients in a row did not exist.",
        remedy: "Find the device (exorelay history --state failed) and correct its address list; then wait: it ends within about a day.",
    },
    Rule {
        key: "sender_throttled",
        when: &[said(5).text(&["Sender throttled due to continuous"])],
        verdict: Verdict::PauseAccount(PausePolicy::SENDER_THROTTLED),
        sentence: "Exchange Online has shut the mailbox out for a time, because the same error came again and again.",
        remedy: "Mend what the reply names; then wait: it ends within about a day, and nobody can lift it.",
    },
    Rule {
        key: "tenant_external_quota",
        when: &[said(550).status(&[(5, 7, 233)])],
        verdict: Verdict::PauseTenant(PausePolicy::DAY_QUOTA),
        sentence: "The tenant has reached its external recipients in 24 hours; every mailbox of it is affected.",
        remedy: "Wait for the 24 hours to pass; Get-LimitsEnforcementStatus tells quota and use. The quota grows with the number of licences; High Volume Email and Azure Communication Services do not count.",
    },
    Rule {
        key: "tenant_trial_quota",
        when: &[said(550).status(&[(5, 7, 232)])],
        verdict: Verdict::PauseTenant(PausePolicy::DAY_QUOTA),
        sentence: "The trial tenant has reached its external recipients in 24 hours; every mailbox of it is affected.",
        remedy: "Wait for the 24 hours to pass, or buy a licence: trial tenants get the lowest quota (Get-LimitsEnforcementStatus).",
    },
    Rule {
        key: "onmicrosoft_quota",
        when: &[said(550).status(&[(5, 7, 236)])],
        verdict: Verdict::PauseTenant(PausePolicy::DAY_QUOTA),
        sentence: "Senders in onmicrosoft.com have reached the 100 external recipients in 24 hours that the whole tenant gets.",
        remedy: "Send from a domain of your own: add it in the Microsoft 365 admin centre > Settings > Domains, then Set-Mailbox MAILBOX -WindowsEmailAddress NAME@YOUR.DOMAIN.",
    },
    Rule {
        key: "tenant_blocked",
        when: &[said(550).status(&[(5, 7, 705)])],
        verdict: Verdict::PauseTenant(PausePolicy::BLOCKED),
        sentence: "Exchange Online takes nothing from the tenant: too much of what it sent looked like spam.",
        remedy: "Find who sent it (Defender portal > Email & collaboration > Explorer), secure that account, then open a support case in the Microsoft 365 admin centre.",
    },
    Rule {
        key: "tenant_domain_unregistered",
        when: &[said(550).status(&[(5, 7, 750)])],
        verdict: Verdict::PauseTenant(PausePolicy::BLOCKED),
        sentence: "Exchange Online takes nothing from the tenant: too much was sent From domains that are not registered with it.",
        remedy: "Add each domain you send From in the Microsoft 365 admin centre > Settings > Domains (Get-AcceptedDomain lists them), then open a support case.",
    },
    Rule {
        key: "tenant_ip_reputation",
        when: &[said(550).status(&[(5, 7, 708)])],
        verdict: Verdict::PauseTenant(PausePolicy::BLOCKED),
        sentence: "Exchange Online takes no traffic from the addresses this tenant sends through; new and trial tenants see this.",
        remedy: "Open a support case in the Microsoft 365 admin centre and ask for 5.7.708 to be lifted; buying a licence often ends it.",
    },
    Rule {
        key: "connections_exceeded",
        when: &[
            said(432).text(&["Concurrent connections limit exceeded"]),
            said(432).text(&["sender thread limit exceeded"]),
        ],
        verdict: Verdict::PauseAccount(PausePolicy::CONNECTIONS),
        sentence: "More than three connections submit with this mailbox at once.",
        remedy: "Let no other program send with the mailbox, or lower connections in [account.NAME.smtp] to leave it room.",
    },
    Rule {
        key: "recipient_busy",
        // The recipient's server, not our connections.
        when: &[said(432).text(&["recipient thread limit exceeded"])],
        verdict: Verdict::RetryMessage,
        sentence: "The recipient's mailbox is taking in too much at once.",
        remedy: "Nothing is to be done; the message is tried again.",
    },
    Rule {
        key: "too_many_recipients",
        // RFC 5321 section 4.5.3.1.10, also for 200 of one domain (AS780090).
        when: &[
            said(452).status(&[(4, 5, 3)]),
            said(452).text(&["Too many recipients"]),
        ],
        verdict: Verdict::Split,
        sentence: "The message has more recipients than the mailbox may use at once; the rest is sent separately.",
        remedy: "Nothing is to be done; recipients_per_message of the account as low as (Get-Mailbox MAILBOX).RecipientLimits saves the detour.",
    },
    Rule {
        key: "recipient_limit_exceeded",
        when: &[said(550).status(&[(5, 5, 3)])],
        verdict: Verdict::FailMessage,
        sentence: "The message has more recipients than the mailbox may use.",
        remedy: "Set recipients_per_message of the account to (Get-Mailbox MAILBOX).RecipientLimits or raise that: Set-Mailbox MAILBOX -RecipientLimits 1000; then: exorelay queue retry ID.",
    },
    Rule {
        key: "recipient_receives_too_much",
        // 5yz, but it is counted by the hour (facts B.4).
        when: &[said(550).status(&[(5, 2, 121), (5, 2, 122)])],
        verdict: Verdict::RetryMessage,
        sentence: "The recipient has got as much mail as it may in an hour.",
        remedy: "Nothing is to be done; the message is tried again.",
    },
    Rule {
        key: "server_busy",
        when: &[
            said(4).details(4, 7, 500, 699),
            said(4).details(4, 7, 850, 899),
        ],
        verdict: Verdict::PauseAccount(PausePolicy::BUSY),
        sentence: "Exchange Online slows this address or this pattern of mail down.",
        remedy: "Wait, it passes in minutes; if it comes back often, lower messages_per_minute of the account.",
    },
];
