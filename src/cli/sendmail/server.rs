//! Where the daemon takes mail, for users who may not read its settings too.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::context::Context;
use crate::config::{self, ConfigError, ListenAddress, Settings};
use crate::listener::Address;
use crate::relay::LocalMail;

/// Names a server in place of all others: `unix:PATH`, `HOST:PORT`.
const SERVER_VARIABLE: &str = "EXORELAY_SENDMAIL_SERVER";
/// Where nothing else is known.
const SERVERS: [&str; 2] = ["unix:/run/exorelay/smtp.sock", "127.0.0.1:2525"];
/// Beside the default admin socket.
const PUBLISHED: &str = "/run/exorelay/sendmail.json";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 5321 section 4.5.3.2.6 gives the end of data ten minutes.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// What is known of the daemon.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) local: LocalMail,
    /// None: they are not there, not readable for this user, or wrong.
    pub(super) settings: Option<Settings>,
    /// They are there and wrong; mail goes its way all the same while the daemon runs.
    pub(super) has_mistakes: bool,
    /// The operator has named one server: no other, and no queue on this machine.
    pub(super) is_elsewhere: bool,
}

/// How the daemon is spoken to.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Nobody answers.
#[derive(Debug, Default)]
pub(super) struct Unreachable(Vec<(String, io::Error)>);

impl Surroundings {
    /// Looks around. What the running daemon has published goes before the settings, which may have been
    /// changed since; names, however, are those of the settings.
    pub(super) fn find(context: &Context) -> Self {
        let loaded = config::load(context.config_file(), config::environment(), &[]);
        let (settings, has_mistakes) = match loaded {
            Ok(loaded) => (Some(loaded.settings), false),
            // Nobody has written any, or they are not for this user.
            Err(ConfigError::NoFile { .. } | ConfigError::Read { .. }) => (None, false),
            Err(_) => (None, true),
        };
        let variable = std::env::var(SERVER_VARIABLE).ok();
        Self::of(settings, has_mistakes, Path::new(PUBLISHED), variable)
    }

    fn of(
        settings: Option<Settings>,
        has_mistakes: bool,
        published: &Path,
        variable: Option<String>,
    ) -> Self {
        let published: PathBuf = match &settings {
            Some(settings) => LocalMail::path_beside(&settings.admin.socket),
            None => published.to_owned(),
        };
        let published = LocalMail::read(&published).ok();
        let configured = settings.as_ref().map(configured);
        let mut local = match (published, configured) {
            (Some(published), Some(configured)) => {
                let mut servers = published.servers;
                for server in configured.servers {
                    if !servers.contains(&server) {
                        servers.push(server);
                    }
                }
                LocalMail {
                    servers,
                    ..configured
                }
            }
            (Some(local), None) | (None, Some(local)) => local,
            (None, None) => LocalMail {
                servers: SERVERS.map(str::to_owned).to_vec(),
                ..LocalMail::default()
            },
        };
        let variable = variable.filter(|server| !server.is_empty());
        let is_elsewhere = variable.is_some();
        if let Some(server) = variable {
            local.servers = vec![server];
        }
        Self {
            local,
            settings,
            has_mistakes,
            is_elsewhere,
        }
    }

    /// The first server that answers.
    pub(super) fn connect(&self) -> Result<Stream, Unreachable> {
        let mut failures = Vec::new();
        for server in &self.local.servers {
            match Stream::open(server) {
                Ok(stream) => return Ok(stream),
                Err(error) => failures.push((server.clone(), error)),
            }
        }
        Err(Unreachable(failures))
    }
}

/// As far as the settings tell: a port 0 is whatever the daemon has taken.
fn configured(settings: &Settings) -> LocalMail {
    let listeners = settings.listeners.values();
    let addresses = listeners.filter_map(|listener| {
        let address = match &listener.address {
            ListenAddress::Tcp(address) if address.port() == 0 => return None,
            ListenAddress::Tcp(address) => Address::Tcp(*address),
            ListenAddress::Unix(path) => Address::Unix {
                path: path.clone(),
                mode: listener.socket_mode,
            },
            ListenAddress::Systemd(_) => return None,
        };
        Some((listener.name.as_str(), address))
    });
    LocalMail::new(settings, addresses)
}

impl Stream {
    fn open(server: &str) -> io::Result<Self> {
        if let Some(path) = server.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
            stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
            return Ok(Self::Unix(stream));
        }
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in server.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
                    stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
                    return Ok(Self::Tcp(stream));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    /// Nothing more is to be written.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(octets),
            Self::Tcp(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
        }
    }
}

/// `no daemon answers at unix:/run/exorelay/smtp.sock (No such file or directory), ...`.
impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(
                "no listener is known that takes mail from this machine without TLS and AUTH",
            );
        }
        f.write_str("no daemon answers at ")?;
        for (index, (server, error)) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{server} ({error})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        let text = format!(
            "[listener.a]\naddress = \"127.0.0.1:0\"\n[listener.b]\naddress = \"[::1]:2\"\n\
             [admin]\nsocket = \"{}/admin.sock\"\n[account.default]\nmailbox = \"relay@contoso.com\"\n\
             tenant_id = \"contoso.com\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\n\
             client_secret = \"x\"\n",
            folder.display()
        );
        let loaded = config::load_text(Path::new("test.toml"), &text, std::iter::empty(), &[]);
        loaded.unwrap().settings
    }

    #[test]
    fn what_the_daemon_has_published_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let published = folder.path().join("sendmail.json");
        let of = |settings| Surroundings::of(settings, false, &published, None).local;
        assert_eq!(of(None).servers, SERVERS);
        assert_eq!(of(None).domain, None);
        assert_eq!(of(Some(settings(folder.path()))).servers, ["[::1]:2"]);

        std::fs::write(
            &published,
            "{\"servers\":[\"127.0.0.1:1\",\"[::1]:2\"],\"hostname\":\"r\",\"domain\":\"old.com\",\"aliases\":{}}",
        )
        .unwrap();
        assert_eq!(of(None).domain.as_deref(), Some("old.com"));
        let local = of(Some(settings(folder.path())));
        assert_eq!(local.servers, ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(local.domain.as_deref(), Some("contoso.com"));

        std::fs::write(&published, "nonsense").unwrap();
        assert_eq!(of(None).servers, SERVERS);
        let named = Some("unix:/x".to_owned());
        let found = Surroundings::of(None, false, &published, named);
        assert!(found.is_elsewhere);
        assert_eq!(found.local.servers, ["unix:/x"]);
    }

    #[test]
    fn whoever_does_not_answer_is_named() {
        let mut found = Surroundings::of(None, false, Path::new("/nonexistent"), None);
        found.local.servers = vec!["unix:/nonexistent".into()];
        let told = found.connect().unwrap_err().to_string();
        assert!(
            told.starts_with("no daemon answers at unix:/nonexistent (No such file"),
            "{told}"
        );
        found.local.servers.clear();
        let told = found.connect().unwrap_err().to_string();
        assert!(told.starts_with("no listener is known"), "{told}");
    }
}
