//! The layers together, and the shipped file.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::secret::SecretSource;

mod access;
mod credentials;
mod google;
mod sign_in;

const SHIPPED: &str = include_str!("../../config/exorelay.toml");
const FIVE_LINES: &str = r#"
[account.default]
mailbox = "relay@contoso.com"
tenant_id = "contoso.com"
client_id = "11111111-2222-3333-4444-555555555555"
client_secret = { file = "/etc/exorelay/secret" }
"#;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn loaded(text: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Loaded {
    try_load(text, environment, overrides).unwrap_or_else(|error| panic!("{error}"))
}

fn try_load(
    text: &str,
    environment: &[(&str, &str)],
    overrides: &[(&str, &str)],
) -> Result<Loaded, ConfigError> {
    load_text(
        Path::new("x.toml"),
        text,
        pairs(environment).into_iter(),
        &pairs(overrides),
    )
}

fn refused(text: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> String {
    let loaded = try_load(text, environment, overrides);
    loaded.expect_err("must be refused").to_string()
}

#[test]
fn a_status_page_that_others_can_reach_is_warned_about() {
    for (address, warned) in [
        ("127.0.0.1:2580", false),
        ("[::1]:0", false),
        ("0.0.0.0:2580", true),
        ("10.20.1.5:2580", true),
    ] {
        let loaded = loaded(FIVE_LINES, &[], &[("admin.http", address)]);
        assert_eq!(loaded.settings.admin.http, Some(address.parse().unwrap()));
        let expected = format!("admin.http: \"{address}\" can be reached from other hosts");
        let warnings = loaded.warnings.iter();
        let found = warnings.filter(|text| text.starts_with(&expected));
        assert_eq!(found.count(), usize::from(warned), "{address}");
        assert_eq!(loaded.warnings.len(), usize::from(warned));
    }
}

#[test]
fn five_lines_are_enough() {
    let Loaded {
        settings, warnings, ..
    } = loaded(FIVE_LINES, &[], &[]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let listener = &settings.listeners["local"];
    assert_eq!(listener.address.to_string(), "127.0.0.1:2525");
    assert_eq!(listener.max_message_size_bytes, 150 * 1024 * 1024);
    assert_eq!(settings.queue.expire_after, Duration::from_hours(48));
    assert!(!settings.hostname.is_empty());
    let account = settings.default_account().unwrap();
    assert_eq!(
        account.oauth.token_url.as_str(),
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    );
    assert_eq!(
        account.oauth.scope,
        "https://outlook.office365.com/.default"
    );
    assert_eq!(account.oauth.redirect_uri.as_str(), "http://localhost");
    assert_eq!(account.smtp.host, "smtp.office365.com");
    assert_eq!(account.smtp.timeouts.end_of_data, Duration::from_mins(10));
    assert_eq!(
        account.client_secrets,
        [SecretSource::File("/etc/exorelay/secret".into())]
    );
}

#[test]
fn a_cloud_decides_login_scope_and_host() {
    for (cloud, login, scope, host) in [
        (
            "gcc_high",
            "login.microsoftonline.us",
            "outlook.office365.us",
            "smtp.office365.us",
        ),
        (
            "china",
            "login.partner.microsoftonline.cn",
            "partner.outlook.cn",
            "smtp.partner.outlook.cn",
        ),
    ] {
        let loaded = loaded(FIVE_LINES, &[], &[("account.default.cloud", cloud)]);
        let account = loaded.settings.default_account().unwrap();
        assert_eq!(account.oauth.token_url.url().host_str(), Some(login));
        assert_eq!(account.oauth.scope, format!("https://{scope}/.default"));
        assert_eq!(account.smtp.host, host);
    }
}

#[test]
fn higher_layers_win_and_are_named() {
    let text = format!(
        "hostname = \"file.test\"\n{FIVE_LINES}[queue]\nmax_messages = 1\nretry_max = \"2h\"\n"
    );
    let environment = [
        ("EXORELAY_QUEUE__MAX_MESSAGES", "2"),
        ("EXORELAY_QUEUE__MAX_BYTES", "3GiB"),
        ("EXORELAY_QUEUE__RECORD_SUBJECT", "false"),
        ("EXORELAY_QUEUE__RETRY_FACTOR", "3"),
        ("PATH", "/bin"),
    ];
    let loaded = loaded(&text, &environment, &[("queue.max_messages", "3")]);
    let queue = &loaded.settings.queue;
    assert_eq!(queue.max_messages, 3);
    assert_eq!(queue.max_bytes, 3 << 30);
    assert!(!queue.record_subject);
    assert!((queue.retry_factor - 3.0).abs() < f64::EPSILON);
    assert_eq!(queue.retry_max, Duration::from_hours(2));
    for (key, origin) in [
        ("hostname", "x.toml:1"),
        ("queue.max_messages", "command line"),
        ("queue.max_bytes", "environment EXORELAY_QUEUE__MAX_BYTES"),
        ("queue.retry_max", "x.toml:10"),
        ("queue.keep_failed", "default"),
    ] {
        assert_eq!(
            loaded.provenance.origin(key).unwrap().to_string(),
            origin,
            "{key}"
        );
    }
}

#[test]
fn the_environment_alone_can_describe_an_account() {
    let environment = [
        ("EXORELAY_ACCOUNT__DEFAULT__MAILBOX", "relay@contoso.com"),
        ("EXORELAY_ACCOUNT__DEFAULT__TENANT_ID", "contoso.com"),
        (
            "EXORELAY_ACCOUNT__DEFAULT__CLIENT_ID",
            "11111111-2222-3333-4444-555555555555",
        ),
        ("EXORELAY_ACCOUNT__DEFAULT__CLIENT_SECRET", "1234567890"),
        ("EXORELAY_LISTENER__SCANNERS__ADDRESS", "0.0.0.0:2525"),
        (
            "EXORELAY_LISTENER__SCANNERS__ALLOW",
            "10.1.0.0/16, 10.2.3.4",
        ),
    ];
    let loaded = loaded("", &environment, &[]);
    let account = loaded.settings.default_account().unwrap();
    let SecretSource::Literal(secret) = &account.client_secrets[0] else {
        panic!("a literal");
    };
    assert_eq!(secret.reveal(), "1234567890");
    let listener = &loaded.settings.listeners["scanners"];
    assert_eq!(listener.allow.len(), 2);
    assert!(!loaded.settings.listeners.contains_key("local"));
}

#[test]
fn lists_in_variables_may_look_like_lists() {
    for text in [
        "[\"10.0.0.0/8\", \"::1\"]",
        "[10.0.0.0/8, ::1]",
        "10.0.0.0/8,::1",
    ] {
        let environment = [("EXORELAY_LISTENER__LOCAL__ALLOW", text)];
        let environment = [
            environment[0],
            ("EXORELAY_LISTENER__LOCAL__ADDRESS", "[::1]:2525"),
        ];
        let loaded = loaded(FIVE_LINES, &environment, &[]);
        assert_eq!(loaded.settings.listeners["local"].allow.len(), 2, "{text}");
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let environment = [
        ("EXORELAY_CONFIG", "/x"),
        ("EXORELAY_LOG", "debug"),
        ("EXORELAY_SERVICE_HOST", "10.0.0.1"),
        ("EXORELAY_SERVICE_PORT", "2525"),
        ("EXORELAY_PORT", "tcp://10.0.0.1:2525"),
        ("EXORELAY_PORT_2525_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(
        loaded(FIVE_LINES, &environment, &[]).settings,
        loaded(FIVE_LINES, &[], &[]).settings
    );
}

#[test]
fn a_variable_reaches_a_name_that_no_shell_can_write() {
    let text = format!("{FIVE_LINES}[listener.Lobby-Printer]\naddress = \"127.0.0.1:25\"\n");
    let environment = [("EXORELAY_LISTENER__LOBBY_PRINTER__MAX_ERRORS", "7")];
    let loaded = loaded(&text, &environment, &[]);
    assert_eq!(loaded.settings.listeners["Lobby-Printer"].max_errors, 7);
}

#[test]
fn a_higher_layer_may_keep_the_secret_elsewhere() {
    for (variable, value) in [
        (
            "EXORELAY_ACCOUNT__DEFAULT__CLIENT_SECRET__CREDENTIAL",
            "entra",
        ),
        (
            "EXORELAY_ACCOUNT__DEFAULT__CLIENT_SECRET",
            "{ credential = \"entra\" }",
        ),
    ] {
        let loaded = loaded(FIVE_LINES, &[(variable, value)], &[]);
        let account = loaded.settings.default_account().unwrap();
        let entra = SecretSource::Credential("entra".into());
        assert_eq!(account.client_secrets, [entra]);
        let origin = loaded.provenance.origin("account.default.client_secret");
        assert_eq!(
            origin.unwrap().to_string(),
            format!("environment {variable}")
        );
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let literal = FIVE_LINES.replace("{ file = \"/etc/exorelay/secret\" }", "\"hunter2~x\"");
    let proxy = "[account.default.smtp]\nproxy = \"socks5://key:hunter2@proxy:1\"\n";
    let loaded = loaded(&format!("{literal}{proxy}"), &[], &[]);
    let shown = loaded.provenance.show();
    assert!(
        shown.contains("proxy = \"socks5://(redacted)@proxy:1\""),
        "{shown}"
    );
    assert!(
        shown.contains("client_secret = \"(redacted)\"  # x.toml:6"),
        "{shown}"
    );
    let all = format!("{shown} {} {loaded:?}", loaded.provenance.show_json());
    assert!(!all.contains("hunter2"), "{all}");

    let secret = "EXORELAY_ACCOUNT__DEFAULT__CLIENT_SECRET";
    for (text, environment, overrides) in [
        (FIVE_LINES.to_owned(), vec![(secret, "hunter2\n")], vec![]),
        (
            FIVE_LINES.to_owned(),
            vec![],
            vec![("account.default.client_secret", "hunter2")],
        ),
        (
            literal.replace("\"hunter2~x\"", "{ value = \"hunter2\" }"),
            vec![],
            vec![],
        ),
        (
            literal.replace("client_secret", "client_secert"),
            vec![],
            vec![],
        ),
        (literal.replace("~x\"", "\\x\""), vec![], vec![]),
        (literal.replace("~x\"", ""), vec![], vec![]),
        (
            format!("{literal}[account.default.smtp]\nproxy = \"http://me:hunter2@proxy:1/x\"\n"),
            vec![],
            vec![],
        ),
        (
            format!("{literal}[alert]\nwebhook = \"http://hooks.example/hunter2\"\n"),
            vec![],
            vec![],
        ),
    ] {
        let error = refused(&text, &environment, &overrides);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let text = format!(
        "{FIVE_LINES}[listener.a]\naddress = \"127.0.0.1:25\"\n[listener.b]\naddress = \"[::1]:25\"\n"
    );
    let first = loaded(&text, &[("EXORELAY_QUEUE__MAX_MESSAGES", "7")], &[]);
    let second = loaded(&first.provenance.show(), &[], &[]);
    assert_eq!(first.settings, second.settings);
}

#[test]
fn json_is_nested_like_the_file() {
    let json = loaded(FIVE_LINES, &[], &[]).provenance.show_json();
    assert_eq!(json["settings"]["queue"]["max_messages"], 100_000);
    assert_eq!(
        json["settings"]["account"]["default"]["smtp"]["timeouts"]["data"],
        "2m"
    );
    assert_eq!(json["origins"]["account.default.mailbox"], "x.toml:3");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text =
        "hostnam = \"x\"\n[queue]\nretry_factor = 0.5\nmax_byte = 1\n[log]\nlevel = \"inof\"\n";
    let error = refused(text, &[("EXORELAY_QUEUE_MAX_BYTES", "5")], &[]);
    let lines: Vec<&str> = error.lines().collect();
    for (line, start, part) in [
        (0, "x.toml:1: hostnam: ", "did you mean hostname?"),
        (1, "x.toml:3: queue.retry_factor: ", "from 1.0 to 100.0"),
        (
            2,
            "x.toml:4: queue.max_byte: ",
            "did you mean queue.max_bytes?",
        ),
        (3, "x.toml:6: log.level: ", "did you mean \"info\"?"),
        (
            4,
            "environment EXORELAY_QUEUE_MAX_BYTES: ",
            "EXORELAY_QUEUE__MAX_BYTES",
        ),
        (5, "account: ", "add these five lines:"),
        (6, "  [account.default]", ""),
    ] {
        assert!(
            lines[line].starts_with(start) && lines[line].contains(part),
            "{error}"
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let missing = Path::new("/nonexistent/exorelay.toml");
    let error = load(Some(missing), std::iter::empty(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Missing { .. }));
    assert!(error.to_string().contains("/nonexistent/exorelay.toml"));
    let folder = std::env::temp_dir();
    let error = load(Some(&folder), std::iter::empty(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }), "{error}");
}

#[test]
fn a_file_in_another_encoding_is_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"hostname = \"a\"\n# caf\xe9\n").unwrap();
    let error = load(Some(&path), std::iter::empty(), &[]).unwrap_err();
    assert!(
        matches!(error, ConfigError::NotText { line: 2, .. }),
        "{error}"
    );
    std::fs::write(&path, vec![b'#'; 2 * 1024 * 1024]).unwrap();
    let error = load(Some(&path), std::iter::empty(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
}

#[test]
fn files_that_settings_name_are_checked_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let text = FIVE_LINES.replace("/etc/exorelay/secret", &secret.to_string_lossy());
    let loaded = loaded(&text, &[], &[]);
    let error = loaded.check_files().unwrap_err().to_string();
    assert!(
        error.starts_with("x.toml:6: account.default.client_secret: "),
        "{error}"
    );
    std::fs::write(&secret, "hunter2\n").unwrap();
    let permissions = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&secret, permissions(0o644)).unwrap();
    assert_eq!(loaded.check_files().unwrap().len(), 1);
    std::fs::set_permissions(&secret, permissions(0o600)).unwrap();
    assert!(loaded.check_files().unwrap().is_empty());
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = FIVE_LINES
        .replace("11111111-2222-3333-4444-555555555555", "my-app")
        .replace(
            "{ file = \"/etc/exorelay/secret\" }",
            "\"11111111-2222-3333-4444-555555555555\"\ncredential_expires = 2020-01-01",
        );
    let warnings = loaded(&text, &[], &[("account.default.smtp.connections", "5")]).warnings;
    let keys: Vec<&str> = warnings
        .iter()
        .filter_map(|w| w.split(':').next())
        .collect();
    assert_eq!(
        keys,
        [
            "account.default.client_id",
            "account.default.client_secret",
            "account.default.credential_expires",
            "account.default.smtp.connections"
        ]
    );
}

#[test]
fn a_route_that_is_never_reached_is_told() {
    let routes = |conditions: [&str; 2]| {
        let tables = conditions.map(|keys| format!("[[route]]\naccount = \"default\"\n{keys}\n"));
        loaded(&format!("{FIVE_LINES}{}", tables.concat()), &[], &[]).warnings
    };
    for shadowed in [
        ["", "sender = \"*@fabrikam.com\""],
        [
            "sender = \"*@Fabrikam.com\"",
            "sender = \"a@fabrikam.com\"\nclient = \"10.1.2.3\"",
        ],
        ["client = \"10.0.0.0/8\"", "client = \"10.1.0.0/16\""],
        [
            "recipient = \"a@b.example\"",
            "recipient = \"A@b.example\"\nlistener = \"local\"",
        ],
    ] {
        assert_eq!(
            routes(shadowed),
            ["route[1]: is never reached: route[0] takes all of it; put it before that one"],
            "{shadowed:?}"
        );
    }
    for reached in [
        ["sender = \"*@fabrikam.com\"", ""],
        ["sender = \"a@fabrikam.com\"", "sender = \"*@fabrikam.com\""],
        ["client = \"10.1.0.0/16\"", "client = \"10.0.0.0/8\""],
        ["recipient = \"*@b.example\"", "sender = \"*@b.example\""],
        [
            "listener = \"local\"\nsender = \"*@b.example\"",
            "sender = \"*@b.example\"",
        ],
    ] {
        assert!(routes(reached).is_empty(), "{reached:?}");
    }
}

#[test]
fn shipped_configuration_starts_with_two_placeholders() {
    let warnings = loaded(SHIPPED, &[], &[]).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.contains("placeholder"))
    );
}

#[test]
fn shipped_configuration_documents_every_key_with_its_default() {
    let uncommented: Vec<&str> = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest,
            _ => line,
        })
        .collect();
    let read = |text: &str| read(Path::new("x"), text, std::iter::empty(), &[]).unwrap();
    let (documented, with_all, report) = read(&uncommented.join("\n"));
    assert_eq!(report.problems, []);
    let needed =
        "[client.lobby-printer]\nnetwork = \"10.20.1.15\"\n[[route]]\naccount = \"default\"\n";
    let (_, with_defaults, report) = read(&format!("{SHIPPED}\n{needed}"));
    assert_eq!(report.problems, []);
    for entry in &report.entries {
        let key = &entry.path;
        assert!(documented.section(key).is_some(), "{key} is not documented");
    }
    assert_eq!(with_all, with_defaults);
}
