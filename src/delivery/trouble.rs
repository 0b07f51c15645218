//! Why an account cannot send: what a worker reports and a circuit acts on.

use crate::delivery::connection::ConnectionError;
use crate::delivery::rules::{Rule, Verdict, classify};
use crate::delivery::{Known, PausePolicy, TroubleStatus};
use crate::oauth::{TokenError, Unavailable};
use crate::queue::Finding;
use crate::smtp::{ClientError, Reply, Step};
use crate::telemetry;

/// Trouble that is no message's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) pause: PausePolicy,
    /// What it means, where one of the catalogues has it.
    pub(crate) known: Option<Known>,
    /// In the words of the service, or of the network.
    pub(crate) reason: String,
    /// Every account of the tenant has it.
    pub(crate) whole_tenant: bool,
}

impl Trouble {
    /// `None` when `rule`, which took `reply`, makes no trouble of the account.
    pub(super) fn of_reply(rule: &'static Rule, reply: &Reply) -> Option<Self> {
        rule.verdict.pause().map(|pause| Self {
            pause,
            known: Some(Known::Reply(rule)),
            reason: reply.to_string(),
            whole_tenant: matches!(rule.verdict, Verdict::PauseTenant(_)),
        })
    }

    /// There is no connection to send over.
    pub(super) fn of_connection(error: &ConnectionError) -> Self {
        let said = reply_in(error).and_then(|(step, reply)| {
            let trouble = Self::of_reply(classify(step, reply), reply)?;
            let refusal = match error {
                ConnectionError::Protocol(error) => error.refusal(),
                _ => None,
            };
            Some(Self {
                // At AUTH the reply says it all, before it the error says at which step.
                reason: match step {
                    Some(Step::Auth) => refusal.unwrap_or(trouble.reason),
                    _ => error.to_string(),
                },
                ..trouble
            })
        });
        said.unwrap_or_else(|| Self {
            pause: PausePolicy::NETWORK,
            known: None,
            reason: error.to_string(),
            whole_tenant: false,
        })
    }

    /// There is no token for `account` to authenticate with.
    pub(super) fn of_token(unavailable: &Unavailable, account: &str) -> Self {
        let Unavailable::Failing { error, .. } = unavailable else {
            return Self {
                pause: PausePolicy::TOKEN,
                known: None,
                reason: telemetry::with_causes(unavailable),
                whole_tenant: false,
            };
        };
        Self {
            pause: match error {
                TokenError::Operator(_) => PausePolicy::TOKEN_REFUSED,
                TokenError::Retry(_) | TokenError::Fault(_) => PausePolicy::TOKEN,
            },
            known: Known::of_token(error, account),
            // What it means is told beside it.
            reason: format!("{unavailable}: {}", error.words()),
            whole_tenant: false,
        }
    }

    /// What was found before a restart; nothing when it is not to be understood any more.
    pub(super) fn of_record(found: &Finding) -> Option<Self> {
        let known = Known::of_record(found);
        let rule = known.as_ref().and_then(Known::rule);
        let pause = rule
            .and_then(|rule| rule.verdict.pause())
            .or_else(|| PausePolicy::named(&found.cause, &found.state))?;
        Some(Self {
            pause,
            known,
            reason: found.reason.clone(),
            whole_tenant: rule.is_some_and(|rule| matches!(rule.verdict, Verdict::PauseTenant(_))),
        })
    }

    /// What another dispatcher has shown.
    pub(super) fn of_status(status: TroubleStatus) -> Self {
        Self {
            pause: status.pause,
            known: status.known,
            reason: status.reason,
            whole_tenant: status.whole_tenant,
        }
    }
}

