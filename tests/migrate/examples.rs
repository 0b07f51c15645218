//! What comes of each example is taken by the program, says what the old file said, and leaves none of its
//! settings out.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use exorelay::config::{self, BounceTo};
use tempfile::TempDir;

use crate::page::{RESULT, assert_told, assignments, block, blocks, page, settings};
use crate::support::daemon::{exorelay, finish};

fn minutes(count: &str) -> Duration {
    Duration::from_mins(count.parse().unwrap())
}

#[test]
fn what_comes_of_each_example_is_taken() {
    let mut seen = 0;
    for name in [
        "postfix.md",
        "iis.md",
        "email-oauth2-proxy.md",
        "smtp2graph.md",
    ] {
        let results = blocks(&page(name)).into_iter();
        for result in results.filter(|block| block.starts_with(RESULT)) {
            seen += 1;
            let folder = TempDir::new().unwrap();
            let (code, out, error) = check(folder.path(), &result);
            assert_eq!(code, Some(0), "{name}: {out}{error}");
            let warnings: Vec<&str> = error.lines().collect();
            // Told in the guide, and the only one.
            let expected = usize::from(result.contains("allow_plain_auth = true"));
            assert_eq!(warnings.len(), expected, "{name}: {error}");
            assert!(
                warnings
                    .iter()
                    .all(|line| line.contains("allow_plain_auth")),
                "{error}"
            );
        }
    }
    assert_eq!(seen, 6);
}

/// What `config check` says of `text`, with the files that it names.
fn check(folder: &Path, text: &str) -> (Option<i32>, String, String) {
    let place = format!("{}/", folder.display());
    let text = text.replace("/etc/exorelay/", &place);
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    for path in text
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|path| path.starts_with(&place))
    {
        let content = match path.rsplit_once('.') {
            Some((_, "pem" | "crt")) => fs::read(keys.join("test-certificate.pem")).unwrap(),
            Some((_, "key")) => fs::read(keys.join("test-rsa.pkcs8.pem")).unwrap(),
            _ if path.ends_with("users") => user("erp", "P@ssword!"),
            _ => b"0123456789abcdef0123456789abcdef".to_vec(),
        };
        fs::write(path, content).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path, mode).unwrap();
    }
    let config = folder.join("exorelay.toml");
    fs::write(&config, text).unwrap();
    finish(exorelay(&config).args(["config", "check"]))
}

