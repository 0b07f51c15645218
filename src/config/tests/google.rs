//! `provider = "google"`.

use super::*;

const GOOGLE: &str = r#"
[account.default]
mailbox = "relay@contoso.com"
provider = "google"
access = "delegated"
client_id = "1-x.apps.googleusercontent.com"
client_secret = { file = "/etc/exorelay/secret" }
"#;

#[test]
fn google_is_a_preset_of_its_own() {
    let path = Path::new("x.toml");
    let (_, settings, mut report) = read(path, GOOGLE, std::iter::empty(), &[]).unwrap();
    assert_eq!(report.problems, []);
    let account = settings.default_account().unwrap();
    let oauth = &account.oauth;
    assert_eq!(
        oauth.authorize_url.as_str(),
        "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent"
    );
    assert_eq!(
        oauth.token_url.as_str(),
        "https://oauth2.googleapis.com/token"
    );
    assert_eq!(oauth.scope, "https://mail.google.com/");
    assert_eq!(account.smtp.host, "smtp.gmail.com");
    // No rate is known, and a day of Workspace has 2,000 messages.
    assert_eq!(account.smtp.messages_per_minute, 0);
    assert_eq!(account.smtp.recipients_per_day, 2_000);
    advice::warn(&settings, jiff::civil::date(2026, 11, 20), &mut report);
    let [unencrypted] = report.warnings.as_slice() else {
        panic!("{:?}", report.warnings);
    };
    assert!(
        unencrypted.starts_with("token_store.key: "),
        "{unencrypted}"
    );

    let odd = GOOGLE
        .replace("client_secret", "tenant_id = \"contoso.com\"\n#")
        .replace("1-x.apps.googleusercontent.com", "my-app");
    let (_, settings, mut report) = read(path, &odd, std::iter::empty(), &[]).unwrap();
    assert_eq!(report.problems, []);
    advice::warn(&settings, jiff::civil::date(2026, 11, 20), &mut report);
    let keys: Vec<&str> = report
        .warnings
        .iter()
        .filter_map(|warning| warning.split(':').next())
        .collect();
    assert_eq!(
        keys,
        [
            "token_store.key",
            "account.default.tenant_id",
            "account.default.client_id",
            "account.default.client_secret"
        ]
    );
}

#[test]
fn google_takes_persons_and_secrets_only() {
    for (from, to, key) in [
        ("delegated", "application", "access"),
        ("delegated", "managed_identity", "access"),
        ("delegated", "workload_identity", "access"),
        (
            "client_secret = { file = \"/etc/exorelay/secret\" }",
            "client_certificate = \"/etc/exorelay/app.pem\"",
            "client_certificate",
        ),
    ] {
        let text = GOOGLE.replace(from, to);
        let (_, _, report) = read(Path::new("x.toml"), &text, std::iter::empty(), &[]).unwrap();
        let keys: Vec<&str> = report.problems.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, [format!("account.default.{key}")], "{to}");
    }
}