/// What the server said when it ended the session, and to which step; no step when nothing was asked.
pub(super) fn reply_in(error: &ConnectionError) -> Option<(Option<Step>, &Reply)> {
    let ConnectionError::Protocol(error) = error else {
        return None;
    };
    match error {
        ClientError::GreetingRefused { reply } => Some((Some(Step::Greeting), reply)),
        ClientError::EhloRefused { reply } => Some((Some(Step::Ehlo), reply)),
        ClientError::StartTlsRefused { reply } => Some((Some(Step::StartTls), reply)),
        ClientError::AuthRefused { reply, .. } => Some((Some(Step::Auth), reply)),
        ClientError::Unexpected { step, reply } | ClientError::Goodbye { step, reply } => {
            Some((*step, reply))
        }
        ClientError::CutShort { reply } => Some((Some(Step::EndOfData), reply)),
        ClientError::StartTlsNotOffered
        | ClientError::XoauthNotOffered
        | ClientError::OutOfTurn => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Cause, rules};
    use crate::queue::{IncidentKind, Urgency};

    fn recorded(trouble: &Trouble) -> Finding {
        let known = |of: fn(&Known) -> &str| trouble.known.as_ref().map(|one| of(one).to_owned());
        Finding {
            kind: IncidentKind::Account,
            account: "default".into(),
            state: trouble.pause.state.as_str().into(),
            cause: trouble.pause.cause.as_str().into(),
            rule: known(Known::key),
            why: known(Known::why),
            remedy: known(Known::remedy),
            reason: trouble.reason.clone(),
            urgency: Urgency::Lasting,
            probe: None,
        }
    }

    #[test]
    fn what_was_recorded_is_the_same_trouble_again() {
        let by_rule = rules::all().filter_map(|rule| {
            Some(Trouble {
                pause: rule.verdict.pause()?,
                known: Some(Known::Reply(rule)),
                reason: "550 no".into(),
                whole_tenant: matches!(rule.verdict, Verdict::PauseTenant(_)),
            })
        });
        let without = [
            PausePolicy::NETWORK,
            PausePolicy::TOKEN,
            PausePolicy::TOKEN_REFUSED,
        ];
        let without = without.map(|pause| Trouble {
            pause,
            known: None,
            reason: "no route".into(),
            whole_tenant: false,
        });
        let refused = Trouble::of_token(&refused(), "lobby");
        let mut seen = 0;
        for trouble in by_rule.chain(without).chain([refused]) {
            assert_eq!(Trouble::of_record(&recorded(&trouble)), Some(trouble));
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }

    /// A sign-in that was revoked.
    fn refused() -> Unavailable {
        Unavailable::Failing {
            error: TokenError::sample("invalid_grant", 50_173, true),
            next_try: tokio::time::Instant::now(),
        }
    }

    #[test]
    fn a_missing_token_says_what_is_wrong_and_what_to_do_once_each() {
        let trouble = Trouble::of_token(&refused(), "lobby");
        assert_eq!(trouble.pause, PausePolicy::TOKEN_REFUSED);
        let known = trouble.known.unwrap();
        assert_eq!(known.key(), "aadsts50173");
        assert!(known.why().contains("revoked"));
        assert_eq!(known.remedy(), "Sign in again: exorelay login lobby.");
        assert!(
            trouble
                .reason
                .starts_with("no access token: invalid_grant: AADSTS50173")
        );
        for part in [known.why(), "exorelay login"] {
            assert!(!trouble.reason.contains(part), "{}", trouble.reason);
        }
        let stopped = Trouble::of_token(&Unavailable::Stopped, "lobby");
        assert_eq!((stopped.pause, stopped.known), (PausePolicy::TOKEN, None));
    }

    #[test]
    fn a_rule_that_is_gone_leaves_cause_and_state() {
        let known = Trouble {
            pause: PausePolicy::SENDER_THROTTLED,
            known: None,
            reason: "no".into(),
            whole_tenant: false,
        };
        let mut record = recorded(&known);
        record.rule = Some("a_rule_of_old".into());
        let read = Trouble::of_record(&record).unwrap();
        assert_eq!((read.pause.cause, read.known), (Cause::Service, None));
        assert_eq!(read.pause.state, known.pause.state);
        record.cause = "weather".into();
        assert_eq!(Trouble::of_record(&record), None);
    }
}
