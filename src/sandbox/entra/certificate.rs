//! A certificate that was uploaded to the application's registration (facts D.8).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::der::{
    BIT_STRING, CONTEXT_0, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, Reader, UTC_TIME,
};
use super::jwt::Jwt;

/// 1.2.840.113549.1.1.1, RFC 8017 appendix A.1.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// No certificate that an application could sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppCertificateError {
    /// No PEM, or none of a certificate.
    #[error("there is no certificate in PEM form in it")]
    NoPem,
    /// Broken, or of another kind of key.
    #[error("it is no X.509 certificate with an RSA key")]
    NoRsaKey,
}

/// What Entra keeps of an uploaded certificate.
#[derive(Debug)]
pub(in crate::sandbox) struct AppCertificate {
    /// SHA-1 of the DER, base64url, as in `x5t`.
    sha1: String,
    /// SHA-256 of the DER, base64url, as in `x5t#S256`.
    sha256: String,
    /// `RSAPublicKey`, RFC 8017 appendix A.1.1.
    public_key: Vec<u8>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl AppCertificate {
    /// The first certificate of a PEM text; whatever else is in it is not looked at.
    pub(in crate::sandbox) fn read(pem: &str) -> Result<Self, AppCertificateError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| AppCertificateError::NoPem)?;
        Self::decode(&der).ok_or(AppCertificateError::NoRsaKey)
    }

    fn decode(der: &[u8]) -> Option<Self> {
        let mut tbs = Reader::new(der).sequence()?.sequence()?;
        tbs.skip_if(CONTEXT_0)?;
        tbs.expect(INTEGER)?;
        let _signature_algorithm = tbs.sequence()?;
        let _issuer = tbs.sequence()?;
        let mut validity = tbs.sequence()?;
        let _subject = tbs.sequence()?;
        let mut key = tbs.sequence()?;
        if key.sequence()?.expect(OBJECT_IDENTIFIER)? != RSA_ENCRYPTION {
            return None;
        }
        // The first octet tells how many bits of the last are unused: none.
        let (0, public_key) = key.expect(BIT_STRING)?.split_first()? else {
            return None;
        };
        let thumbprint = |algorithm| BASE64_URL_SAFE_NO_PAD.encode(digest(algorithm, der));
        Some(Self {
            sha1: thumbprint(&SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&SHA256),
            public_key: public_key.to_vec(),
            not_before: time(validity.next()?)?,
            not_after: time(validity.next()?)?,
        })
    }

    /// Whether the assertion's header means this one.
    pub(super) fn is_meant(&self, jwt: &Jwt<'_>) -> bool {
        let header = &jwt.header;
        header.x5t.as_ref().is_none_or(|x5t| *x5t == self.sha1)
            && header
                .x5t_s256
                .as_ref()
                .is_none_or(|x5t| *x5t == self.sha256)
    }

    /// Whether its key signed the assertion; `None` for an algorithm that is not taken.
    pub(super) fn signed(&self, jwt: &Jwt<'_>) -> Option<bool> {
        let algorithm: &dyn VerificationAlgorithm = match jwt.header.alg.as_str() {
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return None,
        };
        let key = UnparsedPublicKey::new(algorithm, &self.public_key);
        Some(key.verify(jwt.signed.as_bytes(), &jwt.signature).is_ok())
    }
}

/// `Time`, RFC 5280 section 4.1.2.5: always in UTC, always with seconds.
fn time((tag, octets): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(octets).ok()?;
    let text = match tag {
        // Years 1950 to 2049.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read() {
        let pem = include_str!("../tests/fixtures/app.pem");
        let certificate = AppCertificate::read(pem).unwrap();
        // As `openssl x509 -fingerprint` tells them.
        assert_eq!(certificate.sha1, "VKWyhL7UOLfEXc9I60LITPCaaUo");
        assert_eq!(
            certificate.sha256,
            "qgpp2KWC61QTjUCG1k7BlOa_kAbyr1Bc_CuTlVk4n84"
        );
        assert_eq!(certificate.not_before.to_string(), "2020-01-01T00:00:00Z");
        assert_eq!(certificate.not_after.to_string(), "2049-06-01T00:00:00Z");
    }

    #[test]
    fn anything_else_is_refused() {
        let key = include_str!("../tests/fixtures/app.key");
        for pem in ["", "hello", key] {
            let error = AppCertificate::read(pem).unwrap_err();
            assert_eq!(error, AppCertificateError::NoPem);
        }
        let other = crate::sandbox::certificate::Identity::generate().unwrap();
        let error = AppCertificate::read(&other.ca_pem).unwrap_err();
        assert_eq!(error, AppCertificateError::NoRsaKey);
    }

    #[test]
    fn half_a_certificate_is_none() {
        let pem = include_str!("../tests/fixtures/app.pem");
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        for end in 0..der.len() {
            assert!(AppCertificate::decode(&der[..end]).is_none(), "{end}");
        }
    }
}
