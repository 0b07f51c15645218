//! What stands in for a secret: assertions of our own, and those of another identity provider.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use oauth2::url::form_urlencoded;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::credentials::Log;
use super::*;
use crate::tls::{Certificate, PublicKey};

const CERTIFICATE: &str = include_str!("../../../../tests/fixtures/keys/test-certificate.pem");
const KEY: &str = include_str!("../../../../tests/fixtures/keys/test-rsa.pkcs8.pem");
const OTHER_KEY: &str = include_str!("../../../../tests/fixtures/keys/test-rsa-other.pkcs8.pem");
const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";

/// What `openssl x509 -fingerprint` says of the test certificate.
const SHA256: &str = "AD4E5C8A85907F7020A9DFA2168314201E8E949537EAA4AB8B7448679FD03949";
const SHA1: &str = "51DEF056A242C0EE2CB5DC9B559A12F7C181DCCB";

fn fingerprint(hex: &str) -> String {
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let octets: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// A folder with `app.pem`, and the credential in it.
struct App {
    folder: tempfile::TempDir,
}

impl App {
    fn new(content: &str) -> Self {
        let app = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        app.replace(content);
        app
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.pem")
    }

    fn replace(&self, content: &str) {
        std::fs::write(self.path(), content).unwrap();
    }

    fn certificate(&self, url: &EndpointUrl, algorithm: AssertionAlgorithm) -> Settings {
        Settings {
            credential: Credential::Certificate {
                certificate: self.path(),
                key: None,
                algorithm,
            },
            ..settings(url.clone())
        }
    }

    fn federated(&self, url: &EndpointUrl) -> Settings {
        Settings {
            credential: Credential::Federated {
                token_file: self.path(),
            },
            ..settings(url.clone())
        }
    }
}

/// A certificate for `key` that is valid from the first to the last of these years.
fn certificate_of(key: &str, years: (i32, i32)) -> String {
    let key = rcgen::KeyPair::from_pem(key).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    params.self_signed(&key).unwrap().pem()
}

/// The parameters of each request so far.
fn requests(seen: &Seen) -> Vec<BTreeMap<String, String>> {
    let seen = seen.lock().unwrap();
    let parameters = |body: &String| {
        form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect()
    };
    seen.iter().map(|(_, body)| parameters(body)).collect()
}

fn assertions(seen: &Seen) -> Vec<String> {
    let requests = requests(seen).into_iter();
    requests
        .map(|mut request| request.remove("client_assertion").unwrap())
        .collect()
}

/// Header and claims of a JWT that was signed with the key of the certificate `pem`.
fn verified(jwt: &str, pem: &str, parameters: &'static RsaParameters) -> (Value, Value) {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let PublicKey::Rsa(key) = Certificate::decode(&der).unwrap().key else {
        panic!("an RSA key");
    };
    let key = RsaPublicKeyComponents {
        n: key.modulus,
        e: key.exponent,
    };
    key.verify(parameters, signed.as_bytes(), &decode(signature))
        .unwrap();
    let json = |part| serde_json::from_slice(&decode(part)).unwrap();
    (json(header), json(claims))
}

#[tokio::test]
async fn certificate_signs_what_microsoft_documents() {
    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    // A query belongs to the audience as well: it is the URL exactly as requested.
    let url: EndpointUrl = format!("{url}?slice=test").parse().unwrap();
    let app = App::new(&format!("{CERTIFICATE}{KEY}"));
    let before = Timestamp::now().as_second();
    let granted = obtain(app.certificate(&url, AssertionAlgorithm::Ps256)).await;
    let after = Timestamp::now().as_second();
    assert_eq!(granted.unwrap().token.reveal(), TOKEN);

    let request = requests(&seen).pop().unwrap();
    let (header, mut claims) = verified(
        &request["client_assertion"],
        CERTIFICATE,
        &RSA_PSS_2048_8192_SHA256,
    );
    let names: Vec<&str> = request.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "client_assertion",
            "client_assertion_type",
            "client_id",
            "grant_type",
            "scope"
        ]
    );
    assert_eq!(request["client_id"], CLIENT_ID);
    assert_eq!(request["grant_type"], "client_credentials");
    assert_eq!(
        request["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(
        header,
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": fingerprint(SHA256)})
    );
    let issued = claims["iat"].as_i64().unwrap();
    assert!((before..=after).contains(&issued));
    assert_eq!(claims["jti"].take().as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({
            "aud": url.as_str(), "iss": CLIENT_ID, "sub": CLIENT_ID, "jti": null,
            "nbf": issued - 300, "iat": issued, "exp": issued + 600,
        })
    );
}

#[tokio::test]
async fn older_signature_names_the_certificate_in_the_older_way() {
    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    let app = App::new(&format!("{KEY}{CERTIFICATE}"));
    let granted = obtain(app.certificate(&url, AssertionAlgorithm::Rs256)).await;
    assert!(granted.is_ok());
    let jwt = assertions(&seen).pop().unwrap();
    let (header, _) = verified(&jwt, CERTIFICATE, &RSA_PKCS1_2048_8192_SHA256);
    assert_eq!(
        header,
        json!({"alg": "RS256", "typ": "JWT", "x5t": fingerprint(SHA1)})
    );
}

