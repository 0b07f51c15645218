//! Comparing a reply with the conditions of a rule.

use crate::mail::EnhancedStatus;
use crate::smtp::{Reply, Step};

/// Where in the dialogue a reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before AUTH: greeting, EHLO, STARTTLS.
    Connect,
    Auth,
    Mail,
    Rcpt,
    Data,
    EndOfData,
}

/// From MAIL on.
pub(super) const TRANSACTION: &[Stage] = &[Stage::Mail, Stage::Rcpt, Stage::Data, Stage::EndOfData];

/// An enhanced code as class, subject and detail.
type Status = (u8, u16, u16);

/// A condition on replies; all of its parts must hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct When {
    /// A class, or a code of three digits.
    code: u16,
    /// Any of these steps; empty: any step.
    stages: &'static [Stage],
    /// Any of these; empty: with this enhanced code, another or none.
    statuses: &'static [Status],
    /// `(class, subject, first detail, last detail)`.
    details: Option<(u8, u16, u16, u16)>,
    /// All of these, in whatever case.
    texts: &'static [&'static str],
}

/// Replies of this code, or of this class if it is one digit.
pub(super) const fn said(code: u16) -> When {
    When {
        code,
        stages: &[],
        statuses: &[],
        details: None,
        texts: &[],
    }
}

impl When {
    pub(super) const fn at(self, stages: &'static [Stage]) -> Self {
        Self { stages, ..self }
    }

    /// With one of these enhanced codes.
    pub(super) const fn status(self, statuses: &'static [Status]) -> Self {
        Self { statuses, ..self }
    }

    /// With an enhanced code whose detail is from `first` to `last`.
    pub(super) const fn details(self, class: u8, subject: u16, first: u16, last: u16) -> Self {
        Self {
            details: Some((class, subject, first, last)),
            ..self
        }
    }

    /// With all of these in the text.
    pub(super) const fn text(self, texts: &'static [&'static str]) -> Self {
        Self { texts, ..self }
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> &'static [&'static str] {
        self.texts
    }

    pub(super) fn takes(&self, said: &Said) -> bool {
        let code = said.code == self.code || said.code / 100 == self.code;
        let stage =
            self.stages.is_empty() || said.stage.is_none_or(|stage| self.stages.contains(&stage));
        let status = self.statuses.is_empty()
            || said
                .status
                .is_some_and(|status| self.statuses.contains(&status));
        let details = self.details.is_none_or(|(class, subject, first, last)| {
            said.status.is_some_and(|status| {
                (class, subject) == (status.0, status.1) && (first..=last).contains(&status.2)
            })
        });
        code && stage
            && status
            && details
            && self.texts.iter().all(|text| contains(&said.text, text))
    }
}

/// Of a condition, for the page in docs.
#[cfg(test)]
impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            class @ ..10 => write!(f, "`{class}yz`")?,
            code => write!(f, "`{code}`")?,
        }
        for (class, subject, detail) in self.statuses {
            write!(f, " `{class}.{subject}.{detail}`")?;
        }
        if let Some((class, subject, first, last)) = self.details {
            write!(f, " `{class}.{subject}.{first}`-`{last}`")?;
        }
        for text in self.texts {
            write!(f, " \"{text}\"")?;
        }
        if self.stages == TRANSACTION {
            write!(f, " (from MAIL on)")?;
        } else if !self.stages.is_empty() {
            let names: Vec<_> = self.stages.iter().map(|stage| stage.name()).collect();
            write!(f, " (at {})", names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "the opening",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::EndOfData => "the end of data",
        }
    }
}

/// A reply, made ready for comparing: one line, without trailers and addresses.
#[derive(Debug)]
pub(super) struct Said {
    /// `None`: not known any more.
    pub(super) stage: Option<Stage>,
    pub(super) code: u16,
    status: Option<Status>,
    text: String,
}

