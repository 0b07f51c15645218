//! `tls self-signed`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use exorelay::tls::{Certificate, sha256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::bench::{Bench, exorelay};

fn self_signed(folder: &Path, more: &[&str]) -> Output {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut command = exorelay(&["tls", "self-signed", "--certificate"]);
    command.arg(certificate).arg("--key").arg(key);
    command.args(more).output().unwrap()
}

fn der(folder: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()
}

#[test]
fn a_pair_is_made_and_never_overwritten_unasked() {
    let folder = TempDir::new().unwrap();
    let names = ["--name", "relay.test", "--name", "10.1.2.3", "--days", "90"];
    let output = self_signed(folder.path(), &names);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    let first = der(folder.path());
    let fingerprint: Vec<String> = sha256(&first).iter().map(|o| format!("{o:02X}")).collect();
    for words in [
        "for relay.test, 10.1.2.3, until ",
        &format!("SHA-256 fingerprint: {}\n", fingerprint.join(":")),
        "tls = \"optional\"\n",
        &format!(
            "certificate = \"{}\"\n",
            folder.path().join("cert.pem").display()
        ),
        &format!(
            "private_key = \"{}\"\n",
            folder.path().join("key.pem").display()
        ),
    ] {
        assert!(shown.contains(words), "{words:?} in {shown}");
    }
    let decoded = Certificate::decode(&first).unwrap();
    let days = decoded
        .not_after
        .duration_since(jiff::Timestamp::now())
        .as_hours()
        / 24;
    assert!((89..=91).contains(&days), "{days}");
    let mode = |name: &str| {
        let metadata = std::fs::metadata(folder.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("key.pem"), mode("cert.pem")), (0o600, 0o644));

    let output = self_signed(folder.path(), &names);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cert.pem is there already"), "{errors}");
    assert_eq!(der(folder.path()), first);
    let output = self_signed(folder.path(), &[&names[..], &["--force"]].concat());
    assert!(output.status.success());
    assert_ne!(der(folder.path()), first);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn names_come_from_the_settings() {
    let bench = Bench::new();
    let text = "hostname = \"relay.contoso.local\"\n".to_owned()
        + &std::fs::read_to_string(bench.config()).unwrap();
    std::fs::write(bench.config(), text).unwrap();
    bench.append(
        "[listener.local]\n[listener.lan]\naddress = \"10.1.2.3:25\"\nallow = [\"10.0.0.0/8\"]\n",
    );
    bench.append("[listener.any]\naddress = \"0.0.0.0:2526\"\nallow = [\"10.0.0.0/8\"]\n");
    let folder = TempDir::new().unwrap();
    let mut command = bench.command(&["tls", "self-signed", "--certificate"]);
    command.arg(folder.path().join("cert.pem")).arg("--key");
    let output = command.arg(folder.path().join("key.pem")).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let names = "for relay.contoso.local, 10.1.2.3, localhost, 127.0.0.1, until";
    assert!(shown.contains(names), "{shown}");
}

#[test]
fn what_cannot_be_made_is_told() {
    let folder = TempDir::new().unwrap();
    for (more, code, words) in [
        (vec!["--name", "relay.test:25"], 2, "without a port"),
        (vec!["--name", "x", "--days", "0"], 2, "--days"),
        (vec!["--name", "x"], 1, "there is no folder"),
    ] {
        let output = self_signed(&folder.path().join("none"), &more);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
}
