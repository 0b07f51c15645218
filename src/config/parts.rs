//! The settings of each part, made from the whole: below this room nobody sees [`Settings`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::{
    Account, AddressPattern, BareNewline, BounceTo, Client, ListenAddress, Listener, ListenerAuth,
    ListenerTls, LogFormat, Route, SenderPolicy, Settings, UpstreamTls, shown_network,
};
use crate::mail::rewrite::Signature;
use crate::{alert, delivery, listener, queue, smtp, telemetry};

impl Settings {
    /// For [`queue::Queue::set_sections`].
    pub fn section_parts(&self) -> Vec<queue::Section> {
        let clients = self.clients.values();
        clients.map(Client::section_part).collect()
    }

    /// For [`queue::Queue::open`].
    pub fn queue_part(&self) -> queue::Settings {
        let section = &self.queue;
        queue::Settings {
            directory: section.directory.clone(),
            limits: queue::Limits {
                messages_max: u64::from(section.max_messages),
                bytes_max: section.max_bytes,
                disk_free_min_bytes: section.min_free_disk_bytes,
            },
            backoff: queue::Backoff {
                initial: section.retry_initial,
                factor: section.retry_factor,
                max: section.retry_max,
            },
            expire_after: section.expire_after,
            retention: queue::Retention {
                delivered: section.keep_delivered,
                failed: section.keep_failed,
            },
            record_subject: section.record_subject,
        }
    }

    /// For all listeners together, and for what they have taken in.
    pub fn routing_part(&self) -> listener::Routing {
        let listeners = self.listeners.values();
        let accounts = self.accounts.values();
        listener::Routing::new(listener::Table {
            clients: self.clients.values().map(Client::part).collect(),
            listeners: listeners
                .map(|section| (section.name.clone(), section.account.clone()))
                .collect(),
            routes: self.routes.iter().map(Route::part).collect(),
            default: self.default_account().map(|account| account.name.clone()),
            mailboxes: accounts
                .map(|account| (account.name.clone(), account.mailbox.to_string()))
                .collect(),
        })
    }

    /// For [`listener::Listener::bind`], one for each listener. `hours` outlives them.
    pub fn listener_parts(
        &self,
        routing: &Arc<listener::Routing>,
        hours: &Arc<listener::Hours>,
    ) -> Vec<listener::Settings> {
        let sections = self.listeners.values();
        sections
            .map(|section| {
                let (routing, hours) = (Arc::clone(routing), Arc::clone(hours));
                self.listener_part(section, routing, hours)
            })
            .collect()
    }

    /// Whether any mail that comes in through it finds an account.
    pub(super) fn has_a_way(&self, section: &Listener) -> bool {
        let mut routes = self.routes.iter();
        section.account.is_some()
            || self.default_account().is_some()
            || self.clients.values().any(|client| client.account.is_some())
            || routes.any(|route| {
                let listener = route.listener.as_ref();
                listener.is_none_or(|listener| *listener == section.name)
            })
    }

    fn listener_part(
        &self,
        section: &Listener,
        routing: Arc<listener::Routing>,
        hours: Arc<listener::Hours>,
    ) -> listener::Settings {
        let address = match &section.address {
            ListenAddress::Tcp(address) => listener::Address::Tcp(*address),
            ListenAddress::Unix(path) => listener::Address::Unix {
                path: path.clone(),
                mode: section.socket_mode,
            },
            ListenAddress::Systemd(name) => listener::Address::Systemd(name.clone()),
        };
        listener::Settings {
            name: section.name.clone(),
            address,
            allow: section.allow.clone(),
            hostname: self.hostname.clone(),
            routing,
            hours,
            allow_recipients: section
                .allow_recipients
                .iter()
                .map(AddressPattern::part)
                .collect(),
            login: section.login(),
            encryption: section.encryption(),
            bare_newline: section.bare_newline.part(),
            limits: listener::Limits {
                connections_max: section.max_connections as usize,
                connections_per_client_max: section.max_connections_per_client as usize,
                connections_per_client_per_minute: section.connections_per_client_per_minute,
                message_size_max_bytes: section.max_message_size_bytes,
                recipients_max: section.max_recipients as usize,
                errors_max: section.max_errors,
            },
            timeouts: listener::Timeouts {
                command: section.command_timeout,
                data: section.data_timeout,
                session: section.session_timeout,
            },
        }
    }

    /// For [`delivery::Notices::new`]. `statuses` tell of each account how it does; one without is not
    /// at work, and nobody is told of its mail.
    pub fn notice_part(
        &self,
        statuses: &BTreeMap<String, watch::Receiver<delivery::Status>>,
        explain: delivery::Explain,
    ) -> delivery::NoticeSettings {
        let accounts = self.accounts.values().filter_map(|account| {
            let at_work = delivery::NoticeAccount {
                mailbox: account.mailbox.clone(),
                status: statuses.get(&account.name)?.clone(),
            };
            Some((account.name.clone(), at_work))
        });
        delivery::NoticeSettings {
            to: match &self.bounce.to {
                BounceTo::Sender => delivery::Destination::Sender,
                BounceTo::Mailbox(mailbox) => delivery::Destination::Mailbox(mailbox.clone()),
                BounceTo::None => delivery::Destination::Nobody,
            },
            delay_warning: self.bounce.delay_warning,
            hostname: self.hostname.clone(),
            explain,
            accounts: accounts.collect(),
        }
    }

