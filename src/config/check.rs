//! What no single value can tell: keys that need, exclude or contradict each other.

use oauth2::url::Url;

use super::account::{Access, Account, Provider};
use super::layers::Merged;
use super::listener::{BareNewline, Listener, ListenerAuth, ListenerTls};
use super::reader::Report;
use super::route::Client;
use super::settings::Settings;
use super::upstream::UpstreamTls;
use super::value::{ListenAddress, UNIX_PATH_MAX_OCTETS, is_loopback_host, too_long};
use crate::oauth::is_shared_tenant;

/// Adds the problems of `settings` as a whole to `report`.
pub(super) fn check(settings: &Settings, merged: &Merged, report: &mut Report) {
    let mut check = Check {
        settings,
        merged,
        report,
    };
    check.listeners();
    check.queue();
    check.accounts();
    check.routes();
    check.admin();
    check.ways();
}

struct Check<'a> {
    settings: &'a Settings,
    merged: &'a Merged,
    report: &'a mut Report,
}

impl<'a> Check<'a> {
    fn refuse(&mut self, key: &str, text: impl Into<String>) {
        self.report.refuse_value(self.merged, key, text);
    }

    fn listeners(&mut self) {
        let settings: &'a Settings = self.settings;
        for (index, listener) in settings.listeners.values().enumerate() {
            self.listener(listener);
            let mut before = settings.listeners.values().take(index);
            if let Some(other) = before.find(|other| other.address.collides(&listener.address)) {
                let text = format!(
                    "{} is taken by listener.{} ({}) already; give each listener its own port",
                    listener.address, other.name, other.address
                );
                self.refuse(&format!("listener.{}.address", listener.name), text);
            }
        }
    }

    /// Only where everything else is well: what was meant by a route that is refused is not known.
    fn ways(&mut self) {
        if !self.report.problems.is_empty() {
            return;
        }
        let settings: &'a Settings = self.settings;
        let listeners = settings.listeners.values();
        for listener in listeners.filter(|listener| !settings.has_a_way(listener)) {
            self.refuse(
                &format!("listener.{}.account", listener.name),
                "is missing, and there are several accounts: name the one that sends this listener's mail, add a \
                 [[route]], or call one of them \"default\"",
            );
        }
    }

    fn listener(&mut self, listener: &Listener) {
        let section = format!("listener.{}", listener.name);
        let key = |key: &str| format!("{section}.{key}");
        let allow = key("allow");
        let allow_is_set = self.report.is_set(&allow);
        if self.report.is_refused(&allow) || self.report.is_refused(&key("auth")) {
            // What was meant is not known, so it cannot be judged.
        } else if listener.is_open(allow_is_set) {
            let text = format!(
                "would be an open relay on {}; set allow = [...] to the networks of your devices, such as \
                 [\"10.1.2.0/24\"], or auth = \"required\", or listen on 127.0.0.1",
                listener.address
            );
            // The address is what opened it, wherever it was written.
            let origin = self.report.origin(&key("address")).cloned();
            self.report.refuse(section.clone(), origin, text);
        } else if listener.allow.is_empty() {
            self.refuse(
                &allow,
                "is empty, so nobody could connect; name a network, or remove the line",
            );
        } else if let Some(text) = listener.shut_out() {
            self.refuse(&allow, text);
        } else if let Some(network) = listener.huge_network() {
            self.report.warnings.push(format!(
                "{allow}: {network} is larger than any site of one's own, and whoever is in it can send mail to the \
                 world as you; name your networks, or set auth = \"required\""
            ));
        }
        if listener.bare_newline == BareNewline::Lenient && listener.address.is_reachable() {
            self.refuse(
                &key("bare_newline"),
                "\"lenient\" lets other hosts smuggle messages and is for loopback listeners only; write \
                 \"normalize\"",
            );
        }
        if listener.tls != ListenerTls::None {
            let missing = [
                ("certificate", listener.certificate.is_none()),
                ("private_key", listener.private_key.is_none()),
            ];
            for (name, _) in missing.iter().filter(|(_, missing)| *missing) {
                let text = format!("is missing; tls = \"{}\" needs it", listener.tls.as_str());
                self.refuse(&key(name), text);
            }
        } else if listener.certificate.is_some() || listener.private_key.is_some() {
            self.report.warnings.push(format!(
                "{section}.certificate: has no effect while {section}.tls is \"none\""
            ));
        }
        self.auth(listener);
        let size = key("max_message_size");
        if listener.max_message_size_bytes > self.settings.queue.max_bytes {
            let text = LARGER_THAN_THE_QUEUE;
            if self.report.is_set(&size) {
                self.refuse(&size, text);
            } else {
                self.report.warnings.push(format!("{size}: {text}"));
            }
        }
        self.existing_account(&key("account"), listener.account.as_deref());
    }

