//! Who was at the other end of a handshake, also of one that failed.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::Names;

/// Leaves the verdict to another verifier, and remembers what was judged.
#[derive(Debug)]
pub struct Witness {
    judge: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Option<Seen>>,
}

/// A certificate, and what was found about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// None: it cannot be read.
    pub certificate: Option<Names>,
    /// Why it is not trusted, if it is not.
    pub refused: Option<Distrust>,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrust {
    /// Where the cause is to be looked for.
    pub kind: DistrustKind,
    /// In words.
    pub reason: String,
}

/// Where the cause is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistrustKind {
    /// Nobody here knows who issued it.
    Issuer,
    /// It is for another host.
    Host,
    /// It has expired, or is not valid yet: perhaps by this machine's clock only.
    Time,
    /// Anything else.
    Other,
}

impl Distrust {
    fn of(error: &Error) -> Self {
        use CertificateError as Reason;
        let Error::InvalidCertificate(reason) = error else {
            return Self {
                kind: DistrustKind::Other,
                reason: error.to_string(),
            };
        };
        let kind = match reason {
            Reason::UnknownIssuer => DistrustKind::Issuer,
            Reason::NotValidForName | Reason::NotValidForNameContext { .. } => DistrustKind::Host,
            Reason::Expired
            | Reason::ExpiredContext { .. }
            | Reason::NotValidYet
            | Reason::NotValidYetContext { .. } => DistrustKind::Time,
            _ => DistrustKind::Other,
        };
        Self {
            kind,
            reason: reason.to_string(),
        }
    }
}

impl Witness {
    pub(super) fn new(judge: Arc<dyn ServerCertVerifier>) -> Self {
        Self {
            judge,
            seen: Mutex::new(None),
        }
    }

    /// Of the last handshake; none: it did not come to a certificate.
    pub fn seen(&self) -> Option<Seen> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let seen = Seen {
            certificate: Names::decode(end_entity),
            refused: verdict.as_ref().err().map(Distrust::of),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
