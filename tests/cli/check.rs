//! `check`: each mistake leads to the sentence that mends it.

mod bundle;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use exorelay::sandbox::{Fault, SendAs, Step};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::{assert_exit, stderr, stdout};
use crate::clinic::Clinic;

impl Clinic {
    async fn check(&self, arguments: &[&str]) -> Output {
        self.ask(&[&["check"], arguments].concat()).await
    }

    async fn findings(&self, arguments: &[&str]) -> (i32, Findings) {
        let output = self.check(&[arguments, &["--json"]].concat()).await;
        let findings = serde_json::from_slice(&output.stdout);
        let findings = findings.unwrap_or_else(|error| {
            panic!("{error}: {}\n{}", stdout(&output), stderr(&output));
        });
        (output.status.code().unwrap(), Findings(findings))
    }
}

#[derive(Debug)]
struct Findings(Vec<Value>);

impl Findings {
    /// The first of `step` that is neither ok nor skipped, as one text; its outcome.
    #[track_caller]
    fn wrong(&self, step: &str) -> (&str, String) {
        let mut of_it = self.0.iter().filter(|finding| finding["step"] == step);
        let found = of_it
            .find(|finding| finding["outcome"] == "failed" || finding["outcome"] == "warning")
            .unwrap_or_else(|| panic!("nothing wrong with {step} in {self:#?}"));
        let detail = found["detail"].as_str().unwrap();
        let remedy = found["remedy"].as_str().unwrap_or_default();
        (
            found["outcome"].as_str().unwrap(),
            format!("{detail}\n{remedy}"),
        )
    }

    /// `step` failed, with all of these in its text.
    #[track_caller]
    fn assert_failed(&self, step: &str, parts: &[&str]) {
        let (outcome, text) = self.wrong(step);
        assert_eq!(outcome, "failed", "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }

    /// How `step` ended first.
    #[track_caller]
    fn outcome(&self, step: &str) -> &str {
        let found = self.0.iter().find(|finding| finding["step"] == step);
        found.unwrap_or_else(|| panic!("no {step} in {self:#?}"))["outcome"]
            .as_str()
            .unwrap()
    }
}

#[tokio::test]
async fn all_is_well() {
    let clinic = Clinic::open().await;
    std::fs::create_dir(clinic.path("queue")).unwrap();
    let (code, findings) = clinic.findings(&[]).await;
    let steps: Vec<_> = findings
        .0
        .iter()
        .map(|it| it["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "settings", "files", "queue", "dns", "login", "clock", "tcp", "tls", "ehlo", "token",
            "claims", "auth", "limits"
        ]
    );
    let all_ok = findings.0.iter().all(|finding| finding["outcome"] == "ok");
    assert!(all_ok && code == 0, "{findings:#?}");
    assert_eq!(findings.0[2]["account"], Value::Null);
    assert_eq!(findings.0[3]["account"], "default");
    assert_eq!(
        clinic.sandbox.control().stats().token_requests,
        2,
        "one of them a look"
    );
    assert!(clinic.sandbox.control().messages().is_empty());
    assert!(clinic.sandbox.control().violations().is_empty());

    let output = clinic
        .check(&["default", "--send", "desk@fabrikam.com"])
        .await;
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.contains("ok       default: auth      signed in as relay@contoso.com"),
        "{text}"
    );
    assert!(
        text.contains("accepted for desk@fabrikam.com: 250 2.0.0 OK"),
        "{text}"
    );
    assert!(
        text.contains("certificate of localhost, issued by exorelay sandbox CA"),
        "{text}"
    );
    assert!(text.ends_with("all is well\n"), "{text}");
    let messages = clinic.sandbox.control().messages();
    let content = messages[0].content().await.unwrap();
    let content = String::from_utf8(content).unwrap();
    assert!(
        content.contains("From: <relay@contoso.com>\r\n"),
        "{content}"
    );
    assert!(clinic.sandbox.control().violations().is_empty());
}

#[tokio::test]
async fn settings_that_cannot_be_used_end_it() {
    let clinic = Clinic::open().await;
    clinic.spoil("mailbox = ", "mailbx = 1\nmailbox = ");
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 78);
    findings.assert_failed("settings", &["mailbx", "mailbox"]);

