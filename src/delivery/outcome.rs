//! What a reply of Exchange Online means for a recipient, or for the whole account.
//!
//! Decided on code, enhanced code and text together (facts C.3), because the service uses one code
//! for several things: `554 5.2.0` can be a quota that passes by itself.

use crate::delivery::Cause;
use crate::queue::Disposition;
use crate::smtp::{Reply, Severity, Step};

/// The meaning of one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It concerns the recipient, or all of them.
    Recipient(Disposition),
    /// It concerns the account: no message's fault (promise 4).
    Account(Cause),
}

/// Texts that make a reply an account's trouble, whatever its code (facts B and C).
const ACCOUNT_TEXTS: [(&str, Cause); 8] = [
    ("SubmissionQuotaExceeded", Cause::Service),
    ("OutboundSpamException", Cause::Service),
    ("MapiExceptionLogonFailed", Cause::Service),
    ("mailbox full", Cause::Service),
    ("Sender throttled", Cause::Service),
    ("Concurrent connections limit exceeded", Cause::Throttle),
    ("sender thread limit exceeded", Cause::Throttle),
    (
        "SmtpClientAuthentication is disabled",
        Cause::Authentication,
    ),
];

/// Enhanced codes `class.subject.detail` that are an account's trouble.
const ACCOUNT_CODES: [((u8, u16, u16), Cause); 16] = [
    ((5, 7, 3), Cause::Authentication),
    ((5, 7, 30), Cause::Authentication),
    ((5, 7, 57), Cause::Authentication),
    ((5, 7, 139), Cause::Authentication),
    ((5, 1, 8), Cause::Service),
    ((5, 1, 90), Cause::Service),
    ((5, 7, 232), Cause::Service),
    ((5, 7, 233), Cause::Service),
    ((5, 7, 236), Cause::Service),
    ((5, 7, 501), Cause::Service),
    ((5, 7, 502), Cause::Service),
    ((5, 7, 503), Cause::Service),
    ((5, 7, 511), Cause::Service),
    ((5, 7, 705), Cause::Service),
    ((5, 7, 708), Cause::Service),
    ((5, 7, 750), Cause::Service),
];

/// Sorts the reply that decided a recipient at `step`.
pub(super) fn judge(step: Step, reply: &Reply) -> Verdict {
    if reply.severity() == Severity::Completed {
        // 2yz to anything but the end of data decides nothing; the machine reports no such thing.
        return Verdict::Recipient(match step {
            Step::EndOfData => Disposition::Delivered,
            _ => Disposition::Deferred,
        });
    }
    if matches!(reply.code(), 530 | 535 | 454) {
        return Verdict::Account(Cause::Authentication);
    }
    let by_text = || {
        ACCOUNT_TEXTS
            .iter()
            .find(|(fragment, _)| reply.lines().any(|line| contains(line, fragment)))
            .map(|(_, cause)| *cause)
    };
    let by_code = || {
        let status = reply.enhanced()?;
        let parts = (status.class(), status.subject(), status.detail());
        ACCOUNT_CODES
            .iter()
            .find(|(code, _)| *code == parts)
            .map(|(_, cause)| *cause)
    };
    if let Some(cause) = by_text().or_else(by_code) {
        return Verdict::Account(cause);
    }
    Verdict::Recipient(match reply.severity() {
        Severity::Permanent => Disposition::Failed,
        Severity::Completed | Severity::Intermediate | Severity::Transient => Disposition::Deferred,
    })
}

fn contains(line: &str, fragment: &str) -> bool {
    let fragment = fragment.as_bytes();
    line.as_bytes()
        .windows(fragment.len())
        .any(|window| window.eq_ignore_ascii_case(fragment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::ReplyDecoder;

    fn judged(line: &str) -> Verdict {
        let mut buffer = bytes::BytesMut::from(format!("{line}\r\n").as_str());
        judge(
            Step::EndOfData,
            &ReplyDecoder::new().decode(&mut buffer).unwrap().unwrap(),
        )
    }

    #[test]
    fn recipients_are_judged_by_the_class_of_the_reply() {
        for (line, disposition) in [
            ("250 2.0.0 OK <1@x> [Hostname=Y]", Disposition::Delivered),
            (
                "451 4.7.0 Temporary server error. Please try again later. PRX2",
                Disposition::Deferred,
            ),
            ("452 4.5.3 Too many recipients", Disposition::Deferred),
            (
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
                Disposition::Failed,
            ),
            (
                "552 5.3.4 Message size exceeds fixed maximum message size",
                Disposition::Failed,
            ),
            (
                "554 5.2.252 SendAsDenied; a@b not allowed to send as c@d",
                Disposition::Failed,
            ),
            ("554 transaction failed", Disposition::Failed),
        ] {
            assert_eq!(judged(line), Verdict::Recipient(disposition), "{line}");
        }
    }

    #[test]
    fn trouble_of_the_account_is_no_fault_of_a_message() {
        for (line, cause) in [
            (
                "535 5.7.3 Authentication unsuccessful",
                Cause::Authentication,
            ),
            (
                "454 4.7.0 Temporary authentication failure",
                Cause::Authentication,
            ),
            (
                "550 5.7.30 Basic authentication is not supported",
                Cause::Authentication,
            ),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
                Cause::Service,
            ),
            (
                "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed; Cannot open",
                Cause::Service,
            ),
            (
                "550 5.2.252 Sender throttled due to continuous send as denied errors.",
                Cause::Service,
            ),
            (
                "550 5.7.233 - Your message can't be sent because",
                Cause::Service,
            ),
            (
                "432 4.3.2 Concurrent connections limit exceeded. Visit",
                Cause::Throttle,
            ),
        ] {
            assert_eq!(judged(line), Verdict::Account(cause), "{line}");
        }
    }
}
