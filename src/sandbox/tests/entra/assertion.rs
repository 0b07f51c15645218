//! Client credentials with a certificate.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::support::{Fields, claims, granted, order, refused, smtp, text, with};
use crate::sandbox::tests::support::start;
use crate::sandbox::{AppCertificateError, Sandbox, Settings, StartError};

const APP: (&str, &str) = (
    include_str!("../fixtures/app.pem"),
    include_str!("../fixtures/app.key"),
);
const STRANGER: (&str, &str) = (
    include_str!("../fixtures/stranger.pem"),
    include_str!("../fixtures/stranger.key"),
);

/// An assertion as it should be; tests make it wrong.
struct Assertion {
    key: &'static str,
    header: Value,
    payload: Value,
}

impl Assertion {
    fn new(sandbox: &Sandbox) -> Self {
        let now = Timestamp::now().as_second();
        Self {
            key: APP.1,
            header: json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(APP.0, &SHA256) }),
            payload: json!({
                "aud": sandbox.token_url(),
                "iss": sandbox.client_id(),
                "sub": sandbox.client_id(),
                "jti": format!("{:032x}", fastrand::u128(..)),
                "nbf": now - 60,
                "iat": now,
                "exp": now + 540,
            }),
        }
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.payload[name] = value.into();
        self
    }

    fn in_seconds(self, name: &str, seconds: i64) -> Self {
        self.claim(name, Timestamp::now().as_second() + seconds)
    }

    fn sign(&self) -> String {
        let der = PrivatePkcs8KeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&self.header), encode(&self.payload));
        let algorithm: &dyn RsaEncoding = if self.header["alg"] == "PS256" {
            &RSA_PSS_SHA256
        } else {
            &RSA_PKCS1_SHA256
        };
        let mut signature = vec![0; key.public().modulus_len()];
        let random = SystemRandom::new();
        key.sign(algorithm, &random, signed.as_bytes(), &mut signature)
            .unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn thumbprint(pem: &str, algorithm: &'static ring::digest::Algorithm) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    BASE64_URL_SAFE_NO_PAD.encode(digest(algorithm, &der))
}

pub(super) fn form<'a>(sandbox: &'a Sandbox, assertion: &'a str) -> Fields<'a> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_id", sandbox.client_id()),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
        ("scope", "https://outlook.office365.com/.default"),
    ]
}

fn certified(settings: &mut Settings) {
    settings.certificates = vec![APP.0.to_owned()];
}

#[tokio::test]
async fn both_kinds_of_signature_are_taken() {
    let (sandbox, _folder) = start(|settings| {
        settings.certificates = vec![STRANGER.0.to_owned(), APP.0.to_owned()];
    })
    .await;
    let assertion = Assertion::new(&sandbox).sign();
    let body = granted(&sandbox, &form(&sandbox, &assertion)).await;
    let token = text(&body, "access_token");
    assert_eq!(claims(token)["appidacr"], "2");
    assert_eq!(claims(token)["roles"], json!(["SMTP.SendAsApp"]));
    smtp(&sandbox, "relay@contoso.com", token, "235 ").await;

    let mut old = Assertion::new(&sandbox);
    let sha1 = thumbprint(APP.0, &SHA1_FOR_LEGACY_USE_ONLY);
    old.header = json!({ "alg": "RS256", "typ": "JWT", "x5t": sha1 });
    granted(&sandbox, &form(&sandbox, &old.sign())).await;
    let mut other = Assertion::new(&sandbox).header("x5t#S256", thumbprint(STRANGER.0, &SHA256));
    other.key = STRANGER.1;
    granted(&sandbox, &form(&sandbox, &other.sign())).await;
}

