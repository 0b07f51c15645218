//! Devices that have a section of their own: others are strangers, and there is no end to them.

use super::page::Page;
use crate::admin::clients::ClientStatus;

pub(super) fn show(page: &mut Page, clients: &[ClientStatus]) {
    let mut family = page.gauge(
        "exorelay_client_last_message_timestamp_seconds",
        "When a message of the [client.NAME] was last accepted, in seconds since 1970.",
    );
    for client in clients {
        if let Some(at) = client.last_message_at {
            let seconds = at.as_second().max(0) as u64;
            family.sample(&[("client", &client.name)], seconds);
        }
    }
    let mut family = page.gauge(
        "exorelay_client_quiet_seconds",
        "For how long nothing has come from the [client.NAME] while mail could be taken in; only with silent_after.",
    );
    for client in clients {
        if let Some(seconds) = client.quiet_seconds {
            family.sample(&[("client", &client.name)], seconds);
        }
    }
    let mut family = page.gauge(
        "exorelay_client_silent",
        "Whether that is longer than silent_after.",
    );
    for client in clients
        .iter()
        .filter(|client| client.silent_after_seconds.is_some())
    {
        family.sample(&[("client", &client.name)], client.silent);
    }
}
