//! AUTH in one session: what it costs to be wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::*;
use crate::listener::users::tests::CHEAP;
use crate::listener::{LoginSettings, Pattern};

/// Settings with the user `lobby`, whose password is `password`; the file is in `folder`.
fn with_users(folder: &TempDir, text: &str) -> Settings {
    let users = folder.path().join("users");
    std::fs::write(&users, text).unwrap();
    Settings {
        login: Some(LoginSettings {
            is_required: true,
            users,
            in_plain_text: false,
        }),
        limits: Limits {
            errors_max: 100,
            ..settings().limits
        },
        ..settings()
    }
}

fn plain(name: &str, password: &str) -> String {
    let response = STANDARD.encode(format!("\0{name}\0{password}"));
    format!("AUTH PLAIN {response}")
}

async fn start(settings: Settings) -> Bench {
    let mut bench = Bench::start_with(settings);
    assert!(bench.reply().await.starts_with("220 "));
    let offered = bench.command("EHLO x").await;
    assert!(
        offered.contains("\r\n250-AUTH PLAIN LOGIN\r\n"),
        "{offered}"
    );
    bench
}

/// The reply, and how long it took.
async fn timed(bench: &mut Bench, line: &str) -> (String, u64) {
    let begun = Instant::now();
    let reply = bench.command(line).await;
    (reply, begun.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn right_is_quick_and_wrong_is_slow_whatever_is_wrong_with_it() {
    let folder = TempDir::new().unwrap();
    let settings = with_users(&folder, &format!("lobby:{CHEAP}\n"));
    let mut bench = start(settings).await;
    assert!(
        bench
            .command("MAIL FROM:<a@b.c>")
            .await
            .starts_with("530 5.7.0 ")
    );
    for (name, password, seconds) in [
        ("lobby", "passwort", 1),
        ("nobody", "password", 2),
        ("lobby", "", 4),
    ] {
        let (reply, took) = timed(&mut bench, &plain(name, password)).await;
        assert_eq!(reply, "535 5.7.8 Authentication credentials invalid\r\n");
        assert_eq!(took, seconds, "{name}");
    }
    let (reply, took) = timed(&mut bench, &plain("lobby", "password")).await;
    assert!(
        reply.starts_with("235 2.7.0 ") && took == 0,
        "{reply} {took}"
    );
    assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
}

#[tokio::test(start_paused = true)]
async fn who_guesses_is_shut_out_for_a_while_even_with_the_right_password() {
    let folder = TempDir::new().unwrap();
    let settings = with_users(&folder, &format!("lobby:{CHEAP}\n"));
    let mut bench = start(settings).await;
    for number in 0..10 {
        let reply = bench.command(&plain("lobby", &number.to_string())).await;
        assert!(reply.starts_with("535 "), "{reply}");
    }
    let (reply, took) = timed(&mut bench, &plain("lobby", "password")).await;
    assert!(
        reply.starts_with("421 4.7.0 Too many failed logins; try again in "),
        "{reply}"
    );
    assert_eq!(took, 0);
    assert_eq!((&mut bench.session).await.unwrap().unwrap(), Ended::Closed);

    // Neither another session nor other settings change that; time does.
    let lasting = bench.settings.borrow().lasting.clone();
    for (minutes, code) in [(0, "421 4.7.0 "), (9, "421 4.7.0 "), (1, "235 2.7.0 ")] {
        advance(Duration::from_mins(minutes)).await;
        let settings = || with_users(&folder, &format!("lobby:{CHEAP}\n"));
        let mut again = start(settings()).await;
        let prepared = Prepared::read(settings()).unwrap();
        again
            .settings
            .send_replace(Current::new(prepared, lasting.clone()));
        let reply = again.command(&plain("lobby", "password")).await;
        assert!(reply.starts_with(code), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_those_of_the_moment() {
    let folder = TempDir::new().unwrap();
    let mut bench = start(with_users(&folder, &format!("lobby:{CHEAP}\n"))).await;
    let next = current(with_users(&folder, &format!("hall:{CHEAP}\n")));
    bench.settings.send_replace(next);
    assert!(
        bench
            .command(&plain("lobby", "password"))
            .await
            .starts_with("535 ")
    );
    assert!(
        bench
            .command(&plain("hall", "password"))
            .await
            .starts_with("235 ")
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_who_waits_for_an_answer() {
    let folder = TempDir::new().unwrap();
    let mut bench = start(with_users(&folder, &format!("lobby:{CHEAP}\n"))).await;
    let line = plain("lobby", "wrong") + "\r\n";
    bench.client.write_all(line.as_bytes()).await.unwrap();
    tokio::task::yield_now().await;
    bench.stop.drain.cancel();
    let begun = Instant::now();
    assert!(bench.reply().await.starts_with("421 4.3.2 "));
    assert_eq!(begun.elapsed().as_secs(), 0);
    assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Stopping);
}

#[tokio::test]
async fn a_hundred_logins_at_once_are_served() {
    let folder = TempDir::new().unwrap();
    let current = current(with_users(&folder, &format!("lobby:{CHEAP}\n")));
    let users = current.users.clone().unwrap();
    let logins = (0..100).map(|number| {
        let (users, current) = (Arc::clone(&users), Arc::clone(&current));
        tokio::spawn(async move {
            let login = crate::listener::login::Login {
                client: Peer::Local(number),
                name: "lobby",
                password: crate::secret::Secret::new("password"),
            };
            login.judge(&users, &current.lasting.attempts).await
        })
    });
    for login in logins.collect::<Vec<_>>() {
        let verdict = login.await.unwrap();
        assert_eq!(verdict, crate::listener::login::Verdict::Checked(Ok(())));
    }
}

#[test]
fn without_tls_only_this_machine_is_offered_a_login() {
    let folder = TempDir::new().unwrap();
    let mut settings = with_users(&folder, "");
    for (peer, in_plain_text, offered) in [
        (Peer::network([127, 0, 0, 1].into()), false, true),
        (Peer::network("::1".parse().unwrap()), false, true),
        (
            Peer::network("::ffff:127.0.0.1".parse().unwrap()),
            false,
            true,
        ),
        (Peer::Local(1000), false, true),
        (Peer::network([10, 0, 0, 1].into()), false, false),
        (Peer::network([10, 0, 0, 1].into()), true, true),
    ] {
        settings.login.as_mut().unwrap().in_plain_text = in_plain_text;
        let machine = current(settings.clone()).machine(peer);
        assert_eq!(
            machine.auth_in_plain_text, offered,
            "{peer} {in_plain_text}"
        );
    }
}

#[tokio::test]
async fn recipients_that_are_not_allowed_are_refused() {
    let mut bench = Bench::start_with(Settings {
        allow_recipients: vec![
            Pattern::Domain("contoso.com".into()),
            Pattern::Mailbox(crate::mail::Mailbox::parse("desk@fabrikam.com").unwrap()),
        ],
        ..settings()
    });
    assert!(bench.reply().await.starts_with("220 "));
    assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
    for (recipient, code) in [
        ("anybody@Contoso.com", "250 2.1.5"),
        ("Desk@fabrikam.com", "250 2.1.5"),
        (
            "other@fabrikam.com",
            "550 5.7.1 This relay takes no mail to <other@fabrikam.com>",
        ),
        ("x@sub.contoso.com", "550 5.7.1"),
    ] {
        let reply = bench.command(&format!("RCPT TO:<{recipient}>")).await;
        assert!(reply.starts_with(code), "{reply}");
    }
    assert!(bench.command("DATA").await.starts_with("354 "));
}
