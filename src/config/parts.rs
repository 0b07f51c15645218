//! The settings of each part, made from the whole: below this room nobody sees [`Settings`].

use crate::config::{
    Account, BareNewline, ListenAddress, Listener, LogFormat, Settings, UpstreamTls,
};
use crate::{alert, delivery, listener, oauth, queue, smtp, telemetry};

/// Settings that are consistent, and still cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// No account can be told for what comes in.
    #[error(
        "listener.{listener}.account: with several accounts, name the one that sends this listener's mail, or call one of them \"default\""
    )]
    NoAccount {
        /// The listener's name.
        listener: String,
    },
    /// A kind of address that a listener cannot be opened on.
    #[error("listener.{listener}.address: only ADDRESS:PORT is supported by this version yet")]
    Address {
        /// The listener's name.
        listener: String,
    },
    /// The token endpoint.
    #[error("account.{account}.oauth.token_url: {source}")]
    TokenUrl {
        /// The account's name.
        account: String,
        /// What is wrong with it.
        source: oauth::EndpointUrlError,
    },
}

impl Settings {
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

    /// For [`listener::Listener::bind`], one for each listener.
    pub fn listener_parts(&self) -> Result<Vec<listener::Settings>, PartError> {
        self.listeners
            .values()
            .map(|section| self.listener_part(section))
            .collect()
    }

    fn listener_part(&self, section: &Listener) -> Result<listener::Settings, PartError> {
        let listener = || section.name.clone();
        let ListenAddress::Tcp(address) = section.address else {
            return Err(PartError::Address {
                listener: listener(),
            });
        };
        let account = match &section.account {
            Some(pinned) => self.accounts.get(pinned),
            None => self.default_account(),
        };
        let account = account.ok_or_else(|| PartError::NoAccount {
            listener: listener(),
        })?;
        Ok(listener::Settings {
            name: section.name.clone(),
            address,
            allow: section.allow.clone(),
            hostname: self.hostname.clone(),
            account: account.name.clone(),
            mailbox: account.mailbox.to_string(),
            bare_newline: match section.bare_newline {
                BareNewline::Normalize => smtp::BareNewline::Normalize,
                BareNewline::Reject => smtp::BareNewline::Reject,
                BareNewline::Lenient => smtp::BareNewline::Lenient,
            },
            limits: listener::Limits {
                connections_max: section.max_connections as usize,
                connections_per_client_max: section.max_connections_per_client as usize,
                message_size_max_bytes: section.max_message_size_bytes,
                recipients_max: section.max_recipients as usize,
                errors_max: section.max_errors,
            },
            timeouts: listener::Timeouts {
                command: section.command_timeout,
                data: section.data_timeout,
                session: section.session_timeout,
            },
        })
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
            timeouts: delivery::Timeouts {
                connect: timeouts.connect,
                tls: timeouts.tls,
                greeting: timeouts.greeting,
                command: timeouts.command,
                data: timeouts.data,
                body: timeouts.body,
                end_of_data: timeouts.end_of_data,
            },
        }
    }
}

impl Account {
    /// For [`oauth::TokenSource::new`].
    pub fn oauth_part(&self) -> Result<oauth::Settings, PartError> {
        let token_url = self.oauth.token_url.as_str().parse();
        Ok(oauth::Settings {
            token_url: token_url.map_err(|source| PartError::TokenUrl {
                account: self.name.clone(),
                source,
            })?,
            client_id: self.client_id.clone(),
            client_secrets: self.client_secrets.clone(),
            scope: self.oauth.scope.clone(),
            timeout: self.oauth.timeout,
            ca_file: self.oauth.ca_file.clone(),
        })
    }
}

impl crate::config::Log {
    /// For [`telemetry::init`].
    pub fn telemetry_part(&self) -> (telemetry::Filter, telemetry::Format) {
        let format = match self.format {
            LogFormat::Json => telemetry::Format::Json,
            LogFormat::Text | LogFormat::Journald => telemetry::Format::Text,
        };
        (telemetry::Filter::parse(&self.level), format)
    }
}
