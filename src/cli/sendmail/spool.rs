//! A message into the queue itself, when no daemon takes it: it is sent after the next start.

use super::message::Message;
use crate::cli::error::{CliError, Exit};
use crate::cli::queue::Hands;
use crate::config::Settings;
use crate::listener::Sender;
use crate::mail::{Envelope, Recipient};
use crate::queue::{ImportRecipient, ImportRequest};

/// Puts it into the queue of `settings`, once for each of `requests`. Fails with [`Exit::TryAgain`] while
/// somebody else has the queue.
pub(super) async fn spool(
    settings: &Settings,
    requests: Vec<ImportRequest>,
    message: &Message,
) -> Result<(), CliError> {
    let hands = Hands::find(settings).await?;
    let mut done = Ok(());
    for request in requests {
        done = hand_over(&hands, request, message).await;
        if done.is_err() {
            break;
        }
    }
    hands.close().await?;
    done
}

async fn hand_over(
    hands: &Hands,
    request: ImportRequest,
    message: &Message,
) -> Result<(), CliError> {
    let content = message.content().map_err(|error| {
        let line = format!("cannot read the message again: {error}");
        CliError::new(Exit::InputOutput, line)
    })?;
    hands
        .import(request, message.size_bytes(), content)
        .await
        .map(|_id| ())
}

/// As if a listener had taken the message: with its account, for each way that its recipients go.
pub(super) fn requests(
    settings: &Settings,
    envelope: &Envelope,
    machine: &str,
) -> Result<Vec<ImportRequest>, CliError> {
    let routing = settings.routing_part();
    let reverse_path = envelope.reverse_path().to_string();
    let names: Vec<&String> = settings.listeners.keys().collect();
    // The listener that is there for local mail, by its usual name; else any.
    let local = names.iter().find(|name| name.as_str() == "local");
    let listener = local
        .or_else(|| names.first())
        .map_or("", |name| name.as_str());
    let sender = Sender {
        listener,
        client: None,
        reverse_path: &reverse_path,
    };
    let mut requests: Vec<ImportRequest> = Vec::new();
    for recipient in envelope.recipients() {
        let Some(account) = routing.key(sender, recipient.forward_path.as_str()) else {
            let line = format!(
                "no account takes mail from <{reverse_path}> to <{}>: no [[route]] matches and no account is the \
                 default",
                recipient.forward_path
            );
            return Err(CliError::new(Exit::NotPermitted, line));
        };
        let found = requests
            .iter_mut()
            .find(|request| request.account == account);
        if let Some(request) = found {
            request.recipients.push(imported(recipient));
            continue;
        }
        requests.push(ImportRequest {
            reverse_path: reverse_path.clone(),
            recipients: vec![imported(recipient)],
            account: account.to_owned(),
            smtputf8: false,
            ret: envelope.ret().map(|ret| ret.to_string()),
            envelope_id: envelope.envelope_id().map(ToString::to_string),
            held: false,
            last_reply: None,
            listener: listener.to_owned(),
            client: format!("uid:{}", rustix::process::getuid().as_raw()),
            helo: machine.to_owned(),
            tls: None,
            auth_name: None,
            mailbox: routing.mailbox(account).unwrap_or_default().to_owned(),
            hostname: settings.hostname.clone(),
            detail: Some("by sendmail, without the daemon".to_owned()),
        });
    }
    Ok(requests)
}

fn imported(recipient: &Recipient) -> ImportRecipient {
    ImportRecipient {
        address: recipient.forward_path.to_string(),
        notify: recipient.notify.map(|notify| notify.to_string()),
        original_recipient: None,
    }
}
