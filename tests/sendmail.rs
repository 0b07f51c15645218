//! sendmail(8), as the programs of a machine call it.

mod support;

use std::process::Command;

use exorelay::relay::LocalMail;
use rustix::process::Signal;
use support::machine::{Machine, assert_complains, assert_ended, bare, field, run, stderr, stdout};
use support::within;
use tempfile::TempDir;

const ALIASES: &str = "[sendmail]\naliases = { root = \"it@contoso.com\" }\n";

#[tokio::test]
async fn a_line_from_a_pipe_is_delivered() {
    let machine = Machine::new("").await;
    let _daemon = machine.daemon();
    machine.send(&["root@contoso.com"], "test\n").await;
    let (from, to, content) = machine.delivered(0).await;
    assert_eq!(to, ["root@contoso.com"]);
    assert!(from.ends_with("@contoso.com"), "{from}");
    assert_eq!(field(&content, "From"), [format!("<{from}>")]);
    for name in ["Date", "Message-ID", "Received"] {
        assert_eq!(field(&content, name).len(), 1, "{name} in {content}");
    }
    assert!(content.ends_with("\r\n\r\ntest\r\n"), "{content}");
}

#[tokio::test]
async fn programs_are_served_as_they_call() {
    let machine = Machine::new(ALIASES).await;
    let _daemon = machine.daemon();
    let cron = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web01> job\n\nout\n";
    let mail = "To: root\nSubject: SMART error\n\nout\n";
    let php = "To: a@contoso.com\r\nSubject: Hi\r\nFrom: Shop <shop@contoso.com>\r\n\r\nout\r\n";
    let mdadm = "From: mdadm monitoring <root>\nTo: root\nSubject: DegradedArray\n\nout\n";
    let upgrades = "Subject: done\nTo: root\nFrom: root\nAuto-Submitted: auto-generated\n\nout\n";
    let busybox = "Subject: x\n\nout\n";
    let it = "it@contoso.com";
    for (number, (arguments, input, from, to, author)) in [
        // cron of Debian, and of cronie.
        (
            &["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"][..],
            cron,
            None,
            it,
            "root@contoso.com (Cron Daemon)",
        ),
        (
            &[
                "-FCronDaemon",
                "-i",
                "-odi",
                "-oem",
                "-oi",
                "-t",
                "-f<root>",
            ],
            cron,
            Some("root@contoso.com"),
            it,
            "root@contoso.com (Cron Daemon)",
        ),
        // mail(1), which smartd calls.
        (&["-i", "--", "root"], mail, None, it, ""),
        // PHP's mail(), without and with a sender.
        (
            &["-t", "-i"],
            php,
            None,
            "a@contoso.com",
            "Shop <shop@contoso.com>",
        ),
        (
            &["-t", "-i", "-fshop@contoso.com"],
            php,
            Some("shop@contoso.com"),
            "a@contoso.com",
            "Shop <shop@contoso.com>",
        ),
        (
            &["-t"],
            mdadm,
            None,
            it,
            "mdadm monitoring <root@contoso.com>",
        ),
        (&["-oi", "-t"], upgrades, None, it, "root@contoso.com"),
        // BusyBox and others that say everything.
        (
            &["-f", "me@contoso.com", "-oi", "b@contoso.com", "-v"],
            busybox,
            Some("me@contoso.com"),
            "b@contoso.com",
            "<me@contoso.com>",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let output = machine.sendmail(arguments, input).await;
        assert_ended(&output, 0);
        assert_eq!(stderr(&output), "", "{arguments:?}");
        let (sender, recipients, content) = machine.delivered(number as u64).await;
        assert_eq!(recipients, [to], "{arguments:?}");
        if let Some(from) = from {
            assert_eq!(sender, from, "{arguments:?}");
        }
        let authors = field(&content, "From");
        assert_eq!(authors.len(), 1, "{content}");
        assert!(author.is_empty() || authors == [author], "{authors:?}");
        assert!(content.ends_with("\r\n\r\nout\r\n"), "{content}");
        if arguments.contains(&"-v") {
            let shown = stdout(&output);
            assert!(shown.contains(">>> RCPT TO:<b@contoso.com>"), "{shown}");
            assert!(shown.contains("250 2.0.0 Ok: queued as "), "{shown}");
        } else {
            assert_eq!(stdout(&output), "");
        }
    }
}

#[tokio::test]
async fn blind_recipients_get_it_and_nobody_learns_of_them() {
    let machine = Machine::new(ALIASES).await;
    let _daemon = machine.daemon();
    let input = "To: =?utf-8?Q?Doe=2C_J?= <a@contoso.com>,\n\t\"B, the second\" <b@contoso.com>\n\
                 Cc: Team: c@contoso.com (see), root;\nBCC: secret@contoso.com,\n  hidden@contoso.com\n\
                 Subject: x\nbcc : covert@contoso.com\n\nbody\n";
    machine.send(&["-ti", "extra@contoso.com"], input).await;
    let (_, to, content) = machine.delivered(0).await;
    let names = ["a", "b", "c", "covert", "extra", "hidden", "it", "secret"];
    assert_eq!(to, names.map(|name| format!("{name}@contoso.com")));
    for hidden in ["secret", "hidden", "covert", "extra", "bcc", "BCC"] {
        assert!(!content.contains(hidden), "{hidden} in {content}");
    }
    assert_eq!(
        field(&content, "Cc"),
        ["Team: c@contoso.com (see), root@contoso.com;"]
    );

    // Sent again: only to those it is sent to now. Without -t the header is not asked, and keeps its Bcc.
    let again = format!("Resent-From: x@contoso.com\nResent-Bcc: later@contoso.com\n{input}");
    machine.send(&["-t"], &again).await;
    let (_, to, content) = machine.delivered(1).await;
    assert_eq!(to, ["later@contoso.com"]);
    assert!(
        !content.contains("Resent-Bcc") && !content.contains("secret"),
        "{content}"
    );
    machine.send(&["d@contoso.com"], input).await;
    let (_, to, content) = machine.delivered(2).await;
    assert_eq!(to, ["d@contoso.com"]);
    assert!(content.contains("secret@contoso.com"), "{content}");
}

#[tokio::test]
async fn dots_end_a_message_only_where_they_may() {
    let machine = Machine::new("").await;
    let _daemon = machine.daemon();
    for (number, (option, body)) in [
        ("-oem", "one\r\n"),
        ("-i", "one\r\n.\r\n..two\r\n.three\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let input = "Subject: x\n\none\n.\n..two\n.three\n";
        machine.send(&[option, "a@contoso.com"], input).await;
        let (_, _, content) = machine.delivered(number as u64).await;
        assert!(content.ends_with(&format!("\r\n\r\n{body}")), "{content}");
    }
}

#[tokio::test]
async fn a_large_message_with_a_name_and_a_null_sender_arrives_whole() {
    let machine = Machine::new("").await;
    let _daemon = machine.daemon();
    let body = "0123456789 ümlaut\r\n".repeat(200_000);
    let name = ["-FThe Böss", "-f", "a@contoso.com", "b@contoso.com"];
    machine.send(&name, &format!("Subject: x\n\n{body}")).await;
    let (_, _, content) = machine.delivered(0).await;
    assert_eq!(
        field(&content, "From"),
        ["=?utf-8?B?VGhlIELDtnNz?= <a@contoso.com>"]
    );
    assert!(content.ends_with(&format!("\r\n\r\n{body}")));

    machine
        .send(&["-f", "<>", "b@contoso.com"], "Subject: x\n\nbody\n")
        .await;
    let (_, _, content) = machine.delivered(1).await;
    assert_eq!(field(&content, "From"), ["<relay@contoso.com>"]);
}

#[tokio::test]
async fn more_recipients_than_the_listener_takes_at_once_go_in_parts() {
    let limit = "[listener.small]\naddress = \"127.0.0.1:0\"\nmax_recipients = 2\n";
    let machine = Machine::new("").await;
    let text = std::fs::read_to_string(machine.config()).unwrap();
    let text = text.replace("[listener.local]\naddress = \"127.0.0.1:0\"\n", limit);
    std::fs::write(machine.config(), text).unwrap();
    let _daemon = machine.daemon();
    let people = ["a", "b", "c", "d", "e"].map(|name| format!("{name}@contoso.com"));
    let arguments: Vec<&str> = people.iter().map(String::as_str).collect();
    machine.send(&arguments, "Subject: x\n\nbody\n").await;
    let control = machine.sandbox.control();
    let messages = within("delivery", control.wait_for_messages(3)).await;
    let mut reached: Vec<_> = messages
        .iter()
        .flat_map(|one| one.recipients.clone())
        .collect();
    reached.sort();
    assert_eq!(reached, people);
}

#[tokio::test]
async fn users_without_the_settings_find_the_daemon() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("mail.sock");
    let machine = Machine::new(&format!(
        "{ALIASES}[listener.programs]\naddress = \"unix:{}\"\nsocket_mode = \"0666\"\n",
        socket.display()
    ))
    .await;
    let daemon = machine.daemon();
    // Where the operator says.
    for (number, server) in [
        format!("unix:{}", socket.display()),
        daemon.address.to_string(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut command = bare(&machine.program("sendmail"), &["a@contoso.com"]);
        command.env("EXORELAY_SENDMAIL_SERVER", server);
        assert_ended(&run(command, "x\n").await, 0);
        machine.delivered(number as u64).await;
    }
    // Settings that are wrong by now do not stop mail while the daemon runs.
    let text = std::fs::read_to_string(machine.config()).unwrap();
    std::fs::write(machine.config(), format!("{text}\n[nonsense]\n")).unwrap();
    let mut command = machine.command("sendmail", &["a@contoso.com"]);
    command.env("EXORELAY_SENDMAIL_SERVER", daemon.address.to_string());
    assert_ended(&run(command, "x\n").await, 0);
    machine.delivered(2).await;
    drop(daemon);
    let mut command = machine.command("sendmail", &["a@contoso.com"]);
    command.env("EXORELAY_SENDMAIL_SERVER", "unix:/nonexistent/smtp.sock");
    let output = run(command, "x\n").await;
    assert_complains(&output, 75, &["no daemon answers", "exorelay config check"]);
}

#[tokio::test]
async fn what_everybody_may_know_follows_a_reload_and_ends_with_the_daemon() {
    let machine = Machine::new("").await;
    let mut daemon = machine.daemon();
    let published = machine.queue().join("sendmail.json");
    let known = || LocalMail::read(&published).unwrap();
    assert_eq!(known().servers, [daemon.address.to_string()]);
    assert!(known().aliases.is_empty());

    let text = std::fs::read_to_string(machine.config()).unwrap();
    std::fs::write(machine.config(), format!("{text}{ALIASES}")).unwrap();
    daemon.signal(Signal::HUP);
    let told = daemon.wait_for("settings reloaded");
    assert!(told.contains("sendmail changed"), "{told}");
    assert_eq!(known().aliases["root"], "it@contoso.com");
    let shown = std::fs::read_to_string(&published).unwrap();
    assert!(!shown.contains(machine.sandbox.client_secret().reveal()));

    assert!(daemon.terminate().success());
    assert!(!published.exists());
}

#[tokio::test]
async fn smtp_is_spoken_on_standard_input() {
    let machine = Machine::new("").await;
    let daemon = machine.daemon();
    let dialogue = "EHLO me\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\n\
                    Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n";
    let output = machine.sendmail(&["-bs"], dialogue).await;
    assert_ended(&output, 0);
    let said = stdout(&output);
    assert!(said.starts_with("220 relay.test "), "{said}");
    assert!(said.contains("250 2.0.0 Ok: queued as ") && said.ends_with("221 2.0.0 Bye\r\n"));
    let (_, to, _) = machine.delivered(0).await;
    assert_eq!(to, ["b@contoso.com"]);

    assert!(daemon.terminate().success());
    let output = machine.sendmail(&["-bs"], "QUIT\r\n").await;
    assert_complains(&output, 75, &["no listener is known"]);
    assert!(
        stdout(&output).starts_with("421 4.3.2 "),
        "{}",
        stdout(&output)
    );
}

#[tokio::test]
async fn without_a_daemon_the_message_waits_in_the_queue() {
    let routes = "[account.other]\nmailbox = \"relay@contoso.com\"\ntenant_id = \"contoso.com\"\n\
                  client_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret = \"x\"\n\
                  [[route]]\nrecipient = \"*@fabrikam.com\"\naccount = \"other\"\n";
    let machine = Machine::new(&format!("{ALIASES}{routes}")).await;
    // Before the first start there is no queue.
    let output = machine.sendmail(&["root"], "x\n").await;
    assert_complains(
        &output,
        75,
        &["sendmail: no listener is known", "no queue in"],
    );
    assert!(machine.daemon().terminate().success());

    let waiting: Vec<_> = (0..4)
        .map(|_| {
            run(
                machine.command("sendmail", &["-FCron", "-i", "root"]),
                "Subject: late\n\nbody\n",
            )
        })
        .collect();
    let running: Vec<_> = waiting.into_iter().map(tokio::spawn).collect();
    for one in running {
        let output = one.await.unwrap();
        assert_ended(&output, 0);
        assert_eq!(stderr(&output), "");
    }
    machine
        .send(&["a@contoso.com", "b@fabrikam.com"], "two ways\n")
        .await;
    let listed = run(machine.command("mailq", &[]), "").await;
    assert_ended(&listed, 0);
    assert!(
        stdout(&listed).contains("6 messages"),
        "{}",
        stdout(&listed)
    );
    let rows = support::folder::rows(&machine.queue());
    assert_eq!(rows.len(), 6);

    let _daemon = machine.daemon();
    let control = machine.sandbox.control();
    let messages = within("delivery", control.wait_for_messages(5)).await;
    let late = messages
        .iter()
        .filter(|one| one.recipients == ["it@contoso.com"]);
    assert_eq!(late.count(), 4);
    let content = String::from_utf8(messages[0].content().await.unwrap()).unwrap();
    let user = field(&content, "From");
    assert!(
        user[0].starts_with("Cron <") && user[0].ends_with("@contoso.com>"),
        "{user:?}"
    );
    assert!(content.ends_with("\r\n\r\nbody\r\n"), "{content}");
}

#[tokio::test]
async fn endings_are_those_of_sysexits() {
    let limits = "max_message_size = \"2KiB\"\n[sendmail]\ndomain = \"fabrikam.com\"\n";
    let machine = Machine::new("").await;
    let text = std::fs::read_to_string(machine.config()).unwrap();
    let text = text.replace("\"127.0.0.1:0\"\n", &format!("\"127.0.0.1:0\"\n{limits}"));
    std::fs::write(machine.config(), text).unwrap();
    let daemon = machine.daemon();
    for (arguments, input, code, parts) in [
        (&[][..], "x\n", 64, &["nobody is named", "-t"][..]),
        (&["-t"], "Subject: x\n\nTo: a@b\n", 64, &["nobody is named"]),
        (&["-Z", "a@b"], "x\n", 64, &["-Z", "--help"]),
        (&["-bd"], "", 64, &["exorelay run"]),
        (&["a@b@c"], "x\n", 65, &["\"a@b@c\" is no address"]),
        (
            &["-t"],
            "To: a@contoso.com, John Doe\n\n",
            65,
            &["John Doe"],
        ),
        (&["-f", "a b", "c@d"], "x\n", 65, &["sender", "a b"]),
        (
            &["a@b"],
            &"x".repeat(3000),
            69,
            &["refused the message: 552 5.3.4"],
        ),
    ] {
        let output = machine.sendmail(arguments, input).await;
        assert_complains(&output, code, parts);
        assert!(stderr(&output).starts_with("exorelay: sendmail: "));
    }
    for (name, arguments, code, shown) in [
        ("newaliases", &[][..], 0, ""),
        ("sendmail", &["-bi"], 0, ""),
        (
            "sendmail",
            &["-bv", "root", "A <b@c>"],
            0,
            "root: goes to root@fabrikam.com\nA <b@c>: goes to b@c\n",
        ),
        ("mailq", &["-v"], 0, ""),
        ("sendmail", &["-bp"], 0, ""),
        ("sendmail", &["-q"], 0, ""),
    ] {
        let output = run(machine.command(name, arguments), "").await;
        assert_ended(&output, code);
        assert!(
            shown.is_empty() || stdout(&output) == shown,
            "{}",
            stdout(&output)
        );
    }
    let mut long = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    long.arg("--config").arg(machine.config());
    long.args(["sendmail", "-i", "-h", "5", "--", "a@contoso.com"]);
    assert_ended(&run(long, "x\n").await, 0);
    machine.delivered(0).await;

    // What a stranger chose is never an option.
    for dashes in [&["--"][..], &["-i", "--"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
        command
            .arg("--config")
            .arg(machine.config())
            .arg("sendmail");
        command.args(dashes).arg("-bp");
        let output = run(command, "x\n").await;
        assert_ended(&output, 0);
        assert_eq!(stdout(&output), "");
    }
    let control = machine.sandbox.control();
    let messages = within("delivery", control.wait_for_messages(3)).await;
    assert_eq!(messages[2].recipients, ["-bp@fabrikam.com"]);

    drop(daemon);
    let mut stranger = bare(&machine.program("sendmail"), &["a@b"]);
    stranger.env("EXORELAY_SENDMAIL_SERVER", "unix:/nonexistent/smtp.sock");
    let output = run(stranger, "x\n").await;
    assert_complains(
        &output,
        75,
        &["no daemon answers at unix:/nonexistent/smtp.sock"],
    );
    let mut stranger = bare(&machine.program("sendmail"), &["root"]);
    stranger.env("EXORELAY_CONFIG", "/nonexistent.toml");
    stranger.env("EXORELAY_SENDMAIL_SERVER", "unix:/nonexistent/smtp.sock");
    assert_complains(&run(stranger, "x\n").await, 67, &["root has no domain"]);
}
