//! The findings, told as they come or all at the end.

use super::finding::{Finding, Outcome};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::{JsonArray, Output, say};
use crate::cli::text::{count, harmless};

/// All findings so far.
#[derive(Debug)]
pub(super) struct Report {
    findings: Vec<Finding>,
    /// Of the steps that come now.
    account: Option<String>,
    as_json: bool,
}

impl Report {
    /// For people a line is shown as soon as there is one: some steps take half a minute.
    pub(super) fn new(as_json: bool) -> Self {
        Self {
            findings: Vec::new(),
            account: None,
            as_json,
        }
    }

    /// What comes now concerns this account.
    pub(super) fn turn_to(&mut self, account: &str) {
        self.account = Some(account.to_owned());
    }

    pub(super) fn add(&mut self, mut finding: Finding) -> Result<(), CliError> {
        finding.account.clone_from(&self.account);
        finding.detail = harmless(&finding.detail);
        finding.remedy = finding.remedy.as_deref().map(harmless);
        if !self.as_json {
            say(&format!("{finding}\n"))?;
        }
        self.findings.push(finding);
        Ok(())
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The sum of it, or everything at once.
    pub(super) fn end(&self) -> Result<(), CliError> {
        let mut output = Output::new();
        if self.as_json {
            let mut array = JsonArray::default();
            for finding in &self.findings {
                array.item(&mut output, finding)?;
            }
            array.end(&mut output)?;
        } else {
            output.line(self.sum())?;
        }
        output.finish()
    }

    fn sum(&self) -> String {
        let number = |outcome| {
            let of_it = self.findings.iter().filter(|one| one.outcome == outcome);
            of_it.count() as u64
        };
        match (number(Outcome::Failed), number(Outcome::Warning)) {
            (0, 0) => "all is well".to_owned(),
            (0, warnings) => format!("all works, {}", count(warnings, "warning")),
            (failed, 0) => count(failed, "failure"),
            (failed, warnings) => {
                format!(
                    "{}, {}",
                    count(failed, "failure"),
                    count(warnings, "warning")
                )
            }
        }
    }

    /// The first failure is nearest to the cause of the others; settings that cannot be used go before
    /// all.
    pub(super) fn exit(&self) -> Exit {
        let mut failures = self.findings.iter().map(|finding| finding.exit);
        if failures.clone().any(|exit| exit == Exit::Configuration) {
            return Exit::Configuration;
        }
        failures
            .find(|exit| *exit != Exit::Done)
            .unwrap_or(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::finding::Step;

    #[test]
    fn settings_go_before_all_and_then_the_first_failure() {
        let exit = |exits: &[Exit]| {
            let mut report = Report::new(true);
            report.add(Finding::warning(Step::Files, "w")).unwrap();
            for exit in exits {
                report
                    .add(Finding::failed(Step::Token, *exit, "f"))
                    .unwrap();
            }
            (report.exit(), report.sum())
        };
        assert_eq!(exit(&[]), (Exit::Done, "all works, 1 warning".into()));
        assert_eq!(
            exit(&[Exit::Unavailable, Exit::NotPermitted]),
            (Exit::Unavailable, "2 failures, 1 warning".into())
        );
        let (code, _) = exit(&[Exit::Unavailable, Exit::Configuration]);
        assert_eq!(code, Exit::Configuration);
    }
}
