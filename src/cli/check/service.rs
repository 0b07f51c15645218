//! The submission service: the way there, its certificate, and what it offers.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::explain;
use super::finding::{Finding, Step};
use super::report::Report;
use super::subject::Subject;
use super::trust::{self, Host};
use crate::cli::error::{CliError, Exit};
use crate::cli::text::size;
use crate::config::UpstreamTls;
use crate::delivery::{self, Barrier, Obstacle, Stage, Visit};
use crate::smtp::Capabilities;
use crate::tls::{TlsError, Witness, witnessed_client_config};

/// Nobody wants to watch the five minutes of RFC 5321 pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// For the steps up to the message itself, whose verdict may take its time.
pub(super) fn settings(subject: &Subject<'_>) -> delivery::Settings {
    let mut settings = subject.settings().delivery_part(subject.account);
    let timeouts = &mut settings.timeouts;
    for timeout in [
        &mut timeouts.connect,
        &mut timeouts.tls,
        &mut timeouts.greeting,
        &mut timeouts.command,
    ] {
        *timeout = (*timeout).min(PATIENCE);
    }
    settings
}

/// A connection on which the service wants to know who we are, if it came to that.
pub(super) async fn check(
    subject: &Subject<'_>,
    settings: &delivery::Settings,
    report: &mut Report,
) -> Result<Option<Visit>, CliError> {
    let (config, witness) = match trust_roots(subject) {
        Ok(trusted) => trusted,
        Err(error) => {
            let detail = crate::admin::one_line(&error);
            report.add(Finding::failed(Step::Tls, Exit::Configuration, detail))?;
            return Ok(None);
        }
    };
    let mut visit = match Visit::connect(settings).await {
        Ok(visit) => visit,
        Err(obstacle) => {
            report.add(unreached(settings, &obstacle))?;
            for step in [Step::Tls, Step::Ehlo] {
                report.add(Finding::skipped(step, "there is no connection"))?;
            }
            return Ok(None);
        }
    };
    report.add(Finding::ok(Step::Tcp, reached(settings, &visit)))?;
    match visit.open(settings, &config).await {
        Ok(()) => {
            report.add(encrypted(subject, &visit, &witness))?;
            let offer = offer(visit.capabilities());
            report.add(Finding::ok(Step::Ehlo, offer))?;
            Ok(Some(visit))
        }
        Err(obstacle) if obstacle.stage == Stage::Encrypt => {
            report.add(not_encrypted(subject, &obstacle, &witness))?;
            report.add(Finding::skipped(
                Step::Ehlo,
                "the connection is not encrypted",
            ))?;
            Ok(None)
        }
        Err(obstacle) => {
            report.add(match visit.encryption() {
                Some(_) => encrypted(subject, &visit, &witness),
                None => Finding::skipped(Step::Tls, "it did not come to that"),
            })?;
            report.add(explain::obstacle(subject, Step::Ehlo, &obstacle, None))?;
            Ok(None)
        }
    }
}

fn trust_roots(subject: &Subject<'_>) -> Result<(Arc<ClientConfig>, Arc<Witness>), TlsError> {
    witnessed_client_config(subject.account.smtp.ca_file.as_deref())
}

fn reached(settings: &delivery::Settings, visit: &Visit) -> String {
    let (host, port) = (&settings.host, settings.port);
    match (&settings.proxy, visit.address()) {
        (Some(proxy), _) => format!("{host}:{port} reached through {proxy}"),
        (None, Some(address)) => format!("{host}:{port} reached at {}", address.ip()),
        (None, None) => format!("{host}:{port} reached"),
    }
}

