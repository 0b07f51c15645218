//! Replies of Exchange Online word for word, to be asked for by name (facts A, B, C, G). Of High Volume Email most
//! codes are on record without their words: those are ours.

use super::fault::Step;

/// A reply that is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Documented {
    /// What it is asked for by.
    pub name: &'static str,
    /// Where in the dialogue Exchange gives it.
    pub at: Step,
    /// Without the trailer that names host and session.
    pub text: &'static str,
}

/// All of them. Of several that share an enhanced code, the code stands for the first.
pub fn documented() -> &'static [Documented] {
    DOCUMENTED
}

/// By name, in which `-` is as good as `_`, or by enhanced code.
pub(super) fn find(wanted: &str) -> Option<&'static Documented> {
    let name = wanted.replace('-', "_");
    let mut all = DOCUMENTED.iter();
    all.find(|one| one.name.eq_ignore_ascii_case(&name))
        .or_else(|| DOCUMENTED.iter().find(|one| one.status() == Some(wanted)))
}

impl Documented {
    fn status(&self) -> Option<&'static str> {
        let word = self.text.split(' ').nth(1)?;
        word.starts_with(['4', '5']).then_some(word)
    }
}

const fn at(at: Step, name: &'static str, text: &'static str) -> Documented {
    Documented { name, at, text }
}

