//! What a hook is given: docs/alerts.md is its contract.

use jiff::Timestamp;
use serde::Serialize;

use crate::oauth::aadsts;
use crate::queue::{Alarm, Incident, IncidentKind, Owed};

#[derive(Debug, Serialize)]
struct Notice<'a> {
    id: &'a str,
    event: &'a str,
    kind: &'a str,
    account: Option<&'a str>,
    client: Option<&'a str>,
    state: &'a str,
    cause: &'a str,
    rule: Option<&'a str>,
    why: Option<&'a str>,
    remedy: Option<&'a str>,
    aadsts: Option<u32>,
    link: Option<&'a str>,
    reason: &'a str,
    opened_at: String,
    recovered_at: Option<String>,
    count: u64,
    hostname: &'a str,
    queued_messages: u64,
    /// For chat services, which show nothing else.
    text: String,
}

/// One JSON object.
pub(super) fn encode(owed: &Owed, hostname: &str, queued_messages: u64) -> Vec<u8> {
    let Owed {
        incident, alarm, ..
    } = owed;
    let finding = &incident.finding;
    let number = finding.rule.as_deref().and_then(aadsts::number_of);
    let link = number.map(aadsts::link);
    let notice = Notice {
        id: incident.id.as_str(),
        event: alarm.as_str(),
        kind: finding.kind.as_str(),
        account: finding.of_account(),
        client: finding.of_client(),
        state: &finding.state,
        cause: &finding.cause,
        rule: finding.rule.as_deref(),
        why: finding.why.as_deref(),
        remedy: finding.remedy.as_deref(),
        aadsts: number,
        link: link.as_deref(),
        reason: &finding.reason,
        opened_at: second(incident.opened_at),
        recovered_at: match alarm {
            Alarm::Opened => None,
            Alarm::Recovered => incident.recovered_at.map(second),
        },
        count: incident.count,
        hostname,
        queued_messages,
        text: text(incident, *alarm, hostname, link.as_deref()),
    };
    // Strings and numbers: nothing that JSON does not have.
    serde_json::to_vec(&notice).unwrap_or_default()
}

fn second(time: Timestamp) -> String {
    let second = Timestamp::from_second(time.as_second());
    second.unwrap_or(time).to_string()
}

fn text(incident: &Incident, alarm: Alarm, hostname: &str, link: Option<&str>) -> String {
    let finding = &incident.finding;
    let what = match (finding.kind, finding.account.as_str()) {
        (_, "") => "the queue".to_owned(),
        (IncidentKind::Client, client) => format!("client {client}"),
        (IncidentKind::Credential, account) => format!("the credential of account {account}"),
        (_, account) => format!("account {account}"),
    };
    match alarm {
        Alarm::Opened => {
            let mut text = format!(
                "exorelay on {hostname}: {what}: {}: {}",
                finding.state, finding.reason
            );
            let (why, remedy) = (finding.why.as_deref(), finding.remedy.as_deref());
            for more in [why, remedy, link].into_iter().flatten() {
                text.push('\n');
                text.push_str(more);
            }
            text
        }
        Alarm::Recovered if finding.kind == IncidentKind::Credential => {
            format!("exorelay on {hostname}: {what} was replaced")
        }
        Alarm::Recovered if finding.kind == IncidentKind::Client => {
            format!("exorelay on {hostname}: {what} is not silent any more")
        }
        Alarm::Recovered => format!("exorelay on {hostname}: {what} has recovered"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::alert::lane::tests::{found, queue};
    use crate::queue::{Hook, Urgency};

    #[test]
    fn what_is_sent_has_the_keys_that_the_page_promises() {
        let page = include_str!("../../docs/alerts.md");
        let (_, example) = page.split_once("```json").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let promised: Value = serde_json::from_str(example).unwrap();

        let folder = TempDir::new().unwrap();
        let queue = queue(&folder);
        found(&queue.incidents(), "default", Urgency::Urgent);
        let owed = queue.incidents().owed(Hook::Webhook).remove(0);
        assert_eq!(owed.due_in, Duration::ZERO);
        let sent: Value = serde_json::from_slice(&encode(&owed, "relay.test", 7)).unwrap();
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&sent), keys(&promised));
        assert_eq!(sent["queued_messages"], 7);
        assert_eq!(
            sent["text"],
            "exorelay on relay.test: account default: blocked: AADSTS7000222"
        );
    }
}