    /// For [`alert::Hooks::new`].
    pub fn alert_part(&self) -> alert::Settings {
        alert::Settings {
            hostname: self.hostname.clone(),
            command: self.alert.command.clone(),
            webhook: self.alert.webhook.clone(),
        }
    }

    /// For [`delivery::Dispatcher::new`].
    pub fn delivery_part(&self, account: &Account) -> delivery::Settings {
        let upstream = &account.smtp;
        let timeouts = upstream.timeouts;
        delivery::Settings {
            account: account.name.clone(),
            mailbox: account.mailbox.to_string(),
            host: upstream.host.clone(),
            proxy: upstream.proxy.clone(),
            port: upstream.port,
            tls: match upstream.tls {
                UpstreamTls::Starttls => smtp::Tls::StartTls,
                UpstreamTls::Implicit => smtp::Tls::Implicit,
                UpstreamTls::None => smtp::Tls::None,
            },
            ehlo_name: self.hostname.clone(),
            connections_max: upstream.connections as usize,
            messages_per_minute: upstream.messages_per_minute,
            recipients_per_message_max: upstream.recipients_per_message as usize,
            recipients_per_day: upstream.recipients_per_day,
            timeouts: delivery::Timeouts {
                connect: timeouts.connect,
                tls: timeouts.tls,
                greeting: timeouts.greeting,
                command: timeouts.command,
                data: timeouts.data,
                body: timeouts.body,
                end_of_data: timeouts.end_of_data,
            },
            sender: account.sender_part(),
        }
    }
}

impl Client {
    fn section_part(&self) -> queue::Section {
        queue::Section {
            name: self.name.clone(),
            network: shown_network(self.network),
            silent_after: self.silent_after,
        }
    }

    fn part(&self) -> listener::Client {
        listener::Client {
            name: self.name.clone(),
            network: self.network,
            sender: self.sender.clone(),
            reply_to: self.reply_to.clone(),
            account: self.account.clone(),
            bare_newline: self.bare_newline.map(BareNewline::part),
            message_size_max_bytes: self.max_message_size_bytes,
            messages_per_hour: self.messages_per_hour,
        }
    }
}

impl Route {
    fn part(&self) -> listener::Route {
        listener::Route {
            sender: self.sender.as_ref().map(AddressPattern::part),
            client: self.client,
            listener: self.listener.clone(),
            recipient: self.recipient.as_ref().map(AddressPattern::part),
            key: queue::pool_key(&self.accounts),
        }
    }
}

impl AddressPattern {
    fn part(&self) -> listener::Pattern {
        match self {
            Self::Domain(domain) => listener::Pattern::Domain(domain.clone()),
            Self::Mailbox(mailbox) => listener::Pattern::Mailbox(mailbox.clone()),
        }
    }
}

impl BareNewline {
    fn part(self) -> smtp::BareNewline {
        match self {
            Self::Normalize => smtp::BareNewline::Normalize,
            Self::Reject => smtp::BareNewline::Reject,
            Self::Lenient => smtp::BareNewline::Lenient,
        }
    }
}

impl Account {
    fn sender_part(&self) -> delivery::SenderPolicy {
        let section = &self.sender;
        delivery::SenderPolicy {
            mailbox: self.mailbox.clone(),
            rewrites: match section.policy {
                SenderPolicy::Keep => delivery::Rewrites::Never,
                SenderPolicy::Mailbox => delivery::Rewrites::Always,
                SenderPolicy::Auto => delivery::Rewrites::WhenDenied,
            },
            display_name: Some(section.display_name.clone()).filter(|name| !name.is_empty()),
            reply_to: section.reply_to.clone(),
            signature: Signature {
                text: section.signature_text.clone(),
                html: section.signature_html.clone(),
            },
        }
    }
}

impl Listener {
    /// The file is named whenever `auth` asks for it: that was checked.
    fn login(&self) -> Option<listener::LoginSettings> {
        if self.auth == ListenerAuth::None {
            return None;
        }
        Some(listener::LoginSettings {
            is_required: self.auth == ListenerAuth::Required,
            users: self.users.clone()?,
            in_plain_text: self.allow_plain_auth,
        })
    }

    /// Both files are there whenever `tls` asks for them: that was checked.
    pub(super) fn encryption(&self) -> Option<listener::Encryption> {
        let mode = match self.tls {
            ListenerTls::None => return None,
            ListenerTls::Optional => listener::EncryptionMode::Optional,
            ListenerTls::Required => listener::EncryptionMode::Required,
            ListenerTls::Implicit => listener::EncryptionMode::Implicit,
        };
        Some(listener::Encryption {
            mode,
            files: listener::CertificateFiles {
                certificate: self.certificate.clone()?,
                private_key: self.private_key.clone()?,
            },
        })
    }
}

impl crate::config::Log {
    /// For [`telemetry::init`].
    pub fn telemetry_part(&self) -> (telemetry::Filter, telemetry::Format) {
        let format = match self.format {
            LogFormat::Json => telemetry::Format::Json,
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Journald => telemetry::Format::Journald,
        };
        (telemetry::Filter::parse(&self.level), format)
    }
}
