//! What stands in the token, and what it should say (facts D.3, D.4). Only for people: nothing is decided
//! by it, as clients must not rely on what is in a token.

use jiff::Timestamp;

use super::finding::{Finding, Step};
use super::report::Report;
use super::subject::Subject;
use crate::cli::error::CliError;
use crate::cli::text::span;
use crate::config::is_guid;
use crate::oauth::Claims;

/// A value that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Oddity {
    pub(super) detail: String,
    pub(super) remedy: String,
    /// The service refuses a token because of it.
    pub(super) is_decisive: bool,
}

/// What Exchange Online takes for itself (facts D.4).
const OUTLOOK: [&str; 5] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://outlook.office365.us",
    "https://partner.outlook.cn",
    "00000002-0000-0ff1-ce00-000000000000",
];

const GRAPH: [&str; 5] = [
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
    "00000003-0000-0000-c000-000000000000",
];

/// What is odd about the token.
pub(super) fn check(
    subject: &Subject<'_>,
    claims: Option<&Claims>,
    report: &mut Report,
) -> Result<Vec<Oddity>, CliError> {
    let Some(claims) = claims.filter(|_| subject.is_microsoft()) else {
        let detail = "the token cannot be read, as is usual outside of Entra's own tenants";
        report.add(Finding::skipped(Step::Claims, detail))?;
        return Ok(Vec::new());
    };
    let now = Timestamp::now();
    report.add(Finding::ok(Step::Claims, summary(subject, claims, now)))?;
    let odd = oddities(subject, claims, now);
    for one in &odd {
        let finding = Finding::warning(Step::Claims, one.detail.as_str());
        report.add(finding.remedy(one.remedy.as_str()))?;
    }
    Ok(odd)
}

fn summary(subject: &Subject<'_>, claims: &Claims, now: Timestamp) -> String {
    let mut parts = vec![
        format!("for {}", claims.aud),
        format!("tenant {}", claims.tid),
        format!("app {}", claims.appid),
    ];
    if !claims.roles.is_empty() {
        parts.push(format!("roles {}", claims.roles.join(" ")));
    }
    if !claims.scp.is_empty() {
        parts.push(format!("scopes {}", claims.scp));
    }
    if !claims.upn.is_empty() {
        parts.push(format!("signed in as {}", claims.upn));
    }
    if let Some(exp) = claims.exp {
        parts.push(format!("{} left", span(exp - now.as_second())));
    }
    if !subject.is_delegated() && !claims.oid.is_empty() {
        parts.push(format!(
            "object id of the enterprise application, for New-ServicePrincipal: {}",
            claims.oid
        ));
    }
    parts.join(", ")
}

