//! Who gets in: open relays, logins, networks.

use super::*;

const TLS: &str = "tls = \"optional\"\ncertificate = \"/c\"\nprivate_key = \"/k\"";
const REQUIRED: &str = "auth = \"required\"\nusers = \"/u\"";
const OPTIONAL: &str = "auth = \"optional\"\nusers = \"/u\"";
const PLAIN: &str = "allow_plain_auth = true";

fn listener(address: &str, keys: &[&str]) -> String {
    let keys = keys.join("\n");
    format!("{FIVE_LINES}[listener.x]\naddress = \"{address}\"\n{keys}\n")
}

#[test]
fn open_relays_are_refused() {
    for (address, keys) in [
        ("0.0.0.0:25", vec![]),
        ("[::]:25", vec![]),
        ("10.1.1.1:25", vec![]),
        ("systemd:smtp", vec![]),
        ("0.0.0.0:25", vec!["allow = []"]),
        ("0.0.0.0:25", vec!["allow = [\"0.0.0.0/0\"]"]),
        ("[::]:25", vec!["allow = [\"::/0\"]"]),
        ("[::]:25", vec!["allow = [\"2000::/3\"]"]),
        (
            "systemd:smtp",
            vec!["allow = [\"10.0.0.0/8\", \"0.0.0.0/0\"]"],
        ),
        ("0.0.0.0:25", vec!["allow = [\"0.0.0.0/1\"]"]),
        (
            "0.0.0.0:25",
            vec!["allow = [\"64.0.0.0/2\", \"128.0.0.0/2\"]"],
        ),
        ("0.0.0.0:25", vec![OPTIONAL, TLS]),
        ("0.0.0.0:25", vec!["allow = [\"0.0.0.0/0\"]", OPTIONAL, TLS]),
        ("0.0.0.0:25", vec!["allow_recipients = [\"*@contoso.com\"]"]),
    ] {
        let error = refused(&listener(address, &keys), &[], &[]);
        assert!(
            error.contains(&format!(
                "listener.x: would be an open relay on {address}; set allow"
            )),
            "{address} {keys:?}: {error}"
        );
    }
}

#[test]
fn closed_relays_are_not() {
    for (address, keys) in [
        ("127.0.0.1:25", vec![]),
        ("[::1]:25", vec![]),
        ("unix:/run/smtp.sock", vec![]),
        ("127.0.0.1:25", vec!["allow = [\"0.0.0.0/0\"]"]),
        ("127.0.0.1:25", vec![REQUIRED]),
        ("unix:/run/smtp.sock", vec![REQUIRED]),
        (
            "0.0.0.0:25",
            vec!["allow = [\"10.0.0.0/8\", \"192.168.0.0/16\"]"],
        ),
        ("[::]:25", vec!["allow = [\"fd00::/8\", \"fe80::/10\"]"]),
        ("[::]:25", vec!["allow = [\"fc00::/7\"]"]),
        ("systemd:smtp", vec!["allow = [\"10.1.2.3\"]"]),
        ("0.0.0.0:25", vec![REQUIRED, TLS]),
        ("systemd:smtp", vec![REQUIRED, TLS]),
        (
            "0.0.0.0:25",
            vec!["allow = [\"0.0.0.0/0\", \"::/0\"]", REQUIRED, TLS],
        ),
    ] {
        let warnings = loaded(&listener(address, &keys), &[], &[]).warnings;
        assert!(warnings.is_empty(), "{address} {keys:?}: {warnings:?}");
    }
}

#[test]
fn a_required_login_stands_in_for_networks_that_are_not_named() {
    for (address, keys, expected) in [
        ("0.0.0.0:25", vec![REQUIRED, TLS], vec!["0.0.0.0/0", "::/0"]),
        (
            "0.0.0.0:25",
            vec![REQUIRED, TLS, "allow = [\"10.0.0.0/8\"]"],
            vec!["10.0.0.0/8"],
        ),
        (
            "127.0.0.1:25",
            vec![REQUIRED],
            vec!["127.0.0.0/8", "::1/128"],
        ),
        ("127.0.0.1:25", vec![], vec!["127.0.0.0/8", "::1/128"]),
    ] {
        let settings = loaded(&listener(address, &keys), &[], &[]).settings;
        let allow = &settings.listeners["x"].allow;
        let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
        assert_eq!(allow, expected, "{address} {keys:?}");
    }
}

