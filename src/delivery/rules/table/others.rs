//! High Volume Email and Google, which answer the same dialogue with codes of their own (facts G.2, G.4).

use crate::delivery::PausePolicy;
use crate::delivery::rules::matching::{TRANSACTION, said};
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "hve_xoauth2_malformed",
        when: &[said(501).details(5, 5, 121, 126)],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "High Volume Email cannot read the sign-in.",
        remedy: "Check mailbox of the account: it must be the address of the HVE account, nothing else.",
    },
    Rule {
        key: "hve_token_expired",
        // Two codes are reported for a token with little life left (facts I).
        when: &[
            said(535).status(&[(5, 7, 142), (5, 7, 143)]),
            said(501).status(&[(5, 5, 127)]),
        ],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "High Volume Email wants a token with more life left.",
        remedy: "A new one is asked for; if it stays so, check this machine's clock and the tenant's token lifetime policy.",
    },
    Rule {
        key: "hve_permission_missing",
        when: &[said(535).status(&[(5, 7, 144)])],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "The app lacks the permission that High Volume Email asks for.",
        remedy: "Grant Office 365 Exchange Online > Application > Mail.Send with admin consent (not SMTP.SendAsApp), and set scope = \"https://outlook.office.com/.default\" in [account.NAME.oauth].",
    },
    Rule {
        key: "hve_app_not_allowed",
        when: &[said(550).status(&[(5, 7, 240)])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The app may not use this HVE account.",
        remedy: "Add-HVEAppAccess -Identity MAILBOX -AppIds APP_ID; it takes about five minutes.",
    },
    Rule {
        key: "hve_not_an_account",
        when: &[said(5).status(&[(5, 2, 240)])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The mailbox is no HVE account.",
        remedy: "New-MailUser -HVEAccount -Name NAME -PrimarySmtpAddress MAILBOX, or use smtp.office365.com for an ordinary mailbox.",
    },
    Rule {
        key: "hve_organization_disallows",
        when: &[said(535).text(&["organization configuration doesn't allow"])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The organisation does not allow this kind of sign-in to High Volume Email.",
        remedy: "Check the account in the Exchange admin centre > Mail flow > High Volume Email, and the tenant's authentication policy: Get-OrganizationConfig | fl DefaultAuthenticationPolicy.",
    },
    Rule {
        key: "hve_sender_differs",
        when: &[said(5).status(&[(5, 7, 62), (5, 6, 241)])],
        verdict: Verdict::SendAsDenied,
        sentence: "High Volume Email takes only mail whose sender is the HVE account itself.",
        remedy: "Let the device use the account's own address as sender and From.",
    },
    Rule {
        key: "hve_external_recipient",
        when: &[said(550).status(&[(5, 5, 105)])],
        verdict: Verdict::FailRecipient,
        sentence: "High Volume Email takes recipients of the own organisation only.",
        remedy: "Send to others through smtp.office365.com or Azure Communication Services.",
    },
    Rule {
        key: "google_token_refused",
        when: &[said(535).status(&[(5, 7, 8)])],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "Google refused the token: it is another mailbox's, for another scope, or was revoked.",
        remedy: "Sign in anew as MAILBOX itself: exorelay login ACCOUNT; the scope must be https://mail.google.com/, and while the consent screen is in Testing, Google lets sign-ins lapse after 7 days.",
    },
    Rule {
        key: "google_browser_sign_in",
        when: &[said(534).status(&[(5, 7, 9), (5, 7, 14)])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "Google wants the person to sign in with a browser before it takes mail.",
        remedy: "Sign in at https://accounts.google.com as MAILBOX and confirm what Google asks, then: exorelay login ACCOUNT.",
    },
    Rule {
        key: "google_sign_ins",
        when: &[said(454).text(&["Too many login attempts"])],
        verdict: Verdict::PauseAccount(PausePolicy::BUSY),
        sentence: "Google has seen too many sign-ins of this account in a short time.",
        remedy: "Wait, it passes; look for other programs that sign in with the account, and lower connections in [account.NAME.smtp].",
    },
    Rule {
        key: "google_unsolicited",
        when: &[said(421).text(&["unusual rate of unsolicited mail"])],
        verdict: Verdict::PauseAccount(PausePolicy::BLOCKED),
        sentence: "Google takes what comes from this machine's address for spam.",
        remedy: "Stop the device that sends it (exorelay history); the block ends by itself once that is so: https://support.google.com/mail/answer/81126.",
    },
    Rule {
        key: "google_busy",
        // Every reply of Google's ends in "gsmtp" (Workspace, "Gmail SMTP errors and codes").
        when: &[said(421).details(4, 7, 0, 999).text(&["gsmtp"])],
        verdict: Verdict::PauseAccount(PausePolicy::BUSY),
        sentence: "Google slows this address or account down, or has a passing fault.",
        remedy: "Wait, it passes in minutes; if it comes back often, set messages_per_minute of the account.",
    },
    Rule {
        key: "google_day_quota",
        when: &[said(550).status(&[(5, 4, 5)]).at(TRANSACTION)],
        verdict: Verdict::PauseAccount(PausePolicy::DAY_QUOTA),
        sentence: "The Google account has reached its messages of 24 hours (500, with Workspace 2,000).",
        remedy: "Wait: sending resumes as the 24 hours pass. For more, add another account; recipients_per_day of the account keeps below the limit.",
    },
];