    fn auth(&mut self, listener: &Listener) {
        let key = |key: &str| format!("listener.{}.{key}", listener.name);
        let auth = listener.auth.as_str();
        if listener.auth == ListenerAuth::None {
            for (name, is_set) in [
                ("users", listener.users.is_some()),
                ("allow_plain_auth", listener.allow_plain_auth),
            ] {
                if is_set {
                    let text = format!("has no effect while {} is \"none\"", key("auth"));
                    self.report.warnings.push(format!("{}: {text}", key(name)));
                }
            }
            return;
        }
        if listener.users.is_none() {
            let text = format!("is missing; auth = \"{auth}\" needs it");
            self.refuse(&key("users"), text);
        }
        let is_for_others = listener.address.is_reachable();
        if is_for_others && !listener.offers_auth_to_others() {
            let text = format!(
                "\"{auth}\" is for this machine only while {} is \"none\": other hosts would send their passwords \
                 for everybody to read; set tls, or allow_plain_auth = true",
                key("tls")
            );
            if listener.auth == ListenerAuth::Required {
                self.refuse(&key("auth"), text);
            } else {
                self.report
                    .warnings
                    .push(format!("{}: {text}", key("auth")));
            }
        } else if is_for_others
            && listener.allow_plain_auth
            && listener.tls != ListenerTls::Required
            && listener.tls != ListenerTls::Implicit
        {
            self.report.warnings.push(format!(
                "{}: passwords may cross the network for everybody to read; keep it to a network of your own",
                key("allow_plain_auth")
            ));
        }
    }

    fn queue(&mut self) {
        let queue = &self.settings.queue;
        if queue.retry_initial > queue.retry_max {
            self.refuse(
                "queue.retry_initial",
                "is longer than queue.retry_max; shorten it",
            );
        }
        if queue.retry_initial >= queue.expire_after {
            self.refuse(
                "queue.expire_after",
                "ends before the first retry (queue.retry_initial); lengthen it",
            );
        }
    }

    fn accounts(&mut self) {
        let settings: &'a Settings = self.settings;
        let mentioned = self.report.problems.iter();
        let mentioned = mentioned.filter(|problem| problem.key.starts_with("account"));
        if settings.accounts.is_empty() && mentioned.count() == 0 {
            self.refuse("account", NO_ACCOUNT);
        }
        for account in settings.accounts.values() {
            self.account(account);
        }
    }

    fn account(&mut self, account: &Account) {
        let key = |key: &str| format!("account.{}.{key}", account.name);
        match (account.provider, account.access) {
            (Provider::Google, access) => self.google(account, access),
            (_, Access::Application) => self.application(account),
            (_, Access::WorkloadIdentity) => self.workload_identity(account),
            (_, Access::Delegated) => self.client_id(account),
            (_, Access::ManagedIdentity) => self.managed_identity(account),
        }
        self.idle(account);
        if account.client_certificate.is_some() && !account.client_secrets.is_empty() {
            self.refuse(
                &key("client_certificate"),
                "stands beside a client_secret; keep one of the two",
            );
        }
        if account.client_certificate_key.is_some() && account.client_certificate.is_none() {
            self.refuse(
                &key("client_certificate"),
                "is missing; client_certificate_key needs it",
            );
        }
        if account.smtp.tls == UpstreamTls::None && !is_loopback_host(&account.smtp.host) {
            self.refuse(
                &key("smtp.tls"),
                "\"none\" would send the token in plain text and is for loopback hosts only; write \"starttls\"",
            );
        }
        if account.smtp.tls == UpstreamTls::None && account.smtp.proxy.is_some() {
            self.refuse(
                &key("smtp.tls"),
                "\"none\" would send the token in plain text to the proxy; write \"starttls\", or leave smtp.proxy out",
            );
        }
    }

