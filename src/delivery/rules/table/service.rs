//! The service's own connections and machines (facts A.1, A.5, B.4).

use crate::delivery::PausePolicy;
use crate::delivery::rules::matching::said;
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "tls_too_old",
        when: &[said(421).status(&[(4, 7, 66)])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The server saw TLS 1.0 or 1.1, which it does not take; exorelay speaks 1.2 and 1.3.",
        remedy: "Something between here and there opens the encryption with an old version: exempt the server from TLS inspection.",
    },
    Rule {
        key: "session_idle",
        when: &[said(4).text(&["Timeout waiting for client input"])],
        verdict: Verdict::NewConnection(None),
        sentence: "Exchange Online had closed the idle connection.",
        remedy: "Nothing is to be done; a new connection is used.",
    },
    Rule {
        key: "session_too_long",
        when: &[said(4).text(&["Connection timed out"])],
        verdict: Verdict::NewConnection(None),
        sentence: "Exchange Online had closed the connection because of its age.",
        remedy: "Nothing is to be done; a new connection is used.",
    },
    Rule {
        key: "server_draining",
        when: &[said(421).status(&[(4, 3, 2)])],
        verdict: Verdict::NewConnection(None),
        sentence: "The machine of Exchange Online that answered is being taken out of service.",
        remedy: "Nothing is to be done; a new connection reaches another one.",
    },
    Rule {
        key: "proxy_refused",
        // Looks like a hiccup of the service, and lasts when the app may not open the mailbox.
        when: &[said(451).status(&[(4, 7, 0)]).text(&["PRX4"])],
        verdict: Verdict::NewConnection(Some(PausePolicy::PROXY)),
        sentence: "Exchange Online does not get through to the mailbox: a passing fault, or the app has no right on it.",
        remedy: "If it lasts: Test-ServicePrincipalAuthorization -Identity APP_ID -Resource MAILBOX; if it says no, give the role 'Application SMTP.SendAsApp' or Add-MailboxPermission -Identity MAILBOX -User SERVICE_PRINCIPAL_ID -AccessRights FullAccess. Check that the mailbox exists and has a licence.",
    },
    Rule {
        key: "proxy_fault",
        when: &[said(451)
            .status(&[(4, 7, 0)])
            .text(&["Temporary server error"])],
        verdict: Verdict::NewConnection(Some(PausePolicy::PROXY)),
        sentence: "Exchange Online has a passing fault between its front end and the mailbox.",
        remedy: "Wait, it passes; Microsoft 365 admin centre > Health > Service health tells of outages.",
    },
    Rule {
        key: "directory_fault",
        when: &[said(451).status(&[(4, 4, 3)])],
        verdict: Verdict::RetryMessage,
        sentence: "Exchange Online could not look something up in DNS or in its directory.",
        remedy: "Nothing is to be done; the message is tried again.",
    },
    Rule {
        key: "command_unknown",
        // We send no verb that the service does not know: something else reached it in its place.
        when: &[said(500).status(&[(5, 3, 3)])],
        verdict: Verdict::NewConnection(None),
        sentence: "The server did not recognise a command: what arrived there is not what was sent.",
        remedy: "A new connection is used; if it comes back, exempt the server from SMTP inspection, and report it with the log.",
    },
];
