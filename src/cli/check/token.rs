//! Whether a token can be had.

use std::time::Duration;

use tokio::time::Instant;

use super::finding::{Finding, Step};
use super::report::Report;
use super::subject::Subject;
use crate::cli::error::{CliError, Exit};
use crate::cli::text::span;
use crate::oauth::{self, AccessToken, OperatorError, TokenError, aadsts, obtain_once};

/// The token, if there is one.
pub(super) async fn check(
    subject: &Subject<'_>,
    settings: oauth::Settings,
    report: &mut Report,
) -> Result<Option<AccessToken>, CliError> {
    let asked_at = Instant::now();
    match obtain_once(settings).await {
        Ok((secret, lifetime)) => {
            report.add(obtained(subject, lifetime))?;
            Ok(Some(AccessToken::new(secret, asked_at, lifetime)))
        }
        Err(error) => {
            let mut finding = failure(Step::Token, &error);
            finding.remedy = finding.remedy.map(|remedy| {
                let remedy = aadsts::addressed(&remedy, &subject.account.name);
                subject.fill(&remedy, None)
            });
            report.add(finding)?;
            Ok(None)
        }
    }
}

fn obtained(subject: &Subject<'_>, lifetime: Duration) -> Finding {
    let life = span(lifetime.as_secs().try_into().unwrap_or(i64::MAX));
    let ways = match subject.account.client_secrets.len() {
        0 | 1 => String::new(),
        secrets => format!("; {secrets} client secrets are set, the first that is taken counts"),
    };
    Finding::ok(Step::Token, format!("obtained, good for {life}{ways}"))
}

/// Who can mend it decides what a script is told.
pub(super) fn failure(step: Step, error: &TokenError) -> Finding {
    let exit = match error {
        TokenError::Retry(_) | TokenError::Operator(OperatorError::Certificate { .. }) => {
            Exit::Unavailable
        }
        TokenError::Operator(
            OperatorError::Secret(_)
            | OperatorError::SecretTimeout { .. }
            | OperatorError::Settings(_)
            | OperatorError::NotAnEndpoint { .. },
        ) => Exit::Configuration,
        TokenError::Operator(_) => Exit::NotPermitted,
        TokenError::Fault(_) => Exit::Failed,
    };
    match error {
        TokenError::Operator(
            OperatorError::Refused { response, known } | OperatorError::SignIn { response, known },
        ) => {
            let link = response.aadsts().map_or_else(String::new, |number| {
                format!(" More: {}", aadsts::link(number))
            });
            // Whether a person has to sign in again depends on more than the number.
            let remedy = error.remedy().unwrap_or(known.remedy);
            let detail = format!("{} ({response})", known.meaning);
            Finding::failed(step, exit, detail).remedy(format!("{remedy}{link}"))
        }
        TokenError::Retry(_) => Finding::failed(step, exit, error.report()).remedy(
            "check name, network, firewall and proxy: this host must be reached with HTTPS on TCP 443",
        ),
        TokenError::Operator(_) | TokenError::Fault(_) => {
            Finding::failed(step, exit, error.report())
        }
    }
}