    fn client_id(&mut self, account: &Account) {
        if account.client_id.is_empty() {
            self.refuse(
                &format!("account.{}.client_id", account.name),
                "is missing; write the Application (client) ID of the app registration",
            );
        }
    }

    /// Facts G.4. A service account would sign assertions of its own, with a key of Google's form.
    fn google(&mut self, account: &Account, access: Access) {
        let key = |key: &str| format!("account.{}.{key}", account.name);
        if access != Access::Delegated {
            let text = format!(
                "\"{}\" does not work with Google, where mail is sent for a person who has signed in (service \
                 accounts are not supported); write access = \"delegated\"",
                access.as_str()
            );
            self.refuse(&key("access"), text);
        }
        self.client_id(account);
        if account.client_certificate.is_some() {
            self.refuse(
                &key("client_certificate"),
                "Google knows client secrets only; write client_secret = { file = \"/etc/exorelay/secret\" }",
            );
        }
    }

    fn application(&mut self, account: &Account) {
        self.client_id(account);
        self.own_tenant(account);
        if account.client_secrets.is_empty() && account.client_certificate.is_none() {
            self.refuse(
                &format!("account.{}.client_secret", account.name),
                "is missing; write client_secret = { file = \"/etc/exorelay/secret\" }",
            );
        }
    }

    fn workload_identity(&mut self, account: &Account) {
        let key = |key: &str| format!("account.{}.{key}", account.name);
        self.client_id(account);
        self.own_tenant(account);
        let file = key("oauth.federated_token_file");
        if account.oauth.federated_token_file.is_none() && !self.report.is_refused(&file) {
            // It is this line that asks for it; its own section may not even exist.
            let origin = self.report.origin(&key("access")).cloned();
            self.report.refuse(file, origin, NO_FEDERATED_TOKEN.into());
        }
        let others = [
            ("client_secret", !account.client_secrets.is_empty()),
            ("client_certificate", account.client_certificate.is_some()),
        ];
        for (name, _) in others.iter().filter(|(_, is_set)| *is_set) {
            self.refuse(
                &key(name),
                "stands beside access = \"workload_identity\", which proves itself with a token file; keep one of the two",
            );
        }
    }

    /// What is set and serves no purpose.
    fn idle(&mut self, account: &Account) {
        let key = |key: &str| format!("account.{}.{key}", account.name);
        let (assertion, file) = (key("oauth.assertion"), key("oauth.federated_token_file"));
        if self.report.is_set(&assertion) && account.client_certificate.is_none() {
            let text = format!("{assertion}: has no effect without client_certificate");
            self.report.warnings.push(text);
        }
        let is_idle = account.access != Access::WorkloadIdentity;
        if is_idle && account.oauth.federated_token_file.is_some() {
            let access = account.access.as_str();
            let text = format!("{file}: has no effect while access is \"{access}\"");
            self.report.warnings.push(text);
        }
    }

    /// An application signs in to one tenant.
    fn own_tenant(&mut self, account: &Account) {
        let key = |key: &str| format!("account.{}.{key}", account.name);
        if is_shared_tenant(&account.tenant_id) {
            let what = if self.report.is_set(&key("tenant_id")) && account.tenant_id != "common" {
                format!("\"{}\" names no single tenant", account.tenant_id)
            } else {
                "is missing, empty or \"common\"".to_owned()
            };
            let text = format!(
                "{what}, and access = \"{}\" signs in to exactly one tenant; write your Directory (tenant) ID",
                account.access.as_str()
            );
            self.refuse(&key("tenant_id"), text);
        }
    }

    /// What only the machine's own platform can give (facts D.10).
    fn managed_identity(&mut self, account: &Account) {
        let key = |key: &str| format!("account.{}.{key}", account.name);
        if account.oauth.scope.split_ascii_whitespace().count() > 1 {
            self.refuse(
                &key("oauth.scope"),
                "names several, and a managed identity is asked for one resource at a time; leave it out",
            );
        }
        let port = account.oauth.identity_endpoint.as_ref();
        if port.and_then(Url::port) == Some(AZURE_ARC_PORT) && !account.client_id.is_empty() {
            self.refuse(
                &key("client_id"),
                "chooses among identities, and Azure Arc has only the machine's own; leave it out",
            );
        }
        for (name, is_set) in [
            ("client_secret", !account.client_secrets.is_empty()),
            ("client_certificate", account.client_certificate.is_some()),
        ] {
            if is_set {
                self.report.warnings.push(format!(
                    "{}: has no effect while access is \"managed_identity\"; remove it",
                    key(name)
                ));
            }
        }
    }

