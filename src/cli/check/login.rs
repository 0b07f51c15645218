//! The token endpoint: the way there, and what time it has.

use jiff::Timestamp;

use super::finding::{Finding, Step};
use super::report::Report;
use super::subject::Subject;
use super::token;
use super::trust::{self, Host};
use crate::cli::error::{CliError, Exit};
use crate::cli::text::span;
use crate::oauth::{self, glance};

/// Whether it is worth asking for a token.
pub(super) async fn check(
    subject: &Subject<'_>,
    settings: &oauth::Settings,
    report: &mut Report,
) -> Result<bool, CliError> {
    let glance = glance(settings).await;
    let name = settings.token_url.host();
    let host = Host {
        name,
        key: &subject.key("oauth.token_url"),
        ca_key: &subject.key("oauth.ca_file"),
    };
    let refused = glance
        .seen
        .as_ref()
        .and_then(|seen| Some((seen, seen.refused.as_ref()?)));
    if let Some((seen, distrust)) = refused {
        let doubt = trust::refused(host, seen, distrust);
        let failed = Finding::failed(Step::Login, Exit::Unavailable, doubt.detail);
        report.add(failed.remedy(doubt.remedy))?;
        report.add(Finding::skipped(Step::Clock, "its clock cannot be seen"))?;
        return Ok(false);
    }
    let date = match glance.date {
        Ok(date) => date,
        Err(error) => {
            report.add(token::failure(Step::Login, &error))?;
            report.add(Finding::skipped(Step::Clock, "its clock cannot be seen"))?;
            return Ok(false);
        }
    };
    let reached = match &glance.seen {
        Some(seen) => match trust::inspected(host, seen) {
            Some(doubt) => Finding::warning(Step::Login, doubt.detail).remedy(doubt.remedy),
            None => Finding::ok(
                Step::Login,
                format!("{name} answers; {}", trust::describe(seen)),
            ),
        },
        None => Finding::ok(Step::Login, format!("{name} answers, in plain text")),
    };
    report.add(reached)?;
    report.add(match date {
        Some(date) => clock(Timestamp::now(), date),
        None => Finding::skipped(Step::Clock, format!("{name} does not tell the time")),
    })?;
    Ok(true)
}

/// Assertions are refused by a clock that is five minutes off, and certificates some time later.
fn clock(here: Timestamp, there: Timestamp) -> Finding {
    let off = here.as_second() - there.as_second();
    let ahead = if off > 0 { "ahead of" } else { "behind" };
    let detail = format!(
        "this machine's clock is {} {ahead} the sign-in service's",
        span(off.saturating_abs())
    );
    let remedy = "let it follow a time server: timedatectl set-ntp true; timedatectl status shows how it does";
    let off = off.saturating_abs();
    if off <= WARN_SECONDS {
        Finding::ok(Step::Clock, "as the sign-in service's, to within a minute")
    } else if off <= FAIL_SECONDS {
        Finding::warning(Step::Clock, detail).remedy(remedy)
    } else {
        Finding::failed(Step::Clock, Exit::Failed, detail).remedy(remedy)
    }
}

const WARN_SECONDS: i64 = 60;
const FAIL_SECONDS: i64 = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::finding::Outcome;

    #[test]
    fn a_clock_may_be_off_by_a_minute_and_must_not_by_five() {
        let there: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (seconds, outcome, words) in [
            (0, Outcome::Ok, "within a minute"),
            (-60, Outcome::Ok, "within a minute"),
            (61, Outcome::Warning, "1m ahead of"),
            (-300, Outcome::Warning, "5m behind"),
            (3_600, Outcome::Failed, "1h ahead of"),
            (-3_600, Outcome::Failed, "1h behind"),
        ] {
            let here = Timestamp::from_second(there.as_second() + seconds).unwrap();
            let finding = clock(here, there);
            assert_eq!(finding.outcome, outcome, "{seconds}");
            assert!(finding.detail.contains(words), "{finding:?}");
        }
    }
}