/// Which of the usual causes it is.
fn unreached(settings: &delivery::Settings, obstacle: &Obstacle) -> Finding {
    let (host, port) = (&settings.host, settings.port);
    let (what, remedy) = match obstacle.barrier {
        Some(Barrier::Refused) => (
            "the connection is refused",
            format!(
                "nothing listens there, or a firewall turns it away: check smtp.host and smtp.port (587 for Exchange Online), then let TCP {port} to {host} out; from here: nc -vz {host} {port}"
            ),
        ),
        Some(Barrier::Silent) => (
            "nothing answers",
            format!(
                "most likely a firewall or the provider drops outgoing TCP {port} (many clouds and providers block mail ports): have it opened to {host}, or go through smtp.proxy; from here: nc -vz {host} {port}"
            ),
        ),
        Some(Barrier::Unreachable) => (
            "there is no way to it",
            format!(
                "check this machine's network and default route: ip route get {host}; where only IPv6 fails, IPv4 must be there"
            ),
        ),
        Some(Barrier::Name) => (
            "its name has no address",
            "check smtp.host, and the name servers in /etc/resolv.conf".to_owned(),
        ),
        Some(Barrier::Proxy) | None => (
            "the proxy gives no connection",
            "check smtp.proxy, and ask those who run the proxy to allow this host and port"
                .to_owned(),
        ),
    };
    let detail = format!("{host}:{port}: {what} ({})", obstacle.said);
    Finding::failed(Step::Tcp, Exit::Unavailable, detail).remedy(remedy)
}

fn encrypted(subject: &Subject<'_>, visit: &Visit, witness: &Witness) -> Finding {
    let Some(encryption) = visit.encryption() else {
        return Finding::ok(Step::Tls, "none, as smtp.tls has it");
    };
    // The names of the library, `TLSv1_3`, are nearly those that people know.
    let version = format!("{:?}", encryption.version).replace('_', ".");
    let how = format!("{version}, {:?}", encryption.cipher);
    let Some(seen) = witness.seen() else {
        return Finding::ok(Step::Tls, how);
    };
    match trust::inspected(host(subject, &keys(subject)), &seen) {
        Some(doubt) => Finding::warning(Step::Tls, doubt.detail).remedy(doubt.remedy),
        None => Finding::ok(Step::Tls, format!("{how}; {}", trust::describe(&seen))),
    }
}

fn not_encrypted(subject: &Subject<'_>, obstacle: &Obstacle, witness: &Witness) -> Finding {
    let seen = witness.seen();
    let refused = seen
        .as_ref()
        .and_then(|it| Some((it, it.refused.as_ref()?)));
    if let Some((seen, distrust)) = refused {
        let doubt = trust::refused(host(subject, &keys(subject)), seen, distrust);
        return Finding::failed(Step::Tls, Exit::Unavailable, doubt.detail).remedy(doubt.remedy);
    }
    if obstacle.rule.is_some() {
        return explain::obstacle(subject, Step::Tls, obstacle, None);
    }
    let remedy = match subject.account.smtp.tls {
        UpstreamTls::Starttls => {
            "check smtp.host and smtp.port (587 with smtp.tls = \"starttls\"), and that no firewall inspects SMTP (Cisco: no inspect esmtp)"
        }
        UpstreamTls::Implicit => {
            "smtp.tls = \"implicit\" wants a port that begins with TLS, as 465; Exchange Online has only 587 with \"starttls\""
        }
        UpstreamTls::None => "check smtp.host and smtp.port",
    };
    Finding::failed(Step::Tls, Exit::Unavailable, obstacle.said.as_str()).remedy(remedy)
}

/// The settings that a certificate has to do with.
fn keys(subject: &Subject<'_>) -> [String; 2] {
    [subject.key("smtp.host"), subject.key("smtp.ca_file")]
}

fn host<'k>(subject: &Subject<'k>, [key, ca_key]: &'k [String; 2]) -> Host<'k> {
    Host {
        name: &subject.account.smtp.host,
        key,
        ca_key,
    }
}

fn offer(capabilities: &Capabilities) -> String {
    let mut words = Vec::new();
    match capabilities.size {
        Some(0) => words.push("SIZE without a limit".to_owned()),
        Some(limit) => words.push(format!("SIZE {limit} ({})", size(limit))),
        None => {}
    }
    if !capabilities.auth_mechanisms.is_empty() {
        words.push(format!("AUTH {}", capabilities.auth_mechanisms.join(" ")));
    }
    for (is_offered, word) in [
        (capabilities.pipelining, "PIPELINING"),
        (capabilities.eight_bit_mime, "8BITMIME"),
        (capabilities.smtputf8, "SMTPUTF8"),
        (capabilities.dsn, "DSN"),
    ] {
        if is_offered {
            words.push(word.to_owned());
        }
    }
    words.join(", ")
}