#[tokio::test]
async fn wrong_assertions_are_refused() {
    let (sandbox, _folder) = start(certified).await;
    let right = || Assertion::new(&sandbox);
    let unknown = thumbprint(STRANGER.0, &SHA256);
    let mut signed_by_another = right();
    signed_by_another.key = STRANGER.1;
    let mut nameless = right();
    nameless.header = json!({ "alg": "PS256", "typ": "JWT" });
    for (code, what, assertion) in [
        (700_027, "unknown key", right().header("x5t#S256", unknown)),
        (
            700_027,
            "two thumbprints",
            right().header("x5t", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ),
        (700_027, "another's signature", signed_by_another),
        (50_027, "HMAC", right().header("alg", "HS256")),
        (50_027, "none", right().header("alg", "none")),
        (5_002_723, "no thumbprint", nameless),
        (700_021, "issuer", right().claim("iss", "somebody")),
        (
            700_021,
            "subject",
            right().claim("sub", sandbox.public_client_id()),
        ),
        (
            700_023,
            "audience",
            right().claim("aud", "https://login.microsoftonline.com/common/v2.0"),
        ),
        (700_024, "expired", right().in_seconds("exp", -1)),
        (700_024, "an hour behind", {
            right().in_seconds("nbf", -3_600).in_seconds("exp", -3_000)
        }),
        (700_024, "an hour ahead", {
            right().in_seconds("nbf", 3_600).in_seconds("exp", 4_200)
        }),
        (50_027, "lives long", right().in_seconds("exp", 3_601)),
        (50_027, "no beginning", right().claim("nbf", Value::Null)),
        (50_027, "no identifier", right().claim("jti", Value::Null)),
        (50_027, "no end", right().claim("exp", Value::Null)),
        (50_027, "end as text", right().claim("exp", "soon")),
    ] {
        eprintln!("{what}");
        let assertion = assertion.sign();
        refused(
            &sandbox,
            &form(&sandbox, &assertion),
            "invalid_client",
            code,
        )
        .await;
    }
    for malformed in [
        "x",
        "a.b.c",
        "e30.e30.AAAA",
        &right().sign().replace('.', ""),
    ] {
        let form = form(&sandbox, malformed);
        refused(&sandbox, &form, "invalid_client", 50_027).await;
    }
    assert_eq!(sandbox.control().stats().tokens_issued, 0);
}

#[tokio::test]
async fn an_assertion_is_good_for_one_request() {
    let (sandbox, _folder) = start(certified).await;
    let assertion = Assertion::new(&sandbox).sign();
    granted(&sandbox, &form(&sandbox, &assertion)).await;
    refused(
        &sandbox,
        &form(&sandbox, &assertion),
        "invalid_client",
        50_027,
    )
    .await;
}

#[tokio::test]
async fn the_request_around_it_is_checked() {
    let (sandbox, _folder) = start(certified).await;
    let assertion = Assertion::new(&sandbox).sign();
    let form = form(&sandbox, &assertion);
    for (changes, error, code) in [
        (
            &[("client_assertion_type", "")][..],
            "invalid_request",
            900_144,
        ),
        (
            &[("client_assertion_type", "jwt-bearer")],
            "invalid_request",
            90_023,
        ),
        (&[("client_secret", "x")], "invalid_request", 90_023),
        (
            &[("client_id", sandbox.public_client_id())],
            "invalid_client",
            700_025,
        ),
        (
            &[
                ("client_id", sandbox.public_client_id()),
                ("client_assertion", ""),
            ],
            "invalid_client",
            7_000_218,
        ),
        (
            &[("resource", "https://outlook.office365.com")],
            "invalid_request",
            901_002,
        ),
    ] {
        refused(&sandbox, &with(&form, changes), error, code).await;
    }
    granted(&sandbox, &form).await;
}

#[tokio::test]
async fn an_assertion_is_judged_by_the_clock_of_the_service() {
    let (sandbox, _folder) = start(certified).await;
    for (offset, taken) in [(0, true), (-200, true), (-3_600, false), (3_600, false)] {
        sandbox.control().set_clock_offset(offset);
        let assertion = Assertion::new(&sandbox).sign();
        let form = form(&sandbox, &assertion);
        if taken {
            granted(&sandbox, &form).await;
        } else {
            refused(&sandbox, &form, "invalid_client", 700_024).await;
        }
    }
    // In 2056 the certificate has run out; the client's clock is right.
    let thirty_years = 30 * 366 * 86_400;
    let (status, _) = order(&sandbox, &format!("/entra/clock?offset={thirty_years}")).await;
    assert_eq!(status, 204);
    let now = Timestamp::now().as_second() + thirty_years;
    let assertion = Assertion::new(&sandbox)
        .claim("nbf", now)
        .claim("exp", now + 300)
        .sign();
    let form = form(&sandbox, &assertion);
    refused(&sandbox, &form, "invalid_client", 700_027).await;
}

#[tokio::test]
async fn a_sandbox_does_not_start_with_a_certificate_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    settings.certificates = vec![APP.1.to_owned()];
    let error = Sandbox::start(settings).await.unwrap_err();
    assert!(
        matches!(
            error,
            StartError::AppCertificate(AppCertificateError::NoPem)
        ),
        "{error:?}"
    );
}