const DOCUMENTED: &[Documented] = &[
    // Signing in (C.1).
    at(
        Step::Auth,
        "smtp_auth_disabled_for_tenant",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
    ),
    at(
        Step::Auth,
        "smtp_auth_disabled_for_mailbox",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.",
    ),
    at(
        Step::Auth,
        "basic_authentication_disabled",
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    ),
    at(
        Step::Auth,
        "credentials_incorrect",
        "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
    ),
    at(
        Step::Auth,
        "conditional_access",
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
    ),
    at(
        Step::Auth,
        "security_defaults",
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.",
    ),
    at(
        Step::Auth,
        "account_locked",
        "535 5.7.139 Authentication unsuccessful, account locked. Contact your administrator.",
    ),
    at(
        Step::Auth,
        "authentication_not_allowed",
        "535 5.7.139 Authentication unsuccessful",
    ),
    at(
        Step::Auth,
        "authentication_refused",
        "535 5.7.3 Authentication unsuccessful",
    ),
    at(
        Step::Auth,
        "basic_authentication_retired",
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
    ),
    at(
        Step::Auth,
        "authentication_type_unknown",
        "504 5.7.4 Unrecognized authentication type",
    ),
    at(
        Step::Auth,
        "authentication_away",
        "454 4.7.0 Temporary authentication failure",
    ),
    at(
        Step::Mail,
        "not_authenticated",
        "530 5.7.57 Client not authenticated to send mail",
    ),
    // Limits (B.1 to B.3).
    at(
        Step::Rcpt,
        "recipient_busy",
        "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
    ),
    at(
        Step::EndOfData,
        "connections_exceeded",
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
    ),
    at(
        Step::EndOfData,
        "submission_quota_exceeded",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
    ),
    at(
        Step::Rcpt,
        "too_many_recipients",
        "452 4.5.3 Too many recipients",
    ),
    at(
        Step::EndOfData,
        "recipient_limit_exceeded",
        "550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients",
    ),
    at(
        Step::EndOfData,
        "tenant_external_quota",
        "550 5.7.233 - Your message can't be sent because your tenant has exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit). For more information see https://aka.ms/EXONdrs.",
    ),
    at(
        Step::EndOfData,
        "tenant_trial_quota",
        "550 5.7.232 - Your message can't be sent because your trial tenant has exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit).",
    ),
    at(
        Step::EndOfData,
        "onmicrosoft_quota",
        "550 5.7.236 - Your message can't be sent because your tenant has exceeded its daily limit for sending email from onmicrosoft.com domains to external recipients.",
    ),
    at(
        Step::EndOfData,
        "tenant_blocked",
        "550 5.7.705 Access denied, tenant has exceeded threshold",
    ),
    at(
        Step::EndOfData,
        "tenant_domain_unregistered",
        "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains.",
    ),
    at(
        Step::EndOfData,
        "tenant_ip_reputation",
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.",
    ),
    // What a recipient's address asks for first by 5.2.252.
    at(
        Step::EndOfData,
        "send_as_denied",
        "554 5.2.252 SendAsDenied; <mailbox> not allowed to send as <sender>; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message [BeginDiagnosticData]Cannot submit message. [EndDiagnosticData]",
    ),
    at(
        Step::EndOfData,
        "sender_throttled_mailbox_full",
        "550 5.2.251 Sender throttled due to continuous mailbox full errors.",
    ),
    at(
        Step::EndOfData,
        "sender_throttled_send_as",
        "550 5.2.252 Sender throttled due to continuous send as denied errors.",
    ),
    at(
        Step::EndOfData,
        "sender_throttled_license",
        "550 5.2.253 Sender throttled due to continuous invalid license errors.",
    ),
    at(
        Step::EndOfData,
        "sender_throttled_recipient_count",
        "550 5.2.254 Sender throttled due to continuous too many recipients errors.",
    ),
    at(
        Step::EndOfData,
        "sender_throttled_invalid_recipients",
        "550 5.2.255 Sender throttled due to continuous invalid recipients errors.",
    ),
    // The sending mailbox (C.2).
    at(
        Step::EndOfData,
        "mailbox_access_missing",
        "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:ConnectionFailedTransientException.MapiExceptionLogonFailed; Failed to process message due to a transient exception with message Cannot open mailbox",
    ),
    at(
        Step::EndOfData,
        "sender_mailbox_full",
        "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
    ),
    at(
        Step::EndOfData,
        "outbound_spam",
        "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException",
    ),
    at(
        Step::EndOfData,
        "sender_restricted",
        "550 5.1.8 Access denied, bad outbound sender",
    ),
    at(
        Step::EndOfData,
        "sender_banned",
        "550 5.7.501 Access denied, spam abuse detected",
    ),
    at(
        Step::EndOfData,
        "ip_banned",
        "550 5.7.606 Access denied, banned sending IP",
    ),
    // The service (A.1, A.5, B.4).
    at(
        Step::EndOfData,
        "server_busy",
        "451 4.7.500 Server busy. Please try again later",
    ),
    at(
        Step::EndOfData,
        "proxy_refused",
        "451 4.7.0 Temporary server error. Please try again later. PRX4",
    ),
    at(
        Step::EndOfData,
        "proxy_fault",
        "451 4.7.0 Temporary server error. Please try again later. PRX2",
    ),
    at(
        Step::Mail,
        "session_idle",
        "451 4.7.0 Timeout waiting for client input",
    ),
    at(
        Step::Mail,
        "session_too_long",
        "421 4.4.1 Connection timed out. Total session duration: 00:20:55",
    ),
    at(
        Step::Mail,
        "server_draining",
        "421 4.3.2 Service not active",
    ),
    at(
        Step::Mail,
        "command_unknown",
        "500 5.3.3 Unrecognized command 'XYZZY'",
    ),
    at(
        Step::Ehlo,
        "tls_too_old",
        "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. Visit https://aka.ms/smtp_auth_tls.",
    ),
    at(
        Step::EndOfData,
        "directory_fault",
        "451 4.4.3 Temporary server error. Please try again later ATTR2",
    ),
    // The message (A.6).
    at(
        Step::EndOfData,
        "message_too_large",
        "552 5.3.4 Message size exceeds fixed maximum message size",
    ),
    at(
        Step::EndOfData,
        "header_too_large",
        "552 5.3.4 Header size exceeds fixed maximum size",
    ),
    at(
        Step::EndOfData,
        "header_value_too_long",
        "554 5.6.211 Invalid MIME Content: Single text value size (33061) exceeded allowed maximum (32768) for the 'References' header",
    ),
    at(
        Step::EndOfData,
        "bare_linefeed",
        "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare linefeeds, which cannot be sent via DATA",
    ),
    at(
        Step::EndOfData,
        "content_invalid",
        "554 5.6.0 Invalid message content when handling MIME exception. IMC53",
    ),
    at(
        Step::Mail,
        "sender_address_invalid",
        "501 5.1.7 Invalid address",
    ),
    // One recipient.
    at(
        Step::Rcpt,
        "recipient_unknown",
        "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
    ),
    at(
        Step::Rcpt,
        "recipient_address_invalid",
        "501 5.1.3 Invalid address",
    ),
    at(
        Step::Rcpt,
        "recipient_mailbox_full",
        "552 5.2.2 mailbox full",
    ),
    at(
        Step::Rcpt,
        "recipient_mailbox_full_for_now",
        "452 4.2.2 mailbox full",
    ),
    at(
        Step::Rcpt,
        "recipient_receives_too_much",
        "550 5.2.121 The recipient has exceeded its limit for messages received in an hour",
    ),
    // High Volume Email and Google (G.2, G.4).
    at(
        Step::Auth,
        "hve_xoauth2_malformed",
        "501 5.5.121 XOAUTH2 response is malformed",
    ),
    at(
        Step::Auth,
        "hve_token_expired",
        "535 5.7.143 XOAUTH2 token has expired",
    ),
    at(
        Step::Auth,
        "hve_permission_missing",
        "535 5.7.144 XOAUTH2 authentication failed. Invalid API permissions",
    ),
    at(
        Step::Auth,
        "hve_app_not_allowed",
        "550 5.7.240 The app is not allowed on this account",
    ),
    at(
        Step::Auth,
        "hve_not_an_account",
        "550 5.2.240 Not an HVE identity",
    ),
    at(
        Step::Auth,
        "hve_organization_disallows",
        "535 5.7.139 Authentication unsuccessful, the organization configuration doesn't allow this authentication request",
    ),
    at(
        Step::Mail,
        "hve_sender_differs",
        "550 5.7.62 The sender differs from the authenticated account",
    ),
    at(
        Step::Rcpt,
        "hve_external_recipient",
        "550 5.5.105 External sending is not supported",
    ),
    at(
        Step::Auth,
        "google_token_refused",
        "535 5.7.8 Username and Password not accepted",
    ),
    at(
        Step::Auth,
        "google_browser_sign_in",
        "534 5.7.14 Please log in via your web browser and then try again",
    ),
    at(
        Step::Auth,
        "google_sign_ins",
        "454 4.7.0 Too many login attempts, please try again later. - gsmtp",
    ),
    at(
        Step::Mail,
        "google_unsolicited",
        "421 4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address. - gsmtp",
    ),
    at(
        Step::Ehlo,
        "google_busy",
        "421 4.7.0 Try again later, closing connection. (EHLO) - gsmtp",
    ),
    at(
        Step::EndOfData,
        "google_day_quota",
        "550 5.4.5 Daily user sending limit exceeded",
    ),
];
