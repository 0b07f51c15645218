//! The names of both hosts.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::{Finding, Step};
use super::report::Report;
use super::subject::Subject;
use crate::cli::error::{CliError, Exit};
use crate::config::is_loopback_host;

/// Which hosts are worth a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) login: bool,
    pub(super) smtp: bool,
}

/// What the system's resolver takes at worst, with two servers that do not answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn check(subject: &Subject<'_>, report: &mut Report) -> Result<Known, CliError> {
    let account = subject.account;
    let login_url = account.oauth.token_url.url();
    let login_host = login_url.host_str().unwrap_or_default();
    let smtp_host = account.smtp.host.as_str();
    let mut found = Vec::new();
    let mut known = Known {
        login: true,
        smtp: true,
    };
    // A proxy looks names up itself.
    let login_is_direct = !subject.is_managed() && !goes_through_a_proxy(subject, login_host);
    let smtp_is_direct = account.smtp.proxy.is_none();
    for (host, is_direct, key, is_known) in [
        (
            login_host,
            login_is_direct,
            "oauth.token_url",
            &mut known.login,
        ),
        (smtp_host, smtp_is_direct, "smtp.host", &mut known.smtp),
    ] {
        if !is_direct || is_address(host) {
            continue;
        }
        match resolve(host).await {
            Ok(addresses) => found.push(format!("{host} has {addresses}")),
            Err(why) => {
                *is_known = false;
                let detail = format!("the name {host} cannot be resolved: {why}");
                let remedy = format!(
                    "check {} for a mistyped name, and the name servers in /etc/resolv.conf: resolvectl query {host}",
                    subject.key(key)
                );
                report.add(Finding::failed(Step::Dns, Exit::Unavailable, detail).remedy(remedy))?;
            }
        }
    }
    if found.is_empty() && known.login && known.smtp {
        let detail = "there is no name to be looked up here, but addresses or a proxy that does it";
        report.add(Finding::skipped(Step::Dns, detail))?;
    } else if !found.is_empty() {
        report.add(Finding::ok(Step::Dns, found.join("; ")))?;
    }
    Ok(known)
}

fn goes_through_a_proxy(subject: &Subject<'_>, host: &str) -> bool {
    let variables = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_loopback_host(host)
        && (subject.account.smtp.proxy.is_some() || variables.iter().any(is_set))
}

fn is_address(host: &str) -> bool {
    bare(host).parse::<IpAddr>().is_ok()
}

/// Of an IPv6 address in a URL.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The first addresses, for people.
async fn resolve(host: &str) -> Result<String, String> {
    let looked_up = timeout(PATIENCE, lookup_host((bare(host), 0))).await;
    let addresses = looked_up
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
        .map_err(|error| error.to_string())?;
    let mut shown: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
    shown.dedup();
    match shown.len() {
        0 => Err("it has no address".to_owned()),
        number @ 4.. => {
            shown.truncate(2);
            Ok(format!("{} and {} more", shown.join(", "), number - 2))
        }
        _ => Ok(shown.join(", ")),
    }
}