    clinic.spoil(
        "client_secret = \"",
        "client_secret = { file = \"/nonexistent/secret\" } #",
    );
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 78);
    findings.assert_failed(
        "files",
        &["account.default.client_secret", "/nonexistent/secret"],
    );
    findings.assert_failed(
        "token",
        &["cannot read the secret file /nonexistent/secret"],
    );

    clinic.write(&clinic.healthy());
    let output = clinic.check(&["other"]).await;
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("no account other in the settings; they have default"));
}

#[tokio::test]
async fn files_open_to_others_are_named() {
    let clinic = Clinic::open().await;
    let (secret, tokens) = (clinic.path("secret"), clinic.path("queue/tokens"));
    let refresh_token = tokens.join("default.json");
    std::fs::create_dir_all(&tokens).unwrap();
    let open = |path: &Path| {
        std::fs::write(path, clinic.sandbox.client_secret().reveal()).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    };
    open(&secret);
    open(&refresh_token);
    let literal = format!("\"{}\"", clinic.sandbox.client_secret().reveal());
    clinic.spoil(&literal, &format!("{{ file = \"{}\" }}", secret.display()));
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 0, "{findings:#?}");
    let text = serde_json::to_string(&findings.0).unwrap();
    assert!(
        text.contains(&format!("chmod o-rwx {}", secret.display())),
        "{text}"
    );
    assert!(
        text.contains(&format!("chmod 600 {}", refresh_token.display())),
        "{text}"
    );
}

#[tokio::test]
async fn a_folder_that_is_none_and_a_full_disk_fail() {
    let clinic = Clinic::open().await;
    std::fs::write(clinic.path("queue"), "").unwrap();
    let (_, findings) = clinic.findings(&[]).await;
    findings.assert_failed("queue", &["is no folder", "queue.directory"]);
    std::fs::remove_file(clinic.path("queue")).unwrap();
    std::fs::create_dir(clinic.path("queue")).unwrap();
    clinic.spoil("min_free_disk = \"1MiB\"", "min_free_disk = \"900000GiB\"");
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 1);
    findings.assert_failed("queue", &["no mail is taken in", "queue.min_free_disk"]);
}

#[tokio::test]
async fn what_entra_refuses_is_explained() {
    let clinic = Clinic::open().await;
    let secret = clinic.sandbox.client_secret().reveal().to_owned();
    let tenant = clinic.sandbox.tenant_id().to_owned();
    let client = clinic.sandbox.client_id().to_owned();
    for (healthy, spoilt, parts) in [
        (
            &secret,
            "wrong",
            &["AADSTS7000215", "Value, not its Secret ID"][..],
        ),
        (
            &format!("{tenant}/oauth2"),
            "99999999-2222-3333-4444-555555555555/oauth2",
            &["AADSTS90002", "Set tenant_id to the Directory (tenant) ID"],
        ),
        (
            &format!("{tenant}/oauth2"),
            "common/oauth2",
            &["AADSTS9001023", "tenant"],
        ),
        (
            &client,
            "99999999-7777-8888-9999-000000000000",
            &[
                "AADSTS700016",
                "Check client_id",
                "https://login.microsoftonline.com/error?code=700016",
            ],
        ),
    ] {
        clinic.spoil(healthy, spoilt);
        let (code, findings) = clinic.findings(&[]).await;
        assert_eq!(code, 77, "{findings:#?}");
        findings.assert_failed("token", parts);
        assert_eq!(findings.outcome("auth"), "skipped");
        assert_eq!(
            findings.outcome("tls"),
            "ok",
            "the rest is looked at all the same"
        );
    }
    // The ID of the secret, which stands next to its value in the portal.
    clinic.spoil(&secret, "0a1b2c3d-2222-3333-4444-555555555555");
    let (_, findings) = clinic.findings(&[]).await;
    let (outcome, text) = findings.wrong("settings");
    assert_eq!(outcome, "warning");
    assert!(text.contains("looks like the Secret ID"), "{text}");
    findings.assert_failed("token", &["Value, not its Secret ID"]);
}

