//! A reply of the service in words, with the remedy ready to be pasted.

use std::fmt::Write as _;

use super::claims::Oddity;
use super::finding::{Finding, Step};
use super::subject::Subject;
use crate::cli::error::Exit;
use crate::delivery::{Obstacle, Rule, Verdict};
use crate::oauth::Claims;
use crate::smtp::Reply;

/// What is known of the token that the service was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) claims: Option<&'a Claims>,
    /// What is odd about it.
    pub(super) odd: &'a [Oddity],
}

/// Why a step came to nothing, and what to do.
pub(super) fn obstacle(
    subject: &Subject<'_>,
    step: Step,
    obstacle: &Obstacle,
    shown: Option<Shown<'_>>,
) -> Finding {
    let said = obstacle.said.as_str();
    let Some(rule) = obstacle.rule else {
        return Finding::failed(step, Exit::Unavailable, said).remedy(
            "check host and port in the account's smtp section, and that nothing in between answers in the service's place",
        );
    };
    let code = obstacle.reply.as_ref().map_or(0, Reply::code);
    let exit = exit_of(rule, step, code);
    // The token itself shows why: no need to guess.
    let odd = shown.and_then(|shown| shown.odd.iter().find(|odd| odd.is_decisive));
    if let Some(odd) = odd.filter(|_| rule.key == "authentication_refused") {
        let detail = format!("{said}: {}", odd.detail);
        return Finding::failed(step, exit, detail).remedy(odd.remedy.as_str());
    }
    let claims = shown.and_then(|shown| shown.claims);
    let mut remedy = subject.fill(rule.remedy, claims);
    if is_a_right(rule) {
        if let Some(claims) = claims.filter(|it| !it.oid.is_empty() && !subject.is_delegated()) {
            // Writing to a `String` cannot fail.
            let _ = write!(
                remedy,
                " The token names the enterprise application {}: Get-ServicePrincipal | fl AppId,ObjectId must show it with {}; another id there is that of the app registration, the most frequent mistake, which New-ServicePrincipal takes without complaint.",
                claims.oid, claims.appid
            );
        }
        remedy.push_str(" If the permission was given less than two hours ago it is too early to judge: Exchange takes up to two hours to see a new one; try again then.");
    }
    if is_taken(rule, subject) {
        remedy.push_str(" The running daemon has connections of its own open and they count: idle ones are closed after a minute, so try again when nothing is being sent, or stop the daemon for the moment.");
    }
    Finding::failed(step, exit, format!("{said}: {}", rule.sentence)).remedy(remedy)
}

/// Rights that take time to spread.
fn is_a_right(rule: &Rule) -> bool {
    [
        "authentication_refused",
        "mailbox_access_missing",
        "proxy_refused",
        "send_as_denied",
    ]
    .contains(&rule.key)
}

/// The mailbox's three connections are all in use, and the daemon is there to use them.
fn is_taken(rule: &Rule, subject: &Subject<'_>) -> bool {
    rule.key == "connections_exceeded" && subject.daemon.is_some()
}

fn exit_of(rule: &Rule, step: Step, code: u16) -> Exit {
    match rule.verdict {
        Verdict::SendAsDenied | Verdict::RefreshToken(_) => Exit::NotPermitted,
        _ if rule.key == "mailbox_access_missing" => Exit::NotPermitted,
        _ if step == Step::Auth && code >= 500 => Exit::NotPermitted,
        Verdict::FailMessage | Verdict::FailRecipient => Exit::Failed,
        _ => Exit::Unavailable,
    }
}
