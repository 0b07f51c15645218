//! The sending mailbox: full, blocked, or out of the app's reach (facts C.2).

use crate::delivery::PausePolicy;
use crate::delivery::rules::matching::{Stage, said};
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "mailbox_access_missing",
        // 4yz, and yet no time mends it: the app has no right on the mailbox.
        when: &[
            said(4).text(&["MapiExceptionLogonFailed"]),
            said(4).text(&["mailbox logon failure"]),
            said(4).text(&["Cannot open mailbox"]),
            said(430).status(&[(4, 2, 0), (4, 7, 0)]),
        ],
        verdict: Verdict::PauseAccount(PausePolicy::PERMISSION),
        sentence: "The app signed in but may not open the mailbox: its permission is missing, was given to the wrong object id, or does not work yet.",
        remedy: "Test-ServicePrincipalAuthorization -Identity APP_ID -Resource MAILBOX; if it says no: New-ManagementRoleAssignment -App APP_ID -Role 'Application SMTP.SendAsApp' -CustomResourceScope SCOPE, or Add-MailboxPermission -Identity MAILBOX -User SERVICE_PRINCIPAL_ID -AccessRights FullAccess. It takes half an hour to two hours. Get-ServicePrincipal must show the object id of the ENTERPRISE application, not that of the app registration.",
    },
    Rule {
        key: "sender_mailbox_full",
        // At the end of data it is our own mailbox; a recipient's would be named at RCPT, or in a notice.
        when: &[
            said(5).text(&["MapiExceptionShutoffQuotaExceeded"]),
            said(5).text(&["MapiExceptionQuotaExceeded"]),
            said(5).text(&["mailbox full", "STOREDRV.Submission"]),
            said(554)
                .status(&[(5, 2, 2)])
                .at(&[Stage::Mail, Stage::Data, Stage::EndOfData]),
        ],
        verdict: Verdict::PauseAccount(PausePolicy::MAILBOX_FULL),
        sentence: "The sending mailbox is full: Exchange keeps a copy of everything in its Sent Items.",
        remedy: "Empty Sent Items in Outlook, and keep it so: New-RetentionPolicyTag Sent30 -Type SentItems -AgeLimitForRetention 30 -RetentionAction DeleteAndAllowRecovery; New-RetentionPolicy Relay -RetentionPolicyTagLinks Sent30; Set-Mailbox MAILBOX -RetentionPolicy Relay.",
    },
    Rule {
        key: "outbound_spam",
        when: &[said(5).text(&["OutboundSpamException"])],
        verdict: Verdict::PauseAccount(PausePolicy::BLOCKED),
        sentence: "Exchange Online takes what the mailbox sends for spam.",
        remedy: "Stop the device that sends it, then release the mailbox: Defender portal > Email & collaboration > Review > Restricted entities, or Remove-BlockedSenderAddress -SenderAddress MAILBOX. Should one message be to blame: exorelay queue delete ID.",
    },
    Rule {
        key: "sender_restricted",
        when: &[said(5).status(&[(5, 1, 8)])],
        verdict: Verdict::PauseAccount(PausePolicy::BLOCKED),
        sentence: "Microsoft has restricted the mailbox because of spam.",
        remedy: "Secure the mailbox, then release it: Defender portal > Email & collaboration > Review > Restricted entities, or Remove-BlockedSenderAddress -SenderAddress MAILBOX. It takes some hours.",
    },
    Rule {
        key: "sender_banned",
        when: &[said(5).status(&[(5, 7, 501), (5, 7, 502), (5, 7, 503), (5, 7, 511)])],
        verdict: Verdict::PauseAccount(PausePolicy::BLOCKED),
        sentence: "Microsoft has banned the mailbox as a sender because of spam.",
        remedy: "Release it in the Defender portal > Email & collaboration > Review > Restricted entities; if it is not listed there, write to the address in the reply (delist@microsoft.com).",
    },
    Rule {
        key: "ip_banned",
        when: &[said(5).details(5, 7, 606, 649)],
        verdict: Verdict::PauseAccount(PausePolicy::BLOCKED),
        sentence: "Microsoft has banned the address that this machine's connections come from.",
        remedy: "Ask for its removal at https://sender.office.com, or send from another address.",
    },
];
