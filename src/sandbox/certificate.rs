//! A certificate authority that lives as long as the sandbox, and the server's certificate from it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::tls::day;

/// Clients whose clock is behind must still take the certificate.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);
/// Under the 398 days that some clients allow at most.
const VALID: SignedDuration = SignedDuration::from_hours(24 * 390);

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificate itself.
    #[error("make a certificate for the sandbox")]
    Make(#[from] rcgen::Error),
    /// rustls does not take it.
    #[error("use the sandbox's certificate")]
    Use(#[from] rustls::Error),
}

/// The server's side of TLS, and what clients need in order to trust it. The keys are never written to disk.
pub(super) struct Identity {
    /// TLS 1.2 and 1.3, as Exchange Online (facts A.1).
    pub(super) server: Arc<ServerConfig>,
    /// The authority's certificate, PEM.
    pub(super) ca_pem: String,
}

impl Identity {
    /// A new authority, and a certificate for `localhost`, `127.0.0.1` and `::1`.
    pub(super) fn generate() -> Result<Self, CertificateError> {
        let mut ca = params("exorelay sandbox CA", &[])?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

        let mut leaf = params("localhost", &["localhost", "127.0.0.1", "::1"])?;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &ca)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        Ok(Self {
            server: Arc::new(server),
            ca_pem: ca.pem(),
        })
    }
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = Timestamp::now();
    let (year, month, midnight) = day(now - BACKDATED);
    params.not_before = rcgen::date_time_ymd(year, month, midnight);
    let (year, month, midnight) = day(now + VALID);
    params.not_after = rcgen::date_time_ymd(year, month, midnight);
    Ok(params)
}