#[tokio::test]
async fn ways_that_are_barred_are_told_apart() {
    let clinic = Clinic::open().await;
    // A port that nobody listens on, for as long as this holds it.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let free = taken.local_addr().unwrap().port();
    let port = format!("port = {}", clinic.sandbox.smtp_address().port());
    clinic.spoil(&port, &format!("port = {free}"));
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 69);
    findings.assert_failed(
        "tcp",
        &[
            "the connection is refused",
            "firewall",
            &format!("nc -vz localhost {free}"),
        ],
    );
    assert_eq!(findings.outcome("auth"), "skipped");

    clinic.spoil("host = \"localhost\"", "host = \"smtp.exorelay.invalid\"");
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 69);
    findings.assert_failed(
        "dns",
        &[
            "smtp.exorelay.invalid cannot be resolved",
            "account.default.smtp.host",
        ],
    );
    assert_eq!(findings.outcome("tcp"), "skipped");

    clinic.spoil(
        &clinic.sandbox.token_url(),
        &format!("http://127.0.0.1:{free}/t/oauth2/v2.0/token"),
    );
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 69);
    findings.assert_failed("login", &["cannot reach 127.0.0.1", "firewall"]);
    assert_eq!(findings.outcome("token"), "skipped");
}

#[tokio::test]
async fn a_certificate_that_nobody_knows_is_told_with_its_issuer() {
    let clinic = Clinic::open().await;
    clinic.spoil("ca_file = ", "#");
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 69);
    findings.assert_failed(
        "tls",
        &[
            "issued by exorelay sandbox CA",
            "TLS inspection",
            "account.default.smtp.ca_file",
        ],
    );
    assert_eq!(findings.outcome("token"), "ok");

    let control = clinic.sandbox.control();
    clinic.write(&clinic.healthy());
    control.smtp_fault(Step::Ehlo, Fault::Reply("250 no extensions".into()), None);
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 69);
    findings.assert_failed("tls", &["does not offer STARTTLS", "no inspect esmtp"]);
}

#[tokio::test]
async fn a_token_for_graph_explains_the_535() {
    let clinic = Clinic::open().await;
    clinic.spoil(
        "[account.default.oauth]\n",
        "[account.default.oauth]\nscope = \"https://graph.microsoft.com/.default\"\n",
    );
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 77);
    let (outcome, text) = findings.wrong("claims");
    assert_eq!(outcome, "warning", "{text}");
    for step in ["claims", "auth"] {
        let (_, text) = findings.wrong(step);
        assert!(text.contains("for Microsoft Graph"), "{text}");
        assert!(text.contains("account.default.oauth.scope"), "{text}");
        assert!(
            text.contains("https://outlook.office365.com/.default"),
            "{text}"
        );
    }
    assert!(findings.wrong("auth").1.starts_with("535 5.7.3"));
}