fn oddities(subject: &Subject<'_>, claims: &Claims, now: Timestamp) -> Vec<Oddity> {
    let rights = if subject.is_delegated() {
        scopes(subject, claims)
    } else {
        roles(claims)
    };
    [
        audience(subject, claims),
        tenant(subject, claims),
        application(subject, claims),
        rights,
        person(subject, claims),
        times(claims, now),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn audience(subject: &Subject<'_>, claims: &Claims) -> Option<Oddity> {
    let aud = claims.aud.trim_end_matches('/');
    if OUTLOOK.iter().any(|known| known.eq_ignore_ascii_case(aud)) {
        return None;
    }
    let cloud = subject.account.cloud;
    let scope = if subject.is_delegated() {
        cloud.delegated_scope()
    } else {
        cloud.application_scope()
    };
    let is_graph = GRAPH.iter().any(|known| known.eq_ignore_ascii_case(aud));
    let what = if is_graph {
        "Microsoft Graph"
    } else {
        "another service"
    };
    Some(Oddity {
        detail: format!(
            "the token is for {what} ({}), and SMTP takes only tokens for Outlook: it answers 535 5.7.3",
            claims.aud
        ),
        remedy: format!(
            "leave {} out, or write \"{scope}\": in the portal the permission may stand under Microsoft Graph, the token must be asked for with the Outlook name",
            subject.key("oauth.scope")
        ),
        is_decisive: true,
    })
}

fn tenant(subject: &Subject<'_>, claims: &Claims) -> Option<Oddity> {
    let wanted = subject.account.tenant_id.as_str();
    // A domain, or a shared name, is nothing that could be compared.
    let comparable = is_guid(wanted) && !claims.tid.is_empty();
    (comparable && !wanted.eq_ignore_ascii_case(&claims.tid)).then(|| Oddity {
        detail: format!("the token is of the tenant {}, and tenant_id says {wanted}", claims.tid),
        remedy: format!(
            "correct {} to the tenant that the mailbox is in, and see that token_url names the same one",
            subject.key("tenant_id")
        ),
        is_decisive: true,
    })
}

fn application(subject: &Subject<'_>, claims: &Claims) -> Option<Oddity> {
    let wanted = subject.account.client_id.as_str();
    let comparable = !wanted.is_empty() && !claims.appid.is_empty() && !subject.is_managed();
    (comparable && !wanted.eq_ignore_ascii_case(&claims.appid)).then(|| Oddity {
        detail: format!(
            "the token is of the app {}, and client_id says {wanted}",
            claims.appid
        ),
        remedy: if subject.is_delegated() {
            format!(
                "sign in again with this app: exorelay login {}",
                subject.account.name
            )
        } else {
            format!("correct {}", subject.key("client_id"))
        },
        is_decisive: false,
    })
}

/// With a role of Exchange's own (RBAC for Applications) the token carries none: no reason to fail.
fn roles(claims: &Claims) -> Option<Oddity> {
    let has_it = claims.roles.iter().any(|role| role == "SMTP.SendAsApp");
    (!has_it).then(|| Oddity {
        detail: "the token has no role SMTP.SendAsApp: right with Exchange's own role 'Application SMTP.SendAsApp' (RBAC for Applications), and a mistake without it".to_owned(),
        remedy: "without RBAC: Entra admin centre > App registrations > API permissions > APIs my organization uses > Office 365 Exchange Online > Application permissions > SMTP.SendAsApp, then Grant admin consent; the next token has it".to_owned(),
        is_decisive: false,
    })
}

fn scopes(subject: &Subject<'_>, claims: &Claims) -> Option<Oddity> {
    let mut scopes = claims.scp.split_ascii_whitespace();
    let has_it = scopes.any(|scope| scope.eq_ignore_ascii_case("SMTP.Send"));
    (!has_it).then(|| Oddity {
        detail: format!("the token's scopes ({}) lack SMTP.Send", claims.scp),
        remedy: format!(
            "Entra admin centre > App registrations > API permissions > Microsoft Graph > Delegated permissions > SMTP.Send, with admin consent where the tenant wants it; then: exorelay login {}",
            subject.account.name
        ),
        is_decisive: true,
    })
}

/// Who signed in against the mailbox.
fn person(subject: &Subject<'_>, claims: &Claims) -> Option<Oddity> {
    let mailbox = subject.account.mailbox.as_str();
    if !subject.is_delegated() || claims.upn.is_empty() || claims.upn.eq_ignore_ascii_case(mailbox)
    {
        return None;
    }
    let upn = &claims.upn;
    Some(Oddity {
        detail: format!("{upn} has signed in, and the mailbox is {mailbox}"),
        remedy: format!(
            "right for a shared mailbox on which {upn} has both rights: Add-MailboxPermission -Identity {mailbox} -User {upn} -AccessRights FullAccess; Add-RecipientPermission {mailbox} -AccessRights SendAs -Trustee {upn}; else sign in as {mailbox}: exorelay login {}",
            subject.account.name
        ),
        is_decisive: false,
    })
}

fn times(claims: &Claims, now: Timestamp) -> Option<Oddity> {
    let now = now.as_second();
    let remedy = "check this machine's clock: timedatectl status".to_owned();
    let odd = |detail: String| {
        Some(Oddity {
            detail,
            remedy: remedy.clone(),
            is_decisive: false,
        })
    };
    if let Some(exp) = claims.exp
        && exp <= now
    {
        return odd(format!(
            "the token has expired {} ago, by this machine's clock, as it was issued",
            span(now - exp)
        ));
    }
    // Entra issues tokens that are good from five minutes before.
    match claims.nbf {
        Some(nbf) if nbf > now => odd(format!(
            "the token is good only in {}, by this machine's clock",
            span(nbf - now)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
