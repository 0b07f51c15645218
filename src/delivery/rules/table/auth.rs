//! Signing in (facts C.1). None of it is ever a message's fault.

use crate::delivery::PausePolicy;
use crate::delivery::rules::matching::{Stage, TRANSACTION, said};
use crate::delivery::rules::{Rule, Verdict};

pub(super) const RULES: &[Rule] = &[
    // Switches that no new token changes: 5.7.139 and a reason in words.
    Rule {
        key: "smtp_auth_disabled_for_tenant",
        when: &[said(5).text(&["SmtpClientAuthentication is disabled for the Tenant"])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "Authenticated SMTP is switched off in the whole tenant.",
        remedy: "Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false switches it on for this mailbox alone (preferred); Set-TransportConfig -SmtpClientAuthenticationDisabled $false for all. It takes up to an hour.",
    },
    Rule {
        key: "smtp_auth_disabled_for_mailbox",
        when: &[said(5).text(&["SmtpClientAuthentication is disabled for the Mailbox"])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "Authenticated SMTP is switched off for the mailbox.",
        remedy: "Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false, or tick Authenticated SMTP in the Microsoft 365 admin centre > Users > Active users > Mail > Manage email apps. It takes up to an hour.",
    },
    Rule {
        key: "basic_authentication_disabled",
        when: &[said(535).text(&["basic authentication is disabled"])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The server saw a sign-in with a password, which is switched off.",
        remedy: "exorelay signs in with XOAUTH2 only: check host and port in [account.NAME.smtp], and that no proxy signs in on its behalf.",
    },
    Rule {
        key: "credentials_incorrect",
        when: &[said(535).text(&["user credentials were incorrect"])],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "Mailbox and token do not belong together.",
        remedy: "Check mailbox and tenant_id of the account: the mailbox's primary address (Get-Mailbox MAILBOX | fl PrimarySmtpAddress), in the tenant that the app is registered in.",
    },
    Rule {
        key: "conditional_access",
        when: &[said(535).text(&["did not meet the criteria to be authenticated"])],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "A Conditional Access or authentication policy of the tenant refuses the sign-in.",
        remedy: "Entra admin centre > Monitoring > Sign-in logs (also: Service principal sign-ins) names the policy; exempt the app or mailbox from it, or use access = \"application\".",
    },
    Rule {
        key: "security_defaults",
        when: &[said(535).text(&["security defaults policy"])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The tenant's security defaults lock the user out of SMTP.",
        remedy: "Use access = \"application\", or replace security defaults by Conditional Access: Entra admin centre > Overview > Properties > Manage security defaults.",
    },
    Rule {
        key: "account_locked",
        when: &[said(535).text(&["account locked"])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "Entra has locked the user's account after failed sign-ins.",
        remedy: "Find what signs in with a wrong password (Entra admin centre > Monitoring > Sign-in logs), then unblock the user or reset the password under Users > Active users.",
    },
    Rule {
        key: "authentication_not_allowed",
        when: &[said(5).status(&[(5, 7, 139)])],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "A policy of the tenant refuses the sign-in.",
        remedy: "Entra admin centre > Monitoring > Sign-in logs names the policy; Get-CASMailbox MAILBOX | fl SmtpClientAuthenticationDisabled and Get-TransportConfig | fl SmtpClientAuthenticationDisabled show the switches.",
    },
    Rule {
        key: "basic_authentication_retired",
        when: &[said(5).status(&[(5, 7, 30)])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The server saw a sign-in with a password, which Microsoft has retired.",
        remedy: "exorelay signs in with XOAUTH2 only: check host and port in [account.NAME.smtp], and that no proxy signs in on its behalf.",
    },
    Rule {
        key: "authentication_type_unknown",
        when: &[said(504).status(&[(5, 7, 4)])],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN),
        sentence: "The server does not take XOAUTH2 on this connection.",
        remedy: "Check host, port (587) and tls (starttls) in [account.NAME.smtp], and that no firewall inspects SMTP.",
    },
    Rule {
        key: "not_authenticated",
        // Somebody between us forgot the sign-in; on a new connection it is told again.
        when: &[said(5).status(&[(5, 7, 57)]), said(530)],
        verdict: Verdict::NewConnection(Some(PausePolicy::SIGN_IN)),
        sentence: "The server does not know that the connection has signed in.",
        remedy: "Check host and port (587) in [account.NAME.smtp]; Get-CASMailbox MAILBOX | fl SmtpClientAuthenticationDisabled must not say True.",
    },
    Rule {
        key: "authentication_away",
        when: &[said(454).at(&[Stage::Auth]), said(454).at(TRANSACTION)],
        verdict: Verdict::PauseAccount(PausePolicy::SIGN_IN_AWAY),
        sentence: "Exchange Online cannot check tokens at the moment.",
        remedy: "Wait, it passes; Microsoft 365 admin centre > Health > Service health tells of outages.",
    },
    Rule {
        key: "authentication_refused",
        // 5.7.3 nearly always; a fresh token was refused too by the time anybody reads this.
        when: &[said(535)],
        verdict: Verdict::RefreshToken(PausePolicy::SIGN_IN),
        sentence: "Exchange Online refused the token: wrong audience, a missing permission or consent, the wrong service principal, or a mailbox it does not know.",
        remedy: "Grant SMTP.SendAsApp (Office 365 Exchange Online > Application) with admin consent, or the role 'Application SMTP.SendAsApp'; Get-ServicePrincipal must show the object id of the ENTERPRISE application (else Remove-ServicePrincipal and New-ServicePrincipal -AppId APP_ID -ObjectId OBJECT_ID); mailbox must be a primary address with SMTP AUTH on (Get-CASMailbox MAILBOX | fl SmtpClientAuthenticationDisabled). It takes up to two hours.",
    },
];
