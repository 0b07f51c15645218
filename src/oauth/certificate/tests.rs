use super::*;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");

fn fixture(name: &str) -> PathBuf {
    Path::new(KEYS).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

fn file(content: impl AsRef<[u8]>) -> tempfile::TempPath {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file.into_temp_path()
}

fn read(certificate: &Path, key: &Path) -> Result<ClientCertificate, ClientCertificateError> {
    ClientCertificate::read(certificate, Some(key))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const CERTIFICATE: &str = "test-certificate.pem";

#[test]
fn key_is_taken_in_both_formats_and_from_both_places() {
    let certificate = fixture(CERTIFICATE);
    for key in ["test-rsa.pkcs8.pem", "test-rsa.pkcs1.pem"] {
        read(&certificate, &fixture(key)).unwrap();
        // As OpenSSL writes them from a .pfx: attributes, the key first, both in one file.
        let both = format!("Bag Attributes\r\n{}\n{}", text(key), text(CERTIFICATE));
        let both = file(both);
        ClientCertificate::read(&both, None).unwrap();
        read(&both, &both).unwrap();
    }
}

#[test]
fn certificate_may_be_der_and_the_first_of_several() {
    let key = fixture("test-rsa.pkcs8.pem");
    let pem = text(CERTIFICATE);
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let of_der = read(&file(&der), &key).unwrap();
    assert_eq!(of_der.der(), &der[..]);
    let chain = file(format!("{pem}{}", text("test-rsa-1024.pem")));
    assert_eq!(read(&chain, &key).unwrap().der(), &der[..]);
}

#[test]
fn end_is_read_without_a_key() {
    let end = at("2126-01-01T00:00:00Z");
    assert_eq!(certificate_end(&fixture(CERTIFICATE)).unwrap(), end);
    let der = CertificateDer::from_pem_slice(text(CERTIFICATE).as_bytes()).unwrap();
    assert_eq!(certificate_end(&file(&der)).unwrap(), end);
    assert!(matches!(
        certificate_end(&fixture("test-rsa.pkcs8.pem")),
        Err(ClientCertificateError::NoCertificate { .. })
    ));
}

#[test]
fn each_bad_file_is_named_with_the_remedy() {
    let good = || fixture(CERTIFICATE);
    let good_key = || fixture("test-rsa.pkcs8.pem");
    let missing = || PathBuf::from("/nonexistent/app.pem");
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let torn = |name: &str| text(name).lines().take(5).collect::<Vec<_>>().join("\n");
    let junk = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");

    let large = made("large", &"\n".repeat(FILE_MAX_BYTES + 1));
    let empty = made("empty", "");
    let torn_certificate = made("torn-certificate", &torn(CERTIFICATE));
    let junk_certificate = made("junk-certificate", &junk("CERTIFICATE"));
    let torn_key = made("torn-key", &torn("test-rsa.pkcs8.pem"));
    let junk_pkcs8 = made("junk-pkcs8", &junk("PRIVATE KEY"));
    let junk_pkcs1 = made("junk-pkcs1", &junk("RSA PRIVATE KEY"));
    let sec1 = made("sec1", &junk("EC PRIVATE KEY"));
    let ec = rcgen::KeyPair::generate().unwrap();
    let of_ec = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let of_ec = made("ec-certificate", &of_ec.self_signed(&ec).unwrap().pem());
    let ec = made("ec-key", &ec.serialize_pem());
    let other = fixture("test-rsa-other.pkcs8.pem");
    let encrypted = fixture("test-rsa.encrypted.pem");
    let encrypted_pkcs1 = fixture("test-rsa.encrypted-pkcs1.pem");
    let small = fixture("test-rsa-1024.pem");

    // What is found, the certificate, words of the remedy.
    for (found, certificate, remedy) in [
        ("Read", missing(), "client_certificate"),
        ("TooLarge", large, "PEM"),
        ("NoCertificate", empty, "openssl pkcs12"),
        ("NoCertificate", good_key(), "openssl pkcs12"),
        ("BadCertificate", torn_certificate, "again"),
        ("BadCertificate", junk_certificate, "again"),
        ("NotRsa", of_ec, "RSA key of 2048"),
        ("KeySize", small, "has 1024 bits, and 2048 to 4096"),
    ] {
        check(
            &read(&certificate, &good_key()).unwrap_err(),
            found,
            &certificate,
            remedy,
        );
    }
    // The same of keys.
    for (found, key, remedy) in [
        ("Read", missing(), "client_certificate_key"),
        ("NoKey", good(), "client_certificate_key"),
        ("EncryptedKey", encrypted, "openssl pkey"),
        ("EncryptedKey", encrypted_pkcs1, "openssl pkey"),
        ("BadKey", torn_key, "again"),
        ("UnusableKey", junk_pkcs8, "again"),
        ("UnusableKey", junk_pkcs1, "again"),
        ("NotRsa", ec, "RSA key of 2048"),
        ("NotRsa", sec1, "elliptic curve"),
        ("Mismatch", other, "made together"),
    ] {
        check(&read(&good(), &key).unwrap_err(), found, &key, remedy);
    }
}

fn check(error: &ClientCertificateError, found: &str, path: &Path, remedy: &str) {
    let shown = error.to_string();
    assert!(format!("{error:?}").starts_with(found), "{error:?}");
    assert_eq!(error.path(), Some(path), "{error:?}");
    assert!(shown.contains(path.to_str().unwrap()), "{shown}");
    assert!(shown.contains(remedy), "{remedy}: {shown}");
}

#[test]
fn key_missing_from_the_only_file_is_told() {
    let error = ClientCertificate::read(&fixture(CERTIFICATE), None).unwrap_err();
    assert!(matches!(error, ClientCertificateError::NoKey { .. }));
    let both = format!("{}{}", text(CERTIFICATE), text("test-rsa.encrypted.pem"));
    let error = ClientCertificate::read(&file(both), None).unwrap_err();
    assert!(matches!(error, ClientCertificateError::EncryptedKey { .. }));
}

#[test]
fn time_outside_of_its_validity_is_only_a_warning() {
    let certificate = read(&fixture(CERTIFICATE), &fixture("test-rsa.pkcs8.pem")).unwrap();
    for (now, words) in [
        (
            "2025-12-31T23:59:59Z",
            "not valid before 2026-01-01T00:00:00Z",
        ),
        ("2126-01-01T00:00:01Z", "ran out on 2126-01-01T00:00:00Z"),
    ] {
        let warning = certificate.warning(at(now)).unwrap();
        assert!(warning.contains(words), "{warning}");
    }
    for now in ["2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z"] {
        assert_eq!(certificate.warning(at(now)), None);
    }
}

#[test]
fn debug_shows_nothing_of_the_key() {
    let certificate = read(&fixture(CERTIFICATE), &fixture("test-rsa.pkcs8.pem")).unwrap();
    let shown = format!("{certificate:?}");
    assert!(shown.contains("SigningKey(redacted)"), "{shown}");
}
