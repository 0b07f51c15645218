//! The questions, in their order: a state machine that neither reads nor writes anything but certificates.

use std::fmt::Write as _;

use super::answers::{Answers, Present, Reach, SecretAnswer};
use super::certificate;
use super::question::{Question, Replies, SecretReply, ask, judge};
use super::steps;
use super::way::Way;
use crate::cli::error::CliError;
use crate::config::is_guid;
use crate::oauth::{Cloud, is_shared_tenant};

/// Asks everything that the chosen way needs; `present` holds the defaults.
pub(super) fn hold(replies: &mut impl Replies, present: &Present) -> Result<Answers, CliError> {
    let mut answers = present.answers.clone();
    answers.way = way(replies, present.answers.way)?;
    replies.say(steps::before_the_ids(answers.way))?;
    if answers.way != Way::Google {
        answers.cloud = cloud(replies, present.answers.cloud)?;
    }
    if !matches!(answers.way, Way::Google | Way::ManagedIdentity) {
        answers.tenant_id = tenant(replies, answers.way, &present.answers.tenant_id)?;
    }
    answers.client_id = client_id(replies, &answers, &present.answers.client_id)?;
    credential(replies, &mut answers, present)?;
    answers.mailbox = ask(
        replies,
        &Question {
            key: "mailbox",
            prompt: "Mailbox to send as",
            default: given(&present.answers.mailbox),
        },
        |text| {
            judge(
                "account.default.mailbox",
                "account.default.mailbox",
                text,
                &[],
            )
            .map(|()| text.to_owned())
        },
    )?;
    answers.reach = match (&present.listeners_untouched, &present.answers.reach) {
        (None, Some(reach)) => Some(who_may_connect(replies, reach)?),
        (why, _) => {
            if let Some(why) = why {
                replies.say(&format!("{why}: listeners stay as they are.\n"))?;
            }
            None
        }
    };
    answers.bounce_to = ask(
        replies,
        &Question {
            key: "bounce.to",
            prompt: "Who hears of mail that failed: sender, none, or an address",
            default: Some(&present.answers.bounce_to),
        },
        |text| judge("bounce.to", "bounce.to", text, &[]).map(|()| text.to_owned()),
    )?;
    replies.finish()?;
    Ok(answers)
}

fn way(replies: &mut impl Replies, present: Way) -> Result<Way, CliError> {
    let mut menu = "How is a token obtained?\n".to_owned();
    for (number, way) in (1..).zip(Way::ALL) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(menu, "  {number}  {}", way.title());
    }
    replies.say(&menu)?;
    let question = Question {
        key: "way",
        prompt: "Way",
        default: Some(present.word()),
    };
    ask(replies, &question, Way::parse)
}

fn cloud(replies: &mut impl Replies, present: Cloud) -> Result<Cloud, CliError> {
    let names = Cloud::ALL.map(Cloud::name).join(", ");
    let question = Question {
        key: "cloud",
        prompt: &format!("Microsoft's cloud: {names}"),
        default: Some(present.name()),
    };
    ask(replies, &question, |text| {
        let cloud = Cloud::ALL.into_iter().find(|cloud| cloud.name() == text);
        cloud.ok_or_else(|| format!("is none of {names}"))
    })
}

fn tenant(replies: &mut impl Replies, way: Way, present: &str) -> Result<String, CliError> {
    let question = Question {
        key: "tenant_id",
        prompt: "Directory (tenant) ID, or the tenant's domain",
        default: given(present),
    };
    ask(replies, &question, |text| {
        let key = "account.default.tenant_id";
        let access = way.access().as_str();
        judge(key, key, text, &[("account.default.access", access)])?;
        if is_guid(text) || text.contains('.') || is_shared_tenant(text) {
            return Ok(text.to_owned());
        }
        // One label passes for a domain in the settings, and Entra answers AADSTS900023.
        Err("is neither a GUID nor a domain such as contoso.com".to_owned())
    })
}

fn client_id(
    replies: &mut impl Replies,
    answers: &Answers,
    present: &str,
) -> Result<String, CliError> {
    let (prompt, default) = match answers.way {
        Way::ManagedIdentity => (
            "Client ID of the user-assigned identity; - for the machine's own",
            given(present).or(Some("-")),
        ),
        Way::Google => (
            "Client ID, as in NUMBER-NAME.apps.googleusercontent.com",
            given(present),
        ),
        _ => ("Application (client) ID", given(present)),
    };
    let question = Question {
        key: "client_id",
        prompt,
        default,
    };
    ask(replies, &question, |text| match answers.way {
        Way::ManagedIdentity if text == "-" => Ok(String::new()),
        Way::Google if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Err("has a space in it; copy the client ID only".to_owned())
        }
        Way::Google => Ok(text.to_owned()),
        _ if !is_guid(text) => Err(
            "is not a GUID; copy the Application (client) ID from the app's Overview".to_owned(),
        ),
        _ if text.eq_ignore_ascii_case(&answers.tenant_id) => Err(
            "is the tenant's id once more; copy the Application (client) ID beside it".to_owned(),
        ),
        _ => Ok(text.to_owned()),
    })
}

