//! A relay between a client and the sandbox, in one process.

#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::match_wild_err_arm,
    clippy::indexing_slicing,
    reason = "every test program uses a part of it"
)]

pub mod client;
pub mod daemon;
pub mod exposition;
pub mod folder;
pub mod machine;
pub mod proxy;
pub mod upstream;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use exorelay::config;
use exorelay::listener::Inherited;
use exorelay::relay::{Changes, Relay, ReloadError, Reloader, View};
use exorelay::sandbox::{Limits, Sandbox, Settings};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use client::Client;

/// Long enough for a busy machine; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for something that must happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Asks again and again until the answer is yes.
pub async fn until(what: &str, mut asked: impl FnMut() -> bool) {
    within(what, async {
        while !asked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A sandbox without limits of pace, in `folder`.
pub async fn sandbox(folder: &Path) -> Sandbox {
    exorelay::tls::install_provider();
    let mut settings = Settings::new(folder.join("sandbox"));
    settings.limits = Limits::unpaced();
    Sandbox::start(settings).await.unwrap()
}

/// Settings for a relay in `folder` that sends to `sandbox`. `more` are further lines, which may
/// begin sections of their own.
pub fn settings_text(folder: &Path, sandbox: &Sandbox, more: &str) -> String {
    format!(
        r#"
hostname = "relay.test"
[listener.local]
address = "127.0.0.1:0"
[queue]
directory = "{queue}"
min_free_disk = "1MiB"
retry_initial = "1s"
[account.default]
mailbox = "relay@contoso.com"
tenant_id = "{tenant}"
client_id = "{client_id}"
client_secret = "{secret}"
[account.default.oauth]
token_url = "{token_url}"
[account.default.smtp]
host = "localhost"
port = {port}
ca_file = "{ca_file}"
messages_per_minute = 0
{more}
"#,
        queue = folder.join("queue").display(),
        tenant = sandbox.tenant_id(),
        client_id = sandbox.client_id(),
        secret = sandbox.client_secret().reveal(),
        token_url = sandbox.token_url(),
        port = sandbox.smtp_address().port(),
        ca_file = sandbox.ca_file().display(),
    )
}

fn load(text: &str) -> config::Loaded {
    let path = Path::new("test.toml");
    config::load_text(path, text, std::iter::empty(), &[]).unwrap()
}

/// A running relay.
pub struct Running {
    pub view: Arc<View>,
    reloader: Reloader,
    /// Ends a drain at once.
    pub hurry: CancellationToken,
    pub stop: CancellationToken,
    task: JoinHandle<Result<(), exorelay::relay::RunError>>,
}

impl Running {
    pub async fn start(text: &str) -> Self {
        let loaded = load(text);
        let relay = Relay::open(&loaded.settings, Inherited::default())
            .await
            .unwrap();
        let view = relay.view();
        let stop = CancellationToken::new();
        let (reloader, hurry) = (relay.reloader(), relay.hurry());
        let task = tokio::spawn(relay.run(stop.clone()));
        Self {
            view,
            reloader,
            hurry,
            stop,
            task,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address_of("local")
    }

    pub fn address_of(&self, listener: &str) -> SocketAddr {
        let shown = self.view.now();
        let found = shown.listeners.iter().find(|(name, _)| name == listener);
        let (_, address) = found.unwrap_or_else(|| panic!("no listener {listener}"));
        address.tcp().unwrap()
    }

    /// How the first account does.
    pub fn delivery(&self) -> exorelay::delivery::Status {
        self.view.now().accounts[0].delivery.borrow().clone()
    }

    /// What the first account's mailbox has used.
    pub fn pace(&self) -> exorelay::delivery::Pace {
        let now = tokio::time::Instant::now();
        self.view.now().accounts[0].quota.pace(now)
    }

    /// Goes over to other settings; what has changed.
    pub async fn reload(&self, text: &str) -> Result<Changes, ReloadError> {
        let loaded = load(text);
        within("the reload", self.reloader.reload(loaded.settings)).await
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Drains and waits for the end.
    pub async fn stop(self) {
        drop(self.view);
        self.stop.cancel();
        within("the drain", self.task).await.unwrap().unwrap();
    }
}

/// A relay, its sandbox and the folder of both.
pub struct Bench {
    pub relay: Running,
    pub sandbox: Sandbox,
    pub folder: TempDir,
}

impl Bench {
    pub async fn start(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = sandbox(folder.path()).await;
        let relay = Running::start(&settings_text(folder.path(), &sandbox, more)).await;
        Self {
            relay,
            sandbox,
            folder,
        }
    }

    /// The content of each message the sandbox got, once there are `count`.
    pub async fn delivered(&self, count: u64) -> Vec<Vec<u8>> {
        let control = self.sandbox.control();
        let messages = within("delivery", control.wait_for_messages(count)).await;
        let mut contents = Vec::new();
        for message in messages {
            contents.push(message.content().await.unwrap());
        }
        contents
    }

    /// Nothing strict Exchange would have objected to.
    pub fn assert_clean(&self) {
        let violations = self.sandbox.control().violations();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

/// The runtime's clock jumps ahead; every wait that ends by then has ended. For tests of one thread.
pub async fn jump(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