impl Said {
    pub(super) fn of(step: Option<Step>, reply: &Reply) -> Self {
        let lines: Vec<&str> = reply.lines().collect();
        Self::new(
            step.map(stage),
            reply.code(),
            reply.enhanced(),
            &lines.join(" "),
        )
    }

    /// A reply in one line, perhaps with words before it that end in a colon.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let afterwards = text.match_indices(": ").map(|(at, found)| at + found.len());
        std::iter::once(0)
            .chain(afterwards)
            .find_map(|at| Self::parse_whole(text.get(at..)?))
    }

    /// 4yz or 5yz.
    pub(super) fn is_negative(&self) -> bool {
        self.code >= 400
    }

    fn parse_whole(text: &str) -> Option<Self> {
        let (code, rest) = text.split_at_checked(3)?;
        let digits = code.bytes().all(|octet| octet.is_ascii_digit());
        let ends = rest.is_empty() || rest.starts_with(' ');
        let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
        if !digits || !ends {
            return None;
        }
        let rest = rest.trim_start();
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let enhanced = EnhancedStatus::parse(word).ok();
        let enhanced = enhanced.filter(|status| u16::from(status.class()) == code / 100);
        let text = if enhanced.is_some() { after } else { rest };
        Some(Self::new(None, code, enhanced, text))
    }

    fn new(stage: Option<Stage>, code: u16, enhanced: Option<EnhancedStatus>, text: &str) -> Self {
        Self {
            stage,
            code,
            status: enhanced.map(|status| (status.class(), status.subject(), status.detail())),
            text: without_addresses(without_trailers(text)),
        }
    }
}

fn stage(step: Step) -> Stage {
    match step {
        Step::Greeting | Step::Ehlo | Step::StartTls | Step::Quit => Stage::Connect,
        Step::Auth => Stage::Auth,
        // RSET goes out with the MAIL that follows it.
        Step::Mail | Step::Rset => Stage::Mail,
        Step::Rcpt(_) => Stage::Rcpt,
        Step::Data => Stage::Data,
        Step::EndOfData => Stage::EndOfData,
    }
}

/// Many replies end in `[HOST TIME ID]` or `[Hostname=HOST]`, up to three times (facts A.4): names of
/// hosts say nothing of the cause. The log keeps them.
pub(super) fn without_trailers(text: &str) -> &str {
    let mut rest = text.trim_end();
    while let Some((before, _)) = rest
        .strip_suffix(']')
        .and_then(|inner| inner.rsplit_once('['))
        .filter(|(_, trailer)| is_trailer(trailer))
    {
        rest = before.trim_end();
    }
    rest
}

fn is_trailer(words: &str) -> bool {
    let mut words = words.split_ascii_whitespace();
    let host = words.next().unwrap_or_default();
    let host = host.strip_prefix("Hostname=").unwrap_or(host);
    let is_host = host.contains('.')
        && host
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet));
    is_host
        && words.clone().count() <= 2
        && words.all(|word| {
            word.bytes()
                .all(|octet| octet.is_ascii_hexdigit() || b"-:.TZ".contains(&octet))
        })
}

/// Addresses in a reply are what a client of ours chose: they must not look like the service's words.
pub(super) fn without_addresses(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = rest.split_at(at);
        let local_part = match before.strip_suffix('"') {
            // A quoted local part may hold spaces, and an at sign of its own.
            Some(quoted) => quoted.rfind('"').unwrap_or(0),
            None if before.matches('"').count() % 2 == 1 => before.rfind('"').unwrap_or(0),
            None => before.rfind([' ', ';', ',', '<']).map_or(0, |end| end + 1),
        };
        kept.push_str(before.get(..local_part).unwrap_or_default());
        let domain = after.find([' ', ';', ',', '>']).unwrap_or(after.len());
        rest = after.get(domain..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

fn contains(text: &str, fragment: &str) -> bool {
    let fragment = fragment.as_bytes();
    text.as_bytes()
        .windows(fragment.len())
        .any(|window| window.eq_ignore_ascii_case(fragment))
}