/// What the application proves itself with; what does not belong to the way is taken away.
fn credential(
    replies: &mut impl Replies,
    answers: &mut Answers,
    present: &Present,
) -> Result<(), CliError> {
    let before = &present.answers;
    let [certificate, certificate_key, token_file, expires] = [
        &mut answers.certificate,
        &mut answers.certificate_key,
        &mut answers.federated_token_file,
        &mut answers.credential_expires,
    ]
    .map(std::mem::take);
    answers.secret = match answers.way {
        Way::Certificate | Way::ManagedIdentity | Way::WorkloadIdentity => SecretAnswer::None,
        way => secret(replies, way, &before.secret)?,
    };
    match answers.way {
        Way::Secret => {
            // The date belongs to the secret: a new one has a new date.
            let kept = matches!(answers.secret, SecretAnswer::Keep);
            let default = if kept { expires.as_str() } else { "" };
            answers.credential_expires = day(replies, default)?;
        }
        Way::Certificate => {
            (answers.certificate, answers.certificate_key) =
                certificate::ask(replies, &certificate, &certificate_key)?;
        }
        Way::WorkloadIdentity => {
            let question = Question {
                key: "oauth.federated_token_file",
                prompt: "File with the token; - for the one in AZURE_FEDERATED_TOKEN_FILE",
                default: given(&token_file).or(Some("-")),
            };
            answers.federated_token_file = ask(replies, &question, |text| match text {
                "-" => Ok(String::new()),
                path if path.starts_with('/') => Ok(path.to_owned()),
                _ => Err("is not an absolute path; begin it with /".to_owned()),
            })?;
        }
        Way::Browser | Way::Device | Way::Google | Way::ManagedIdentity => {}
    }
    Ok(())
}

fn secret(
    replies: &mut impl Replies,
    way: Way,
    present: &SecretAnswer,
) -> Result<SecretAnswer, CliError> {
    let is_optional = matches!(way, Way::Browser | Way::Device);
    let is_there = matches!(present, SecretAnswer::Keep);
    let question = Question {
        key: "client_secret",
        prompt: match way {
            Way::Google => "Client secret (not shown)",
            _ if is_optional => {
                "The secret's Value, if the app is registered as Web; - for none (not shown)"
            }
            _ => "The secret's Value (not shown)",
        },
        default: match (is_there, is_optional) {
            (true, _) => Some("keep the present one"),
            (false, true) => Some("none"),
            (false, false) => None,
        },
    };
    loop {
        let secret = match replies.secret(&question)? {
            SecretReply::Default if is_there => return Ok(SecretAnswer::Keep),
            SecretReply::Default if is_optional => return Ok(SecretAnswer::None),
            SecretReply::Default => {
                replies.refuse(&question, "is needed")?;
                continue;
            }
            SecretReply::Place(kind, name) => return Ok(SecretAnswer::Place { kind, name }),
            SecretReply::Text(secret) if is_optional && secret.reveal() == "-" => {
                return Ok(SecretAnswer::None);
            }
            SecretReply::Text(secret) => secret,
        };
        if secret.reveal().chars().any(char::is_control) {
            replies.refuse(
                &question,
                "has a line end or a tab in it; copy the Value only",
            )?;
            continue;
        }
        // AADSTS7000215 is nearly always this.
        if is_guid(secret.reveal())
            && !replies.doubt(
                &question,
                "looks like the Secret ID; what is needed is the Value beside it, shown once when it is made",
            )?
        {
            continue;
        }
        return Ok(SecretAnswer::New(secret));
    }
}

fn day(replies: &mut impl Replies, present: &str) -> Result<String, CliError> {
    let question = Question {
        key: "credential_expires",
        prompt: "Day on which it expires, such as 2027-05-01; - when not known",
        default: given(present).or(Some("-")),
    };
    ask(replies, &question, |text| {
        if text == "-" {
            return Ok(String::new());
        }
        let key = "account.default.credential_expires";
        judge(key, key, text, &[]).map(|()| text.to_owned())
    })
}

fn who_may_connect(replies: &mut impl Replies, present: &Reach) -> Result<Reach, CliError> {
    let networks = present.networks.join(", ");
    let question = Question {
        key: "listener.allow",
        prompt: "Who may connect: local (this machine only), or networks such as 10.20.1.0/24",
        default: Some(if networks.is_empty() {
            LOCAL
        } else {
            &networks
        }),
    };
    let networks = ask(replies, &question, |text| {
        if text == LOCAL {
            return Ok(Vec::new());
        }
        let key = "listener.local.allow";
        let everywhere = ("listener.local.address", "0.0.0.0:2525");
        judge("listener.local", key, text, &[everywhere])?;
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Ok(items.map(str::to_owned).collect())
    })?;
    let address = address_for(&networks, present);
    let question = Question {
        key: "listener.address",
        prompt: "Address and port to listen on",
        default: Some(&address),
    };
    let allow = with_loopback(&networks).join(", ");
    let address = ask(replies, &question, |text| {
        let key = "listener.local.address";
        let mut beside = vec![("listener.local.allow", allow.as_str())];
        if networks.is_empty() {
            // An explicit list would make any address legal.
            beside.clear();
        }
        judge("listener.local", key, text, &beside).map(|()| text.to_owned())
    })?;
    Ok(Reach { address, networks })
}

/// The present address where it fits, else its port on the address that does.
fn address_for(networks: &[String], present: &Reach) -> String {
    if present.is_local() == networks.is_empty() {
        return present.address.clone();
    }
    let port = present
        .address
        .rsplit_once(':')
        .map_or("2525", |(_, port)| port);
    if networks.is_empty() {
        format!("127.0.0.1:{port}")
    } else {
        format!("0.0.0.0:{port}")
    }
}

/// Applications on this machine may connect too.
pub(super) fn with_loopback(networks: &[String]) -> Vec<String> {
    let loopback = LOOPBACK.map(str::to_owned).into_iter();
    loopback.chain(networks.iter().cloned()).collect()
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The answer for "this machine only".
const LOCAL: &str = "local";
/// The settings' own default for `allow`.
pub(super) const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