#[tokio::test]
async fn what_exchange_refuses_at_auth_is_explained() {
    let clinic = Clinic::with(|settings| {
        settings.mailboxes = vec!["other@contoso.com".into()];
    })
    .await;
    // The token is good, so it is the mailbox's right, or the id that was given to Exchange.
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 77);
    findings.assert_failed(
        "auth",
        &[
            "535 5.7.3",
            "ENTERPRISE application",
            "that of the app registration, the most frequent mistake",
            &format!(
                "New-ServicePrincipal -AppId {} -ObjectId ",
                clinic.sandbox.client_id()
            ),
            "too early to judge",
            "relay@contoso.com",
        ],
    );
    let (_, text) = findings.wrong("auth");
    assert!(
        !text.contains("OBJECT_ID") && !text.contains("MAILBOX"),
        "{text}"
    );

    let control = clinic.sandbox.control();
    for (name, words) in [
        (
            "smtp_auth_disabled_for_tenant",
            "Set-CASMailbox -Identity relay@contoso.com",
        ),
        ("conditional_access", "Sign-in logs"),
    ] {
        assert!(control.documented_fault(name, Some(1)));
        let (code, findings) = clinic.findings(&[]).await;
        assert_eq!(code, 77);
        findings.assert_failed("auth", &["535 5.7.139", words]);
    }
    assert!(control.documented_fault("authentication_away", Some(1)));
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 69, "it passes");
    findings.assert_failed("auth", &["454 4.7.0", "Service health"]);
}

#[tokio::test]
async fn a_right_that_is_missing_shows_at_the_message_only() {
    let clinic = Clinic::open().await;
    clinic.sandbox.control().set_send_as(SendAs::Any);
    let send = |name: &str| format!("fault+{name}@contoso.com");
    let to = send("5.2.252");
    let (code, findings) = clinic.findings(&["--send", &to]).await;
    assert_eq!(code, 77);
    assert_eq!(findings.outcome("auth"), "ok");
    findings.assert_failed(
        "message",
        &[
            "SendAsDenied",
            "Add-RecipientPermission",
            "-AccessRights SendAs",
        ],
    );

    let to = send("mailbox_access_missing");
    let (code, findings) = clinic.findings(&["--send", &to]).await;
    assert_eq!(code, 77);
    findings.assert_failed(
        "message",
        &[
            "MapiExceptionLogonFailed",
            "Add-MailboxPermission -Identity relay@contoso.com",
            "too early to judge",
        ],
    );

    // No daemon runs, so nothing is said of its connections.
    let to = send("connections_exceeded");
    let (code, findings) = clinic.findings(&["--send", &to]).await;
    assert_eq!(code, 69);
    findings.assert_failed("message", &["432 4.3.2", "connections"]);
    assert!(!findings.wrong("message").1.contains("daemon"));

    let daemon = clinic.daemon().await;
    let (code, findings) = clinic.findings(&["--send", &to]).await;
    assert_eq!(code, 69);
    findings.assert_failed(
        "message",
        &["432 4.3.2", "The running daemon has connections"],
    );
    drop(daemon);

    let to = send("recipient_unknown");
    let (code, findings) = clinic.findings(&["--send", &to]).await;
    assert_eq!(code, 1);
    findings.assert_failed("message", &["no such recipient"]);
}

#[tokio::test]
async fn limits_beyond_the_services_are_warnings() {
    let clinic = Clinic::with(|settings| {
        settings.limits.message_size_max_bytes = 36 << 20;
    })
    .await;
    let (code, findings) = clinic.findings(&[]).await;
    assert_eq!(code, 0);
    let (outcome, text) = findings.wrong("limits");
    assert_eq!(outcome, "warning");
    assert!(
        text.contains("listener local takes messages of 150 MiB, the service only of 36 MiB"),
        "{text}"
    );
    assert!(
        text.contains("listener.local.max_message_size = \"36MiB\""),
        "{text}"
    );
}

/// Answers every request with this clock.
async fn clock(date: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 405 Method Not Allowed\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/t/oauth2/v2.0/token")
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_before_the_token_is_asked_for() {
    let clinic = Clinic::open().await;
    let url = clock("Fri, 20 Nov 2020 10:00:00 GMT").await;
    clinic.spoil(&clinic.sandbox.token_url(), &url);
    let (code, findings) = clinic.findings(&[]).await;
    assert_ne!(code, 0);
    findings.assert_failed(
        "clock",
        &["ahead of the sign-in service's", "timedatectl set-ntp true"],
    );
    findings.assert_failed("token", &["405", "token_url"]);
}
