//! From the parts there are to the next ones.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Door, Lingering, Next, NextListener, Parts};
use crate::admin;
use crate::config::Settings;
use crate::delivery::{self, NoticeSettings, Notices, NoticesHandle, Quota};
use crate::listener::Stop;
use crate::relay::account::Opened;
use crate::relay::local_mail::{LocalMail, Published};
use crate::relay::reroute;
use crate::relay::view::Shown;
use crate::telemetry;

/// How long new dispatchers wait for queued mail to follow changed routes.
const REROUTE_FIRST: Duration = Duration::from_secs(2);

impl Parts {
    /// Goes over to `next`, which cannot fail: ports first, so that mail is taken in all the while.
    ///
    /// Returns when ports that are given up are closed and no replaced dispatcher leases any more;
    /// their sessions and attempts end in their own time.
    pub(in crate::relay) async fn switch(&mut self, next: Next) {
        let shown = self.shown(&next);
        // At the start whoever began the log has decided.
        let now = self.settings.as_ref();
        if now.is_some_and(|now| now.log != next.settings.log) {
            let (filter, format) = next.settings.log.telemetry_part();
            telemetry::change(&filter, format);
        }
        self.queue.retune(&next.settings.queue_part());
        self.queue.set_sections(&next.settings.section_parts());
        self.switch_listeners(next.listeners).await;
        self.queue.set_open(true);
        // Before anything more is tried by routes that were perhaps wrong. What takes longer is done beside
        // the work.
        let moved = reroute::follow(&self.queue, &next.routing);
        let _ = timeout(REROUTE_FIRST, moved).await;
        self.switch_accounts(next.accounts).await;
        self.switch_notices(&next.settings);
        let accounts = &next.settings.accounts;
        let incidents = self.queue.incidents();
        incidents.keep_accounts(|name| accounts.contains_key(name));
        if let Some(hooks) = next.hooks {
            self.hooks.send_replace(Arc::new(hooks));
        }
        if let Some(server) = next.admin {
            self.switch_admin(server);
        }
        self.switch_http(next.http);
        self.publish(&next.settings, &shown).await;
        self.settings = Some(next.settings);
        self.view.show(shown);
    }

    /// Tells the programs of this machine where to hand in mail.
    pub(in crate::relay) async fn publish(&mut self, settings: &Settings, shown: &Shown) {
        let listeners = shown.listeners.iter();
        let addresses = listeners.map(|(name, address)| (name.as_str(), address.clone()));
        let local = LocalMail::new(settings, addresses);
        let path = LocalMail::path_beside(&settings.admin.socket);
        if self
            .published
            .as_ref()
            .is_some_and(|now| now.is(&local, &path))
        {
            return;
        }
        let written = spawn_blocking({
            let (local, path) = (local.clone(), path.clone());
            move || local.write(&path)
        });
        match written
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        {
            Ok(()) => match &mut self.published {
                Some(now) if now.is_at(&path) => now.replace(local),
                _ => self.published = Some(Published::new(local, path)),
            },
            Err(error) => tracing::warn!(
                path = %path.display(),
                %error,
                "exorelay sendmail is not told where to hand in mail, and tries its default addresses"
            ),
        }
    }

    async fn switch_listeners(&mut self, next: Vec<NextListener>) {
        let mut before = std::mem::take(&mut self.listeners);
        for listener in next {
            let (name, door) = match listener {
                NextListener::Kept(name, prepared) => {
                    // Nothing but a switch takes listeners away.
                    let Some(mut door) = before.remove(&name) else {
                        continue;
                    };
                    // Always: files may hold something else now under the same name.
                    door.settings = prepared.settings().clone();
                    door.handle.apply(prepared);
                    (door.settings.name.clone(), door)
                }
                NextListener::Bound(settings, listener) => {
                    let drain = self.stop.drain.child_token();
                    let door = Door {
                        local_address: listener.local_address(),
                        handle: listener.handle(),
                        drain: drain.clone(),
                        settings,
                    };
                    let stop = Stop {
                        drain,
                        ..self.stop.clone()
                    };
                    self.taking.spawn(listener.run(
                        self.queue.clone(),
                        stop,
                        self.sessions.clone(),
                    ));
                    (door.settings.name.clone(), door)
                }
            };
            self.listeners.insert(name, door);
        }
        for door in before.into_values() {
            door.drain.cancel();
            door.handle.closed().await;
        }
    }

    async fn switch_accounts(&mut self, next: BTreeMap<String, Option<Opened>>) {
        let mut retired = Vec::new();
        for (name, running) in std::mem::take(&mut self.accounts) {
            if matches!(next.get(&name), Some(None)) {
                running.refresh();
                self.accounts.insert(name, running);
            } else {
                retired.push(running.retire().await);
            }
        }
        for before in &retired {
            self.lingering.push(Lingering::of(before));
        }
        for (name, opened) in next {
            let Some(opened) = opened else { continue };
            let quota = opened.account().quota().clone();
            let mut before: Vec<_> = retired
                .iter()
                .filter(|before| before.quota().is(&quota))
                .collect();
            // Of several that shared the mailbox, the one of that name.
            before.sort_by_key(|before| before.name() != name);
            let before = before.first().copied();
            let stop = self.stop.drain.child_token();
            let running = opened.start(before, stop, &mut self.sending);
            self.accounts.insert(name, running);
        }
        let accounts = &self.accounts;
        let is_used = |quota: &Quota| {
            let mut quotas = accounts.values().map(|running| running.account().quota());
            quotas.any(|other| other.is(quota))
        };
        self.lingering
            .retain(|one| !is_used(&one.quota) && !one.quota.is_unused());
    }

    /// After the accounts: their mail fails, and their mailboxes write of it.
    fn switch_notices(&mut self, settings: &Settings) {
        let accounts = self.accounts.iter();
        let statuses = accounts.map(|(name, at_work)| (name.clone(), at_work.account().status()));
        let part = settings.notice_part(&statuses.collect(), delivery::meaning);
        match &self.notices {
            Some(handle) => handle.apply(part),
            None => self.notices = Some(self.start_notices(part)),
        }
    }

    fn start_notices(&mut self, settings: NoticeSettings) -> NoticesHandle {
        let (notices, handle) = Notices::new(self.queue.clone(), settings);
        let stop = self.stop.drain.child_token();
        self.sending.spawn(notices.run(stop));
        handle
    }

    fn switch_admin(&mut self, server: admin::Server) {
        let path = server.path().to_owned();
        let stop = self.answers.child_token();
        let view = Arc::clone(&self.view);
        self.answering
            .spawn(server.run(self.queue.clone(), view, stop.clone()));
        if let Some((_, before)) = self.admin.replace((path, stop)) {
            before.cancel();
        }
    }
}
