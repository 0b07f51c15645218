//! Calls for help, by a program and by a web hook, that do not need the mail that is in trouble.
//!
//! What is to be told lies in the queue's incidents, so that it outlives a restart: each hook takes from
//! there what it has not passed on yet, tries until it succeeds, and has it noted. The two know nothing
//! of each other: one that hangs holds up no other.

mod command;
mod lane;
mod notice;
mod settings;
mod webhook;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::queue::{Hook, Queue};

use lane::{Carrier, Lane};

pub use settings::{Hooks, Settings, SettingsError};

/// Passes alarms on by whatever `hooks` are there, for as long as somebody may set others. Dropping the
/// future ends a program that is under way; what it was to tell is told after the next start.
pub async fn run(queue: Queue, hooks: watch::Receiver<Arc<Hooks>>) {
    tokio::join!(
        serve(Hook::Command, &queue, hooks.clone(), |hooks| hooks
            .command
            .as_ref()),
        serve(Hook::Webhook, &queue, hooks, |hooks| hooks.webhook.as_ref()),
    );
}

async fn serve<C: Carrier>(
    hook: Hook,
    queue: &Queue,
    mut hooks: watch::Receiver<Arc<Hooks>>,
    of: impl Fn(&Hooks) -> Option<&C>,
) {
    let incidents = queue.incidents();
    let mut changes = incidents.subscribe();
    let mut lane = Lane::new(hook, queue.clone());
    loop {
        let now = Arc::clone(&hooks.borrow_and_update());
        changes.borrow_and_update();
        let next = if let Some(carrier) = of(&now) {
            lane.step(carrier, &now.hostname).await
        } else {
            incidents.nobody_listens(hook);
            None
        };
        tokio::select! {
            biased;
            others = hooks.changed() => match others {
                // What failed before may be mended.
                Ok(()) => lane = Lane::new(hook, queue.clone()),
                Err(_) => return,
            },
            () = wait_until(next) => {}
            // The sender lives as long as `incidents`.
            Ok(()) = changes.changed() => {}
        }
    }
}

async fn wait_until(next: Option<Instant>) {
    match next {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