    fn routes(&mut self) {
        let settings: &'a Settings = self.settings;
        for (index, client) in settings.clients.values().enumerate() {
            self.client(client);
            let mut before = settings.clients.values().take(index);
            if let Some(other) = before.find(|other| other.network == client.network) {
                let text = format!(
                    "is the network of client.{} already; one of the two could never count",
                    other.name
                );
                self.refuse(&format!("client.{}.network", client.name), text);
            }
        }
        for (index, route) in settings.routes.iter().enumerate() {
            for account in &route.accounts {
                self.existing_account(&format!("route[{index}].account"), Some(account));
            }
            let listener = route.listener.as_deref().unwrap_or_default();
            if !listener.is_empty() && !settings.listeners.contains_key(listener) {
                let text = format!("there is no [listener.{listener}]; name one that exists");
                self.refuse(&format!("route[{index}].listener"), text);
            }
        }
    }

    fn client(&mut self, client: &Client) {
        let key = |key: &str| format!("client.{}.{key}", client.name);
        self.existing_account(&key("account"), client.account.as_deref());
        let max_bytes = self.settings.queue.max_bytes;
        if client
            .max_message_size_bytes
            .is_some_and(|size| size > max_bytes)
        {
            self.refuse(&key("max_message_size"), LARGER_THAN_THE_QUEUE);
        }
        if client.bare_newline == Some(BareNewline::Lenient) && !client.network.addr().is_loopback()
        {
            self.refuse(
                &key("bare_newline"),
                "\"lenient\" lets other hosts smuggle messages and is for loopback addresses only; write \
                 \"normalize\"",
            );
        }
    }

    /// `key` names an account; whether it is there.
    fn existing_account(&mut self, key: &str, account: Option<&str>) {
        let Some(account) = account else { return };
        let accounts = &self.settings.accounts;
        // One that has problems of its own does exist.
        let section = format!("account.{account}.");
        let mut problems = self.report.problems.iter();
        if accounts.contains_key(account) || problems.any(|p| p.key.starts_with(&section)) {
            return;
        }
        let names: Vec<&str> = accounts.keys().map(String::as_str).collect();
        let text = format!(
            "there is no [account.{account}]; the accounts are: {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        );
        self.refuse(key, text);
    }

    fn admin(&mut self) {
        let settings: &'a Settings = self.settings;
        let admin = &settings.admin;
        if let Some(address) = admin.http.map(ListenAddress::Tcp) {
            let mut listeners = settings.listeners.values();
            if let Some(other) = listeners.find(|other| other.address.collides(&address)) {
                let text = format!(
                    "{address} is taken by listener.{} ({}) already; give it a port of its own, such as 2580",
                    other.name, other.address
                );
                self.refuse("admin.http", text);
            }
        }
        let socket = admin.socket.to_string_lossy();
        if socket.len() > UNIX_PATH_MAX_OCTETS {
            self.refuse("admin.socket", too_long(&socket));
        }
    }
}

/// Its agent listens nowhere else.
const AZURE_ARC_PORT: u16 = 40_342;

/// Exchange Online counts per mailbox, whatever the case it is written in.
const LARGER_THAN_THE_QUEUE: &str =
    "is larger than queue.max_bytes, so the largest message could never be taken; lower it";

/// What the platform of a workload sets (facts D.9).
const NO_FEDERATED_TOKEN: &str = "is missing, and AZURE_FEDERATED_TOKEN_FILE is not set; write the path of the token \
     file (in Kubernetes the pod needs the label azure.workload.identity/use: \"true\"; AZURE_CLIENT_ID and \
     AZURE_TENANT_ID there tell client_id and tenant_id)";

/// The one problem of several lines, to be copied.
const NO_ACCOUNT: &str = "there is none, so no mail could be sent; add these five lines:
  [account.default]
  mailbox = \"relay@contoso.com\"
  tenant_id = \"YOUR-TENANT-ID\"
  client_id = \"YOUR-APPLICATION-ID\"
  client_secret = { file = \"/etc/exorelay/secret\" }";
