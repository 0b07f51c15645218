use std::path::Path;

use super::*;
use crate::admin::ClientStatus;
use crate::config::{self, Settings};
use crate::queue::{Quirk, Refusal};

const TEXT: &str = r#"
[listener.local]
address = "127.0.0.1:2525"
[listener.scanners]
address = "10.20.0.1:25"
allow = ["10.20.0.0/16"]
bare_newline = "reject"
max_message_size = "20MiB"
account = "scan"
[account.default]
mailbox = "relay@contoso.com"
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "66666666-7777-8888-9999-000000000000"
client_secret = "x"
[account.scan]
mailbox = "scan@contoso.com"
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "66666666-7777-8888-9999-000000000000"
client_secret = "x"
[client.floor]
network = "10.20.3.0/24"
[client.lobby]
network = "10.20.1.15"
sender = "lobby@contoso.com"
messages_per_hour = 10
"#;

fn settings(text: &str) -> Settings {
    let loaded = config::load_text(Path::new("test.toml"), text, std::iter::empty(), &[]);
    loaded.unwrap().settings
}

fn record(client: &str, listener: &str) -> ClientRecord {
    let at: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    ClientRecord {
        client: client.into(),
        first_seen: at,
        last_seen: at,
        last_message_at: Some(at),
        messages: 3,
        sessions: 4,
        listener: listener.into(),
        helo: "MFP-4.contoso.local".into(),
        tls: None,
        auth_name: None,
        sender: Some("a@contoso.com".into()),
        largest_bytes: 1_500_000,
        largest_refused_bytes: 0,
        quirks: [(Quirk::HeloOnly, 3), (Quirk::NoDate, 3)].into(),
        refusals: Vec::new(),
    }
}

fn refused(reply: &str) -> Vec<Refusal> {
    vec![Refusal {
        reply: reply.into(),
        count: 2,
        last_at: "2026-11-20T09:00:00Z".parse().unwrap(),
    }]
}

/// What is suggested; the settings take it.
fn suggested(record: &ClientRecord) -> String {
    let Some(text) = advice::suggestion(record, &settings(TEXT)) else {
        return String::new();
    };
    // In the place of the section that it continues.
    let (others, _) = TEXT.split_once("[client.lobby]").unwrap();
    settings(&format!("{others}{text}"));
    text
}

#[test]
fn what_was_tolerated_needs_no_settings() {
    assert_eq!(suggested(&record("10.20.1.9", "scanners")), "");
    assert_eq!(suggested(&record("127.0.0.1", "local")), "");
    assert_eq!(suggested(&record("uid:1000", "local")), "");
}

#[test]
fn each_need_has_its_key() {
    let mut device = record("10.20.1.9", "scanners");
    device.refusals = refused("553 5.1.7 The sender has no domain; set it to a full address");
    let section = "[client.mfp-4]\nnetwork = \"10.20.1.9\"\n";
    assert_eq!(
        suggested(&device),
        format!("{section}sender = \"scan@contoso.com\"  # its own sender is no full address\n")
    );
    device.refusals = refused("550 5.6.11 The message has bare CR or LF");
    device.largest_refused_bytes = 30 << 20;
    assert_eq!(
        suggested(&device),
        format!(
            "{section}bare_newline = \"normalize\"  # it sends bare LF, CR or NUL\n\
             max_message_size = \"34MiB\"  # it was refused for its size\n"
        )
    );
    device.largest_refused_bytes = 1 << 40;
    device.refusals.clear();
    device.quirks.insert(Quirk::LfEnd, 1);
    assert_eq!(
        suggested(&device),
        "# its content ends in LF.LF, which no other host may do: have it send CRLF\n\
         # a message of 1099511627776 bytes was refused, more than queue.max_bytes allows\n"
    );
    let mut script = record("127.0.0.1", "local");
    script.helo = "localhost".into();
    script.sender = Some(String::new());
    script.quirks = [(Quirk::LfEnd, 1), (Quirk::NoFrom, 1)].into();
    assert_eq!(
        suggested(&script),
        "[client.client-127-0-0-1]\nnetwork = \"127.0.0.1\"\n\
         sender = \"relay@contoso.com\"  # it names no sender at all\n\
         bare_newline = \"lenient\"  # its content ends in LF.LF\n"
    );
}

