//! `tls self-signed`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::pair::Pair;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit, complain};
use crate::cli::output::Output;
use crate::config::{self, ConfigError, ListenAddress, Settings};
use crate::tls::self_signed;

/// Make a certificate and its key for a LAN without an authority
///
/// The certificate vouches for itself: devices that check certificates have to be given it, or its fingerprint.
/// A running daemon takes over a pair that was replaced within 30 seconds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What clients call the relay, a host name or an address; several times for several [default: hostname and
    /// the listeners' addresses, as configured]
    #[arg(long = "name", value_name = "NAME", value_parser = name)]
    names: Vec<String>,

    /// Where the certificate goes
    #[arg(long, value_name = "FILE", default_value = "/etc/exorelay/cert.pem")]
    certificate: PathBuf,

    /// Where the key goes, readable for the daemon only
    #[arg(long, value_name = "FILE", default_value = "/etc/exorelay/key.pem")]
    key: PathBuf,

    /// How long the certificate is valid; Apple's devices take 825 days at most
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let names = if self.names.is_empty() {
            configured(context)?
        } else {
            self.names
        };
        let pair = Pair {
            certificate: absolute(&self.certificate)?,
            key: absolute(&self.key)?,
            replaces: self.force,
        };
        if pair.certificate == pair.key {
            let line = "certificate and key need a file each";
            return Err(CliError::new(Exit::Usage, line));
        }
        let made = self_signed(&names, self.days)
            .map_err(|error| CliError::new(Exit::Failed, format!("no certificate: {error}")))?;
        let reader = pair.write(&made)?.map_or_else(
            || "readable for you only: the daemon has to be you, or own it".to_owned(),
            |name| format!("readable for {name} only"),
        );
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let fingerprint: Vec<String> = made
            .fingerprint
            .iter()
            .map(|o| format!("{o:02X}"))
            .collect();
        let mut output = Output::new();
        for line in [
            format!(
                "certificate: {certificate}, for {}, until {}",
                names.join(", "),
                made.last_day
            ),
            format!("key: {key}, {reader}"),
            format!("SHA-256 fingerprint: {}", fingerprint.join(":")),
            "lines for [listener.NAME]:".to_owned(),
            "tls = \"optional\"".to_owned(),
            format!("certificate = {}", quoted(&certificate.to_string())),
            format!("private_key = {}", quoted(&key.to_string())),
        ] {
            output.line(line)?;
        }
        output.finish()
    }
}

fn name(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
    if text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.chars().all(is_name)) {
        return Ok(text.to_owned());
    }
    Err("write a host name or an address, without a port".to_owned())
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path)
        .map_err(|error| CliError::new(Exit::Failed, format!("{}: {error}", path.display())))
}

/// Before there are settings, the machine's name has to do.
fn configured(context: &Context) -> Result<Vec<String>, CliError> {
    match config::load(context.config_file(), config::environment(), &[]) {
        Ok(loaded) => Ok(names_of(&loaded.settings)),
        Err(ConfigError::NoFile { .. }) => Ok(vec![config::machine_name()]),
        Err(error) => {
            complain(
                "the names are in the settings, which have problems; --name does without them",
            );
            Err(error.into())
        }
    }
}

/// As clients may call it; which address a wildcard stands for they know best.
fn names_of(settings: &Settings) -> Vec<String> {
    let hostname = settings.hostname.trim_matches(['[', ']']);
    let mut names = vec![hostname.to_owned()];
    for listener in settings.listeners.values() {
        let ListenAddress::Tcp(address) = &listener.address else {
            continue;
        };
        let ip = address.ip().to_canonical();
        if ip.is_loopback() {
            names.push("localhost".to_owned());
        }
        if !ip.is_unspecified() {
            names.push(ip.to_string());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}
