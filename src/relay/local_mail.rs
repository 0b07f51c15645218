//! What programs on this machine have to know to hand in mail.
//!
//! The settings are for root and the daemon: they may hold secrets. Mail, however, comes from every user,
//! and `exorelay sendmail` runs as that user. So the daemon writes the few things that are no secret beside
//! its admin socket, for everybody to read, for as long as it runs.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::config::{Listener, ListenerAuth, ListenerTls, Settings};
use crate::listener::Address;

/// Where mail is taken, and what becomes of names without a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalMail {
    /// Listeners that take mail from this machine without further ado, those to be tried first in front:
    /// `unix:PATH` or an address with a port.
    pub servers: Vec<String>,
    /// The relay's name.
    pub hostname: Option<String>,
    /// For names without a domain.
    pub domain: Option<String>,
    /// Who gets the mail of local users, by name in lower case; `*` is everybody else.
    pub aliases: BTreeMap<String, String>,
}

/// The file, which goes with the relay.
#[derive(Debug)]
pub(super) struct Published {
    local: LocalMail,
    path: PathBuf,
}

/// A longer one is not ours.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

impl LocalMail {
    /// What `settings` say of it; `addresses` are those of the listeners by name, with the ports that were
    /// taken.
    pub fn new<'a>(
        settings: &Settings,
        addresses: impl IntoIterator<Item = (&'a str, Address)>,
    ) -> Self {
        let mut servers: Vec<_> = addresses
            .into_iter()
            .filter_map(|(name, address)| server(settings.listeners.get(name)?, address))
            .collect();
        servers.sort();
        let aliases = settings.sendmail.aliases.iter();
        Self {
            servers: servers.into_iter().map(|(_, server)| server).collect(),
            hostname: Some(settings.hostname.clone()),
            domain: settings.local_domain().map(str::to_owned),
            aliases: aliases
                .map(|(name, mailbox)| (name.clone(), mailbox.to_string()))
                .collect(),
        }
    }

    /// The file beside an admin socket.
    pub fn path_beside(socket: &Path) -> PathBuf {
        socket.with_file_name("sendmail.json")
    }

    /// What a running relay has written. Blocking for a moment.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?
            .take(FILE_MAX_BYTES)
            .read_to_string(&mut text)?;
        serde_json::from_str(&text).map_err(io::Error::from)
    }

    /// The file appears as a whole. Blocking for a moment.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let mut file = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    }
}

impl Published {
    /// `local` has been written to `path`.
    pub(super) fn new(local: LocalMail, path: PathBuf) -> Self {
        Self { local, path }
    }

    /// Something else has been written to the same place.
    pub(super) fn replace(&mut self, local: LocalMail) {
        self.local = local;
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    pub(super) fn is(&self, local: &LocalMail, path: &Path) -> bool {
        self.local == *local && self.is_at(path)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // One that stays names ports that nobody answers at.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How late it is tried, and where it is; `None` when it wants more than sendmail can give.
fn server(listener: &Listener, address: Address) -> Option<(u8, String)> {
    let is_plain = matches!(listener.tls, ListenerTls::None | ListenerTls::Optional)
        && matches!(listener.auth, ListenerAuth::None | ListenerAuth::Optional);
    if !is_plain {
        return None;
    }
    match address {
        // Knows who is asking, and has no port to run out of.
        Address::Unix { path, .. } => Some((0, format!("unix:{}", path.display()))),
        Address::Tcp(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            // A connection to an address of this machine comes from that address.
            let allowed = listener.allow.iter().any(|network| network.contains(&ip));
            let order = if ip.is_loopback() { 1 } else { 2 };
            allowed.then(|| (order, SocketAddr::new(ip, address.port()).to_string()))
        }
        // Where that is only systemd knows.
        Address::Systemd(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const ACCOUNT: &str = "hostname = \"relay.local\"\n[account.default]\n\
        mailbox = \"relay@contoso.com\"\ntenant_id = \"contoso.com\"\n\
        client_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret = \"x\"\n";

    fn settings(more: &str) -> Settings {
        let text = format!("{ACCOUNT}{more}");
        let loaded = config::load_text(Path::new("test.toml"), &text, std::iter::empty(), &[]);
        loaded.unwrap().settings
    }

    #[test]
    fn only_listeners_that_take_mail_as_it_comes_are_named() {
        let settings = settings(
            "[listener.a]\naddress = \"127.0.0.1:1\"\ntls = \"required\"\ncertificate = \"/c\"\nprivate_key = \"/k\"\n\
             [listener.b]\naddress = \"0.0.0.0:2\"\nallow = [\"10.0.0.0/8\"]\n\
             [listener.c]\naddress = \"0.0.0.0:3\"\nallow = [\"10.0.0.0/8\", \"127.0.0.1\"]\n\
             [listener.d]\naddress = \"10.1.1.1:4\"\nallow = [\"10.0.0.0/8\"]\n\
             [listener.e]\naddress = \"unix:/run/e\"\n\
             [listener.f]\naddress = \"127.0.0.1:0\"\n\
             [sendmail]\naliases = { Root = \"it@contoso.com\" }\n",
        );
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        let local = LocalMail::new(
            &settings,
            [
                ("a", tcp("127.0.0.1:1")),
                ("b", tcp("0.0.0.0:2")),
                ("c", tcp("0.0.0.0:3")),
                ("d", tcp("10.1.1.1:4")),
                (
                    "e",
                    Address::Unix {
                        path: "/run/e".into(),
                        mode: 0o666,
                    },
                ),
                ("f", tcp("127.0.0.1:6")),
                ("gone", tcp("127.0.0.1:7")),
            ],
        );
        let expected = ["unix:/run/e", "127.0.0.1:3", "127.0.0.1:6", "10.1.1.1:4"];
        assert_eq!(local.servers, expected);
        assert_eq!(local.domain.as_deref(), Some("contoso.com"));
        assert_eq!(local.aliases["root"], "it@contoso.com");
    }

    #[test]
    fn everybody_may_read_it_for_as_long_as_it_is_true() {
        let folder = tempfile::tempdir().unwrap();
        let path = LocalMail::path_beside(&folder.path().join("admin.sock"));
        let local = LocalMail::new(&settings(""), []);
        local.write(&path).unwrap();
        let published = Published::new(local.clone(), path.clone());
        assert_eq!(LocalMail::read(&path).unwrap(), local);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        drop(published);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