#[tokio::test]
async fn replaced_certificate_is_used_for_the_next_request() {
    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    let app = App::new("");
    let grant = Grant::new(app.certificate(&url, AssertionAlgorithm::Ps256)).unwrap();

    let error = grant.obtain().await.unwrap_err();
    assert!(matches!(
        &error,
        TokenError::Operator(OperatorError::ClientCertificate(_))
    ));
    assert!(error.to_string().contains(app.path().to_str().unwrap()));
    // Another mistake is other news.
    app.replace(CERTIFICATE);
    let other = grant.obtain().await.unwrap_err();
    assert!(!error.is_like(&other) && other.is_like(&other.clone()));

    let renewed = certificate_of(OTHER_KEY, (2020, 2120));
    for (certificate, key) in [
        (CERTIFICATE, KEY),
        (&renewed, OTHER_KEY),
        (&renewed, OTHER_KEY),
    ] {
        app.replace(&format!("{certificate}{key}"));
        grant.obtain().await.unwrap();
        let jwt = assertions(&seen).pop().unwrap();
        verified(&jwt, certificate, &RSA_PSS_2048_8192_SHA256);
    }
    let assertions = assertions(&seen);
    let ids: BTreeSet<String> = assertions
        .iter()
        .map(|jwt| {
            let claims = jwt.split('.').nth(1).unwrap();
            let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            claims["jti"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!((assertions.len(), ids.len()), (3, 3));
}

#[tokio::test]
async fn refusal_of_an_assertion_tells_the_number_and_not_the_assertion() {
    let (url, seen) = endpoint(|_, body| {
        let (_, assertion) = body.split_once("client_assertion=").unwrap();
        let assertion = assertion.split('&').next().unwrap();
        let text = format!("AADSTS700027: not found for {assertion}, {body}");
        let body = json!({"error": "invalid_client", "error_description": text});
        answer(401, &JSON, body.to_string())
    })
    .await;
    let of_certificate = App::new(&format!("{CERTIFICATE}{KEY}"));
    let of_other = App::new("eyJh.pl4nted-claims.c2ln\n");
    for settings in [
        of_certificate.certificate(&url, AssertionAlgorithm::Ps256),
        of_other.federated(&url),
    ] {
        let error = obtain(settings).await.unwrap_err();
        assert_eq!(error.response().unwrap().aadsts(), Some(700_027));
        let shown = format!("{error} {error:?} {}", error.report());
        assert!(shown.contains("Upload the certificate"), "{shown}");
        assert!(shown.contains("not found for (redacted)"), "{shown}");
        let sent = assertions(&seen).pop().unwrap();
        for part in sent.split('.') {
            assert!(!shown.contains(part), "{part}: {shown}");
        }
    }
    // One proof, one request: there is nothing else to be tried.
    assert_eq!(assertions(&seen).len(), 2);
}

#[tokio::test]
async fn expired_certificate_is_sent_all_the_same_with_one_warning() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    let app = App::new(&format!("{}{KEY}", certificate_of(KEY, (2020, 2021))));
    let grant = Grant::new(app.certificate(&url, AssertionAlgorithm::Ps256)).unwrap();
    let warnings = || {
        log.text()
            .matches("ran out on 2021-01-01T00:00:00Z")
            .count()
    };
    grant.obtain().await.unwrap();
    grant.obtain().await.unwrap();
    assert_eq!(warnings(), 1);
    app.replace(&format!("{CERTIFICATE}{KEY}"));
    grant.obtain().await.unwrap();
    app.replace(&format!("{}{KEY}", certificate_of(KEY, (2020, 2021))));
    grant.obtain().await.unwrap();
    assert_eq!(warnings(), 2);

    let log = log.text();
    let first_line = |pem: &'static str| pem.lines().nth(1).unwrap();
    for jwt in assertions(&seen) {
        let signature = jwt.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "{log}");
    }
    assert!(!log.contains(first_line(KEY)), "{log}");
}

#[tokio::test]
async fn token_of_another_provider_is_read_for_each_request() {
    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    let app = App::new("eyJh.first.c2ln\n");
    let grant = Grant::new(app.federated(&url)).unwrap();
    grant.obtain().await.unwrap();
    app.replace("eyJh.second.c2ln");
    grant.obtain().await.unwrap();
    assert_eq!(assertions(&seen), ["eyJh.first.c2ln", "eyJh.second.c2ln"]);
    let request = requests(&seen).pop().unwrap();
    assert_eq!(request["client_id"], CLIENT_ID);
    assert_eq!(
        request["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert!(!request.contains_key("client_secret"));

    std::fs::remove_file(app.path()).unwrap();
    let error = grant.obtain().await.unwrap_err();
    assert!(matches!(
        &error,
        TokenError::Operator(OperatorError::FederatedToken(_))
    ));
    assert!(error.to_string().contains("azure.workload.identity/use"));
    assert_eq!(assertions(&seen).len(), 2);
}

#[tokio::test]
async fn key_may_have_a_file_of_its_own() {
    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    let app = App::new(CERTIFICATE);
    let key = app.folder.path().join("app.key");
    std::fs::write(&key, KEY).unwrap();
    let mut settings = app.certificate(&url, AssertionAlgorithm::Ps256);
    if let Credential::Certificate { key: of_key, .. } = &mut settings.credential {
        *of_key = Some(key);
    }
    obtain(settings).await.unwrap();
    let jwt = assertions(&seen).pop().unwrap();
    verified(&jwt, CERTIFICATE, &RSA_PSS_2048_8192_SHA256);
}