#[test]
fn passwords_do_not_cross_the_network_in_plain_text_unless_that_is_said() {
    let allow = "allow = [\"10.0.0.0/8\"]";
    let error = refused(&listener("0.0.0.0:25", &[allow, REQUIRED]), &[], &[]);
    let words =
        "listener.x.auth: \"required\" is for this machine only while listener.x.tls is \"none\"";
    assert!(error.contains(words), "{error}");
    let implicit = TLS.replace("optional", "implicit");
    for (keys, words) in [
        (
            vec![allow, OPTIONAL],
            "listener.x.auth: \"optional\" is for this machine only",
        ),
        (
            vec![allow, OPTIONAL, PLAIN],
            "listener.x.allow_plain_auth: passwords may cross",
        ),
        (
            vec![allow, REQUIRED, PLAIN],
            "listener.x.allow_plain_auth: passwords may cross",
        ),
        (
            vec![allow, REQUIRED, PLAIN, TLS],
            "listener.x.allow_plain_auth: passwords may cross",
        ),
        (
            vec![allow, PLAIN],
            "listener.x.allow_plain_auth: has no effect while listener.x.auth is \"none\"",
        ),
        (
            vec![allow, "users = \"/u\""],
            "listener.x.users: has no effect while listener.x.auth is \"none\"",
        ),
        (vec![allow, REQUIRED, TLS], ""),
        (vec![allow, REQUIRED, PLAIN, &implicit], ""),
    ] {
        let warnings = loaded(&listener("0.0.0.0:25", &keys), &[], &[]).warnings;
        match warnings.as_slice() {
            [] => assert_eq!(words, "", "{keys:?}"),
            [warning] => assert!(
                !words.is_empty() && warning.starts_with(words),
                "{keys:?}: {warning}"
            ),
            several => panic!("{keys:?}: {several:?}"),
        }
    }
}

#[test]
fn networks_larger_than_any_site_are_warned_of() {
    for (allow, is_warned) in [
        ("64.0.0.0/2", true),
        ("10.0.0.0/7", true),
        ("10.0.0.0/8", false),
        ("2000::/8", true),
        ("2001::/16", false),
        ("fc00::/7", false),
    ] {
        for (keys, is_guarded) in [(vec![], false), (vec![REQUIRED, TLS], true)] {
            let allow = format!("allow = [\"{allow}\"]");
            let keys: Vec<&str> = keys.into_iter().chain([allow.as_str()]).collect();
            let warnings = loaded(&listener("[::]:25", &keys), &[], &[]).warnings;
            let warned = warnings
                .iter()
                .any(|one| one.contains("larger than any site"));
            assert_eq!(warned, is_warned && !is_guarded, "{keys:?}");
        }
    }
}

#[test]
fn files_of_a_listener_are_checked_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = format!(
        "{}[listener.x]\naddress = \"127.0.0.1:25\"\ntls = \"optional\"\ncertificate = \"{}\"\nprivate_key = \"{}\"\n\
         auth = \"optional\"\nusers = \"{}\"\n",
        FIVE_LINES.replace("{ file = \"/etc/exorelay/secret\" }", "\"x\""),
        path("cert.pem").display(),
        path("key.pem").display(),
        path("users").display()
    );
    let loaded = loaded(&text, &[], &[]);
    let made = crate::tls::self_signed(&["localhost".to_owned()], 90).unwrap();
    std::fs::write(path("cert.pem"), &made.certificate).unwrap();
    std::fs::write(path("users"), "lobby:hunter2\n").unwrap();
    let error = loaded.check_files().unwrap_err().to_string();
    assert!(
        error.contains("listener.x.certificate: cannot read "),
        "{error}"
    );
    assert!(
        error.contains("listener.x.users: ") && error.contains("users:1: "),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");

    let write = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path(name), only_ours).unwrap();
    };
    write("key.pem", &made.key);
    write("users", "# nobody yet\n");
    let warnings = loaded.check_files().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].contains("holds nobody"),
        "{warnings:?}"
    );
    let made = crate::tls::self_signed(&["localhost".to_owned()], 20).unwrap();
    write("cert.pem", &made.certificate);
    write("key.pem", &made.key);
    let warnings = loaded.check_files().unwrap().concat();
    assert!(
        warnings.contains("listener.x.certificate: the certificate runs out on "),
        "{warnings}"
    );
}
