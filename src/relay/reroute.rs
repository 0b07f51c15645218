//! Queued mail follows the routes: each attempt is made by the settings of its moment.

use std::sync::Arc;

use crate::admin::one_line;
use crate::listener::{Routing, Sender};
use crate::queue::{Facts, Filter, Queue, Selection, StorageError};

/// Sends all that waits the way that `routing` tells, unless that was done before and nothing has changed.
/// A failure is told in the log; the next call tries again.
///
/// # Cancel safety
/// What was moved stays moved, and the next call goes on with the rest.
pub(super) async fn follow(queue: &Queue, routing: &Arc<Routing>) {
    let mark = routing.mark();
    let asked = queue.clone();
    let known = tokio::task::spawn_blocking(move || asked.routes_mark()).await;
    let known = known.unwrap_or(Err(StorageError::Closed));
    if matches!(known, Ok(known) if known == Some(mark)) {
        return;
    }
    let moved = match known {
        Ok(_) => follow_all(queue, routing, Selection::All, Some(mark)).await,
        Err(error) => Err(error),
    };
    tell(moved);
}

/// Sends the mail of accounts that are gone the way that `routing` tells, where it tells one; how much.
pub(super) async fn rescue(queue: &Queue, routing: &Arc<Routing>, accounts: Vec<String>) -> u64 {
    let mut sum = 0;
    for account in accounts {
        let filter = Filter {
            account: Some(account),
            ..Filter::default()
        };
        sum += tell(follow_all(queue, routing, Selection::Filter(filter), None).await);
    }
    sum
}

async fn follow_all(
    queue: &Queue,
    routing: &Arc<Routing>,
    selection: Selection,
    mark: Option<i64>,
) -> Result<u64, StorageError> {
    let (asked, routing) = (queue.clone(), Arc::clone(routing));
    let begun = tokio::task::spawn_blocking(move || {
        let way = move |facts: &Facts| way(&routing, facts).map(str::to_owned);
        asked.reroute(&selection, Arc::new(way), mark)
    });
    let mut reroute = begun.await.unwrap_or(Err(StorageError::Closed))?;
    while reroute.step().await? {}
    Ok(reroute.moved())
}

fn tell(moved: Result<u64, StorageError>) -> u64 {
    match moved {
        Ok(0) => {}
        Ok(messages) => tracing::info!(messages, "queued messages follow the changed routes"),
        Err(ref error) => {
            let error = one_line(error);
            tracing::warn!(
                error,
                "queued messages cannot follow the changed routes for now"
            );
        }
    }
    moved.unwrap_or(0)
}

/// None: it stays where it is.
fn way<'r>(routing: &'r Routing, facts: &Facts) -> Option<&'r str> {
    // An operator has said who sends it.
    if facts.imported && routing.serves(&facts.account) {
        return None;
    }
    let sender = Sender {
        listener: &facts.listener,
        client: facts.client.parse().ok(),
        reverse_path: &facts.reverse_path,
    };
    let mut first = None;
    for recipient in &facts.recipients {
        let key = routing.key(sender, recipient);
        // What was one message stays one: any of its ways will do, and the one that it is on is the best.
        if key == Some(facts.account.as_str()) {
            return None;
        }
        first = first.or(key);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Pattern, Route, Table};

    fn routing() -> Routing {
        let route = |domain: &str, key: &str| Route {
            sender: None,
            client: None,
            listener: None,
            recipient: Some(Pattern::Domain(domain.into())),
            key: key.into(),
        };
        Routing::new(Table {
            listeners: [("local".into(), None)].into(),
            routes: vec![route("a.example", "a"), route("b.example", "b")],
            mailboxes: ["a", "b", "c"].map(|one| (one.into(), one.into())).into(),
            ..Table::default()
        })
    }

    fn facts(account: &str, recipients: &[&str]) -> Facts {
        Facts {
            account: account.into(),
            listener: "local".into(),
            client: "127.0.0.1".into(),
            recipients: recipients.iter().map(ToString::to_string).collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn a_message_of_several_ways_stays_on_one_of_them() {
        let routing = routing();
        let both = ["x@a.example", "x@b.example"];
        for (account, recipients, to) in [
            ("c", &both[..1], Some("a")),
            ("c", &both[1..], Some("b")),
            ("c", &both[..], Some("a")),
            ("a", &both[..], None),
            ("b", &both[..], None),
            ("c", &["x@c.example"], None),
            ("c", &["x@c.example", "x@b.example"], Some("b")),
            ("c", &[], None),
        ] {
            assert_eq!(
                way(&routing, &facts(account, recipients)),
                to,
                "{recipients:?}"
            );
        }
    }

    #[test]
    fn what_an_operator_brought_stays_with_its_account_while_that_is_there() {
        let routing = routing();
        let of = |account| Facts {
            imported: true,
            ..facts(account, &["x@a.example"])
        };
        assert_eq!(way(&routing, &of("c")), None);
        assert_eq!(way(&routing, &of("gone")), Some("a"));
    }
}
