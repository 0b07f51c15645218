//! A sandbox, and settings that lead to it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use exorelay::sandbox::{Sandbox, Settings};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::bench::exorelay;

/// Settings for a sandbox, in a folder where no daemon runs.
pub(crate) struct Clinic {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

impl Clinic {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        exorelay::tls::install_provider();
        let folder = TempDir::new().unwrap();
        let mut settings = Settings::new(folder.path().join("sandbox"));
        change(&mut settings);
        let sandbox = Sandbox::start(settings).await.unwrap();
        let clinic = Self { sandbox, folder };
        clinic.write(&clinic.healthy());
        clinic
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("exorelay.toml")
    }

    pub(crate) fn write(&self, text: &str) {
        let path = self.config();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// The healthy settings, with one thing in another's place.
    pub(crate) fn spoil(&self, healthy: &str, spoilt: &str) {
        let text = self.healthy();
        assert!(text.contains(healthy), "{healthy} in {text}");
        self.write(&text.replace(healthy, spoilt));
    }

    pub(crate) fn healthy(&self) -> String {
        let sandbox = &self.sandbox;
        format!(
            "[queue]\ndirectory = \"{0}/queue\"\nmin_free_disk = \"1MiB\"\n[admin]\nsocket = \"{0}/admin.sock\"\n\
             [account.default]\nmailbox = \"relay@contoso.com\"\ntenant_id = \"{1}\"\nclient_id = \"{2}\"\n\
             client_secret = \"{3}\"\n[account.default.oauth]\ntoken_url = \"{4}\"\n[account.default.smtp]\n\
             host = \"localhost\"\nport = {5}\nca_file = \"{6}\"\n",
            self.folder.path().display(),
            sandbox.tenant_id(),
            sandbox.client_id(),
            sandbox.client_secret().reveal(),
            sandbox.token_url(),
            sandbox.smtp_address().port(),
            sandbox.ca_file().display(),
        )
    }

    /// A command, while this process's sandbox goes on answering.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = exorelay(arguments);
        command.env("EXORELAY_CONFIG", self.config());
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        output.unwrap().unwrap()
    }

    /// The daemon at work, until it is dropped.
    pub(crate) async fn daemon(&self) -> Daemon {
        let mut command = tokio::process::Command::from(exorelay(&["run"]));
        let mut child = command
            .env("EXORELAY_CONFIG", self.config())
            .env("EXORELAY_LISTENER__LOCAL__ADDRESS", "127.0.0.1:0")
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        loop {
            let line = log.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("the daemon did not start:\n{seen}"));
            seen.push_str(&line);
            if line.contains(" ready ") {
                break;
            }
        }
        // Read on, or the daemon would wait for room in the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Daemon { _child: child }
    }
}

/// Killed when it is dropped.
pub(crate) struct Daemon {
    _child: tokio::process::Child,
}