fn user(name: &str, password: &str) -> Vec<u8> {
    let mut command = exorelay(Path::new("/nonexistent"));
    let mut child = command
        .args(["hash-password", "--user", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn postfix_says_the_same_before_and_after() {
    let page = page("postfix.md");
    let old = assignments(&block(&page, "# /etc/postfix/main.cf"), '=');
    let behind = block(&page, "# /etc/postfix/main.cf, with exorelay behind it");
    let kept = assignments(&behind, '=');
    let names = old.keys().chain(kept.keys()).map(String::as_str);
    assert_told(
        &page,
        names.filter(|name| *name != "compatibility_level"),
        30,
    );

    let new = settings(&block(&page, RESULT));
    assert_eq!(new.hostname, old["myhostname"]);
    let addresses: Vec<String> = new
        .listeners
        .values()
        .map(|one| one.address.to_string())
        .collect();
    for address in old["inet_interfaces"].split(", ") {
        assert!(
            addresses.contains(&format!("{address}:25")),
            "{addresses:?}"
        );
    }
    for network in old["mynetworks"].split(", ") {
        let mut listeners = new.listeners.values();
        let network = network.parse().unwrap();
        assert!(
            listeners.any(|one| one.allow.contains(&network)),
            "{network}"
        );
    }
    for listener in new.listeners.values() {
        assert_eq!(
            listener.max_message_size_bytes.to_string(),
            old["message_size_limit"]
        );
        assert_eq!(
            listener.max_recipients.to_string(),
            old["smtpd_recipient_limit"]
        );
        let at_once = listener.max_connections_per_client.to_string();
        assert_eq!(at_once, old["smtpd_client_connection_count_limit"]);
    }
    for account in new.accounts.values() {
        let smtp = &account.smtp;
        assert_eq!(format!("[{}]:{}", smtp.host, smtp.port), old["relayhost"]);
        assert_eq!(
            smtp.connections.to_string(),
            old["smtp_destination_concurrency_limit"]
        );
        assert_eq!(
            format!("{}s", 60 / smtp.messages_per_minute),
            old["smtp_destination_rate_delay"]
        );
        assert_eq!(
            smtp.recipients_per_message.to_string(),
            old["smtp_destination_recipient_limit"]
        );
    }
    let queue = &new.queue;
    assert_eq!(
        format!("{}d", queue.expire_after.as_secs() / 86_400),
        old["maximal_queue_lifetime"]
    );
    assert_eq!(
        format!("{}s", queue.retry_initial.as_secs()),
        old["minimal_backoff_time"]
    );
    assert_eq!(
        format!("{}m", queue.retry_max.as_secs() / 60),
        old["maximal_backoff_time"]
    );
    assert_eq!(queue.min_free_disk_bytes.to_string(), old["queue_minfree"]);
    let warning = new.bounce.delay_warning.as_secs() / 3600;
    assert_eq!(format!("{warning}h"), old["delay_warning_time"]);
}

#[test]
fn iis_says_the_same_before_and_after() {
    let page = page("iis.md");
    let first = r"<!-- C:\Windows\System32\inetsrv\MetaBase.xml -->";
    let old = assignments(&block(&page, first), '=');
    let names = old
        .keys()
        .map(String::as_str)
        .filter(|name| !name.contains(' '));
    assert_told(&page, names, 25);

    let new = settings(&block(&page, RESULT));
    let lan = &new.listeners["lan"];
    assert!(
        lan.address
            .to_string()
            .ends_with(old["ServerBindings"].trim_end_matches(':'))
    );
    assert_eq!(
        lan.max_message_size_bytes.to_string(),
        old["MaxMessageSize"]
    );
    assert_eq!(lan.max_recipients.to_string(), old["MaxRecipients"]);
    assert_eq!(lan.max_connections.to_string(), old["MaxConnections"]);
    assert_eq!(
        lan.command_timeout.as_secs().to_string(),
        old["ConnectionTimeout"]
    );
    let account = &new.accounts["default"];
    assert_eq!(account.mailbox.to_string(), old["RouteUserName"]);
    assert_eq!(account.smtp.host, old["SmartHost"]);
    assert_eq!(account.smtp.port.to_string(), old["RemoteSmtpPort"]);
    assert_eq!(
        account.smtp.connections.to_string(),
        old["MaxOutConnectionsPerDomain"]
    );
    assert_eq!(
        new.queue.expire_after,
        minutes(&old["SmtpRemoteNDRExpireMinutes"])
    );
    assert_eq!(
        new.bounce.delay_warning,
        minutes(&old["SmtpRemoteDelayExpireMinutes"])
    );
    let BounceTo::Mailbox(mailbox) = &new.bounce.to else {
        panic!("{:?}", new.bounce.to);
    };
    assert_eq!(mailbox.to_string(), old["SendNdrTo"]);
}

#[test]
fn email_oauth2_proxy_says_the_same_before_and_after() {
    let page = page("email-oauth2-proxy.md");
    let text = block(&page, "# emailproxy.config");
    let old = assignments(&text, '=');
    assert_told(&page, old.keys().map(String::as_str), 20);

    let new = settings(&block(&page, RESULT));
    let sections: Vec<&str> = text.split("\n[").skip(1).collect();
    for section in sections {
        let (name, text) = section.split_once("]\n").unwrap();
        let own = assignments(text, '=');
        if let Some(port) = name.strip_prefix("SMTP-") {
            let address = format!("{}:{port}", own["local_address"]);
            let mut listeners = new.listeners.values();
            let listener = listeners.find(|one| one.address.to_string() == address);
            let has_certificate = own.contains_key("local_certificate_path");
            assert_eq!(listener.unwrap().certificate.is_some(), has_certificate);
        } else if name.contains('@') {
            let mut accounts = new.accounts.values();
            let account = accounts
                .find(|one| one.mailbox.to_string() == name)
                .unwrap();
            assert_eq!(account.client_id, own["client_id"]);
            assert!(own["token_url"].contains(&account.tenant_id));
            let is_delegated = account.access == config::Access::Delegated;
            assert_eq!(is_delegated, own.contains_key("permission_url"));
        }
    }
}

#[test]
fn smtp2graph_says_the_same_before_and_after() {
    let page = page("smtp2graph.md");
    let text = block(&page, "# config.yml");
    let old = assignments(&text, ':');
    // Those above others have no value of their own.
    let names = old
        .iter()
        .filter(|(name, value)| !value.is_empty() || *name == "users");
    let names = names.map(|(name, _)| name.trim_start_matches("- "));
    let within = ["username", "password", "duration", "limit"];
    assert_told(&page, names.filter(|name| !within.contains(name)), 18);

    let new = settings(&block(&page, RESULT));
    let lan = &new.listeners["lan"];
    assert_eq!(
        lan.address.to_string(),
        format!("{}:{}", old["listenAddress"], old["port"])
    );
    assert_eq!(
        format!("{}m", lan.max_message_size_bytes >> 20),
        old["maxSize"]
    );
    assert_eq!(lan.allow_plain_auth.to_string(), old["allowInsecureAuth"]);
    assert_eq!(new.hostname, old["banner"]);
    for line in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- 10."))
    {
        let network = format!("10.{line}");
        let is_it = |one: &ipnet::IpNet| {
            one.to_string() == network || one.to_string() == format!("{network}/32")
        };
        assert!(lan.allow.iter().any(is_it), "{network}");
    }
    let account = &new.accounts["default"];
    assert_eq!(account.mailbox.to_string(), old["forceMailbox"]);
    assert_eq!(account.client_id, old["id"]);
    assert_eq!(
        account.tenant_id,
        format!("{}.onmicrosoft.com", old["tenant"])
    );
    let key = account.client_certificate_key.as_deref().unwrap();
    assert!(key.ends_with(&old["privateKeyPath"]), "{}", key.display());
}
