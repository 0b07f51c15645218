//! What stands in for a client secret: certificates, and the tokens of other identity providers.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::oauth::{AssertionAlgorithm, Credential};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
const CERTIFICATE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/keys/test-certificate.pem"
);
const AZURE: (&str, &str) = ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/azure/token");

/// The five lines with `lines` in place of the secret.
fn with(lines: &str) -> String {
    FIVE_LINES.replace("client_secret = { file = \"/etc/exorelay/secret\" }", lines)
}

fn credential(loaded: &Loaded) -> Credential {
    let account = loaded.settings.default_account().unwrap();
    loaded.settings.oauth_part(account).unwrap().credential
}

#[test]
fn certificate_stands_in_for_a_secret() {
    let text = with("client_certificate = \"/app.pem\"");
    let plain = loaded(&text, &[], &[]);
    let Credential::Certificate {
        certificate,
        key: None,
        algorithm: AssertionAlgorithm::Ps256,
    } = credential(&plain)
    else {
        panic!("{:?}", credential(&plain));
    };
    assert_eq!(certificate, Path::new("/app.pem"));

    let overrides = [
        ("account.default.client_certificate_key", "/app.key"),
        ("account.default.oauth.assertion", "RS256"),
    ];
    let older = loaded(&text, &[], &overrides);
    let Credential::Certificate {
        key: Some(key),
        algorithm: AssertionAlgorithm::Rs256,
        ..
    } = credential(&older)
    else {
        panic!("{:?}", credential(&older));
    };
    assert_eq!(key, Path::new("/app.key"));
    assert!(older.warnings.is_empty(), "{:?}", older.warnings);
    // The daemon takes over what differs.
    assert_ne!(plain.settings.accounts, older.settings.accounts);
}

#[test]
fn workload_identity_takes_the_file_that_the_platform_names() {
    let text = with("access = \"workload_identity\"");
    let key = "account.default.oauth.federated_token_file";
    let own = format!("{text}[account.default.oauth]\nfederated_token_file = \"/own\"\n");
    let empty = format!("{text}[account.default.oauth]\nfederated_token_file = \"\"\n");
    for (text, expected, origin) in [
        (&text, AZURE.1, "environment AZURE_FEDERATED_TOKEN_FILE"),
        (&empty, AZURE.1, "environment AZURE_FEDERATED_TOKEN_FILE"),
        (&own, "/own", "x.toml:8"),
    ] {
        let loaded = loaded(text, &[AZURE], &[]);
        let Credential::Federated { token_file } = credential(&loaded) else {
            panic!("{:?}", credential(&loaded));
        };
        assert_eq!(token_file, Path::new(expected));
        let found = loaded.provenance.origin(key).unwrap();
        assert_eq!(found.to_string(), origin);
        let shown = self::loaded(&loaded.provenance.show(), &[], &[]);
        assert_eq!(shown.settings, loaded.settings);
    }
    for environment in [&[][..], &[("AZURE_FEDERATED_TOKEN_FILE", "")]] {
        let error = refused(&text, environment, &[]);
        assert!(error.contains("AZURE_CLIENT_ID"), "{error}");
    }
}

#[test]
fn other_accounts_pay_no_attention_to_the_platform() {
    let loaded = loaded(FIVE_LINES, &[AZURE], &[]);
    assert!(matches!(credential(&loaded), Credential::Secrets(_)));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let account = loaded.settings.default_account().unwrap();
    assert_eq!(account.oauth.federated_token_file, None);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let overrides = [
        ("account.default.oauth.assertion", "PS256"),
        ("account.default.oauth.federated_token_file", "/run/token"),
    ];
    assert_eq!(
        loaded(FIVE_LINES, &[], &overrides).warnings,
        [
            "account.default.oauth.assertion: has no effect without client_certificate",
            "account.default.oauth.federated_token_file: has no effect while access is \"application\"",
        ]
    );
}

#[test]
fn certificate_and_key_are_checked_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("app.key");
    let text = with(&format!(
        "client_certificate = \"{CERTIFICATE}\"\nclient_certificate_key = \"{}\"",
        key.display()
    ));
    let loaded = loaded(&text, &[], &[]);
    let error = || loaded.check_files().unwrap_err().to_string();
    let of_key = "x.toml:7: account.default.client_certificate_key: ";
    assert!(error().starts_with(of_key), "{}", error());

    let copy = |name: &str| {
        std::fs::copy(format!("{KEYS}/{name}"), &key).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&key, mode).unwrap();
    };
    copy("test-rsa-other.pkcs8.pem");
    assert!(error().contains("does not belong to"), "{}", error());
    copy("test-rsa.pkcs8.pem");
    assert_eq!(loaded.check_files().unwrap(), Vec::<String>::new());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = loaded.check_files().unwrap();
    let chmod = format!("remedy: chmod o-rwx {}", key.display());
    assert!(
        matches!(warnings.as_slice(), [warning] if warning.ends_with(&chmod)),
        "{warnings:?}"
    );
}

#[test]
fn certificate_without_its_key_is_found_when_asked() {
    let text = with(&format!("client_certificate = \"{CERTIFICATE}\""));
    let error = loaded(&text, &[], &[]).check_files().unwrap_err();
    let expected = "x.toml:6: account.default.client_certificate: ";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(error.to_string().contains("client_certificate_key"));
}

#[test]
fn federated_token_is_read_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let path = token.to_string_lossy();
    let environment = [("AZURE_FEDERATED_TOKEN_FILE", path.as_ref())];
    let loaded = loaded(&with("access = \"workload_identity\""), &environment, &[]);
    let error = loaded.check_files().unwrap_err().to_string();
    let expected = "environment AZURE_FEDERATED_TOKEN_FILE: account.default.oauth.";
    assert!(error.starts_with(expected), "{error}");
    std::fs::write(&token, "eyJh.eyJp.c2ln").unwrap();
    assert!(loaded.check_files().unwrap().is_empty());
}
