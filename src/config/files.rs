//! The files that settings name: whether they can be read, and by whom else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Loaded;
use super::account::{Access, Account};
use super::error::{ConfigError, Problem};
use super::listener::{Listener, ListenerAuth};
use crate::listener::check_users;
use crate::oauth::{ClientCertificate, read_federated_token};
use crate::secret::SecretSource;

impl Loaded {
    /// Reads every secret, certificate and trust root once, so that a wrong path is found before the first mail
    /// needs it. Blocking. Returns what is worth a warning.
    pub fn check_files(&self) -> Result<Vec<String>, ConfigError> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut refuse = |key: String, text: String| {
            problems.push(Problem {
                origin: self.provenance.origin(&key).cloned(),
                key,
                text,
            });
        };
        for account in self.settings.accounts.values() {
            let section = format!("account.{}", account.name);
            for secret in &account.client_secrets {
                let key = format!("{section}.client_secret");
                if let Err(error) = secret.read() {
                    refuse(key, error.to_string());
                } else if let SecretSource::File(path) = secret
                    && is_readable_by_all(path)
                {
                    warnings.push(format!("{key}: {}", exposed(path)));
                }
            }
            check_certificate(account, &mut refuse, &mut warnings);
            if let Some(path) = &account.oauth.federated_token_file
                && account.access == Access::WorkloadIdentity
                && let Err(error) = read_federated_token(path)
            {
                let key = format!("{section}.oauth.federated_token_file");
                refuse(key, error.to_string());
            }
            let roots = [
                ("oauth.ca_file", &account.oauth.ca_file),
                ("smtp.ca_file", &account.smtp.ca_file),
            ];
            for (key, path) in roots {
                let Some(path) = path else { continue };
                if let Err(error) = std::fs::File::open(path) {
                    let text = format!("cannot open {}: {error}", path.display());
                    refuse(format!("{section}.{key}"), text);
                }
            }
        }
        if let Some(key) = &self.settings.token_store.key {
            let name = "token_store.key".to_owned();
            if let Err(error) = self.settings.token_store_part().check_key() {
                refuse(name, error.to_string());
            } else if let SecretSource::File(path) = key
                && is_readable_by_all(path)
            {
                warnings.push(format!("{name}: {}", exposed(path)));
            }
        }
        for listener in self.settings.listeners.values() {
            check_listener(listener, &mut refuse, &mut warnings);
        }
        if problems.is_empty() {
            Ok(warnings)
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }
}

/// Whether a listener's certificate, key and users can be used, and who else can read them.
fn check_listener(
    listener: &Listener,
    refuse: &mut impl FnMut(String, String),
    warnings: &mut Vec<String>,
) {
    let key = |key: &str| format!("listener.{}.{key}", listener.name);
    let mut secrets = Vec::new();
    if let Some(encryption) = listener.encryption() {
        let files = encryption.files;
        match files.check(jiff::Timestamp::now()) {
            Err(error) => refuse(key("certificate"), error.to_string()),
            Ok(warning) => {
                let key = key("certificate");
                warnings.extend(warning.map(|text| format!("{key}: {text}")));
                secrets.push(("private_key", files.private_key));
            }
        }
    }
    if let Some(users) = listener
        .users
        .clone()
        .filter(|_| listener.auth != ListenerAuth::None)
    {
        match check_users(&users) {
            Err(error) => refuse(key("users"), error.to_string()),
            Ok(0) => warnings.push(format!(
                "{}: {} holds nobody, so nobody can log in; add the line of exorelay hash-password --user NAME",
                key("users"),
                users.display()
            )),
            Ok(_) => secrets.push(("users", users)),
        }
    }
    for (name, path) in secrets {
        if is_readable_by_all(&path) {
            warnings.push(format!("{}: {}", key(name), exposed(&path)));
        }
    }
}

/// Whether certificate and key are a pair, and whether others can read the key.
fn check_certificate(
    account: &Account,
    refuse: &mut impl FnMut(String, String),
    warnings: &mut Vec<String>,
) {
    let Some(certificate) = &account.client_certificate else {
        return;
    };
    let key = |key: &str| format!("account.{}.{key}", account.name);
    let key_file = account.client_certificate_key.as_deref();
    match ClientCertificate::read(certificate, key_file) {
        Err(error) => {
            let of_key = key_file.is_some() && error.path() == key_file;
            let name = if of_key {
                "client_certificate_key"
            } else {
                "client_certificate"
            };
            return refuse(key(name), error.to_string());
        }
        Ok(certificate) => {
            let warning = certificate.warning(jiff::Timestamp::now());
            let key = key("client_certificate");
            warnings.extend(warning.map(|text| format!("{key}: {text}")));
        }
    }
    let (name, path) = match key_file {
        Some(path) => ("client_certificate_key", path),
        None => ("client_certificate", certificate.as_path()),
    };
    if is_readable_by_all(path) {
        warnings.push(format!("{}: {}", key(name), exposed(path)));
    }
}

/// The warning about a file with a secret in it.
pub(crate) fn exposed(path: &Path) -> String {
    let path = path.display();
    format!("every user of this machine can read {path}; remedy: chmod o-rwx {path}")
}

/// Whether the permissions of `path` let everybody read it.
pub(crate) fn is_readable_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
