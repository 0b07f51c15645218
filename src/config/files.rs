//! The files that settings name: whether they can be read, and by whom else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Loaded;
use super::error::{ConfigError, Problem};
use crate::secret::SecretSource;

impl Loaded {
    /// Reads every secret and every trust root once, so that a wrong path is found before the first mail
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
        if problems.is_empty() {
            Ok(warnings)
        } else {
            Err(ConfigError::Invalid(problems))
        }
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
