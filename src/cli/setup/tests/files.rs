//! Files that answers name, and answers that are a file.

use super::*;
use crate::cli::setup::answer_file::AnswerFile;

#[test]
fn certificates_are_looked_at() {
    let (folder, [pem, key, _]) = certificate();
    let locked = folder.path().join("locked.key");
    std::fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let locked: &'static str = locked.to_str().unwrap().to_owned().leak();
    let typed = [
        "2",
        "",
        TENANT,
        CLIENT,
        "app.pem",
        "/nonexistent",
        key,
        pem,
        "",
        "-",
        pem,
        locked,
        key,
        "relay@contoso.com",
        "",
        "",
        "",
    ];
    let (plan, mut script) = (plan(""), Script::new(&typed));
    let answers = interview::hold(&mut script, plan.present()).unwrap();
    assert_eq!(
        (
            answers.certificate.as_str(),
            answers.certificate_key.as_str()
        ),
        (pem, key)
    );
    let told: Vec<&str> = script
        .shown
        .iter()
        .filter_map(|line| line.strip_prefix("! client_"))
        .collect();
    let parts = [
        "absolute",
        "cannot open",
        "no certificate",
        "is needed",
        "no private key",
        "no private key",
        "passphrase",
    ];
    assert_eq!(told.len(), parts.len(), "{told:#?}");
    for (line, part) in told.iter().zip(parts) {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn answers_of_a_file_are_those_of_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.toml");
    let held = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let plan = plan("");
        let answers =
            AnswerFile::read(&path).and_then(|mut file| interview::hold(&mut file, plan.present()));
        answers.map(|answers| plan.edited(&answers).0)
    };
    let account =
        format!("tenant_id = '{TENANT}'\nclient_id = '{CLIENT}'\nmailbox = 'relay@contoso.com'\n");
    let placed = "client_secret = { credential = 'exorelay-secret' }\n";
    let text = held(&format!(
        "way = 'secret'\n{account}{placed}credential_expires = 2027-05-01\n\
         listener = {{ allow = ['10.20.1.0/24'], address = '10.20.1.5:25' }}\nbounce.to = 'none'\n"
    ));
    let text = text.unwrap();
    assert_valid(&text);
    for part in [
        "client_secret = { credential = \"exorelay-secret\" }",
        "credential_expires = \"2027-05-01\"",
        "address = \"10.20.1.5:25\"",
        "to = \"none\"",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for (wrong, parts) in [
        (
            format!("{account}{placed}hostname = 'x'\n"),
            ["hostname", "not a known key"],
        ),
        (
            format!("{account}{placed}mailbox.x = 1\n"),
            [":5:", "mailbox"],
        ),
        (
            format!("{account}client_secret = 'hunter2'\n"),
            ["client_secret", "client_secret_file"],
        ),
        (
            format!("{account}client_secret_file = '/nonexistent'\n"),
            ["client_secret_file", "/nonexistent"],
        ),
        (
            format!("{account}{placed}client_secret_env = 'X'\n"),
            ["client_secret_env", "keep one"],
        ),
        (account.clone(), ["client_secret", "is needed"]),
        (
            format!("way = 'device'\n{account}{placed}credential_expires = ''\n"),
            ["credential_expires", "no meaning"],
        ),
        (format!("way = 3\n{account}{placed}"), ["way", "in quotes"]),
        (placed.to_owned(), ["tenant_id", "is needed"]),
        (format!("way = 'secret\n{account}"), [":1:", "string"]),
    ] {
        let error = held(&wrong).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let line = error.lines().collect::<Vec<_>>().join("\n");
        assert!(!line.contains("hunter2"), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