#[test]
fn a_section_that_is_there_is_continued() {
    let mut lobby = record("10.20.1.15", "scanners");
    lobby.refusals = refused("553 5.1.7 The sender has no domain");
    assert_eq!(suggested(&lobby), "", "its sender is forced already");
    lobby.refusals = refused("450 4.7.1 This client has sent its 10 messages of this hour; try");
    assert_eq!(
        suggested(&lobby),
        "# it sends more than messages_per_hour\n"
    );
    lobby.refusals = refused("550 5.7.1 No account takes mail from <a@b>: no [[route]] matches");
    assert_eq!(
        suggested(&lobby),
        "[client.lobby]\nnetwork = \"10.20.1.15\"\naccount = \"default\"  # no [[route]] takes its mail\n"
    );
    let floor = ClientRecord {
        client: "10.20.3.7".into(),
        ..lobby
    };
    assert!(
        suggested(&floor)
            .ends_with("# takes the place of [client.floor] for it: copy what it needs of that\n")
    );
}

#[test]
fn what_no_section_can_mend_is_said() {
    let stranger = record("10.99.0.1", "scanners");
    assert_eq!(
        suggested(&stranger),
        "# to let it in: add \"10.99.0.1\" to allow of [listener.scanners]\n"
    );
    let mut local = record("uid:1000", "local");
    local.refusals = refused("553 5.1.7 The sender has no domain");
    assert_eq!(suggested(&local), "", "it has no network");
    local.quirks.insert(Quirk::RepeatedMessageId, 5);
    assert!(suggested(&local).starts_with("# it uses Message-IDs again"));
}

#[test]
fn a_client_is_told_of_in_a_few_lines() {
    let mut device = record("10.20.1.9", "scanners");
    device.refusals = refused("552 5.3.4 The message is larger than this relay takes");
    device.quirks.insert(Quirk::RepeatedMessageId, 1);
    let item = Item {
        section: None,
        suggestion: advice::suggestion(&device, &settings(TEXT)),
        record: &device,
    };
    let now = "2026-11-20T10:05:00Z".parse().unwrap();
    let lines = lines(&item, now);
    assert!(
        lines[0].starts_with("10.20.1.9  3 messages in 4 sessions, last seen 5m ago (2026-"),
        "{}",
        lines[0]
    );
    assert_eq!(
        lines[1..4],
        [
            "  listener scanners, calls itself MFP-4.contoso.local, plain text, sends from a@contoso.com, largest 1.4 MiB",
            "  tolerated: HELO only (3), no Date (3), Message-ID used again (1)",
            "  refused 2 times, last 1h5m ago: 552 5.3.4 The message is larger than this relay takes",
        ]
    );
    assert_eq!(lines[4], "  suggested:");
    assert!(lines[5].starts_with("    # it uses Message-IDs again"));
}

#[test]
fn watched_sections_say_when_they_were_heard() {
    let now = "2026-11-20T10:05:00Z".parse().unwrap();
    let mut client = ClientStatus {
        name: "lobby".into(),
        network: "10.20.1.15".into(),
        ..ClientStatus::default()
    };
    assert_eq!(watched::line(&client, now), None);
    client.silent_after_seconds = Some(3 * 86_400);
    assert_eq!(
        watched::line(&client, now).unwrap(),
        "[client.lobby] 10.20.1.15: no message yet, silent_after 3d"
    );
    client.last_message_at = Some("2026-11-16T10:05:00Z".parse().unwrap());
    client.quiet_seconds = Some(3 * 86_400 + 7_200);
    client.silent = true;
    let line = watched::line(&client, now).unwrap();
    let begin =
        "[client.lobby] 10.20.1.15: SILENT, no message for 3d2h, last message 4d ago (2026-";
    assert!(line.starts_with(begin), "{line}");
    assert!(line.ends_with("), silent_after 3d"), "{line}");
}
