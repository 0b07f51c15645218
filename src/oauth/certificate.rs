//! The application's certificate and its private key, as files (facts D.8).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use memchr::memmem;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::tls::{Certificate, KeyError, PublicKey, RSA_BITS, RsaPublicKey, SigningKey};

/// A certificate that proves an application, with the key that belongs to it.
#[derive(Debug)]
pub struct ClientCertificate {
    der: CertificateDer<'static>,
    key: SigningKey,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Certificate or key cannot be used; each says which file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateError {
    /// A file is missing or not readable for this user.
    #[error(
        "cannot read {path} (check client_certificate and client_certificate_key, and that the user exorelay runs as may read it): {source}"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Most likely not a certificate at all.
    #[error("{path} has more than {FILE_MAX_BYTES} bytes: name a PEM file with one certificate")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Readable, but without a certificate.
    #[error(
        "{path} holds no certificate (a section that begins with BEGIN CERTIFICATE); a .pfx file is made into one with: openssl pkcs12 -in FILE.pfx -nodes -out {path}"
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// It looks like one and is not.
    #[error("the certificate in {path} is damaged: export it again")]
    BadCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Readable, but without a key.
    #[error(
        "{path} holds no private key (a section that begins with BEGIN PRIVATE KEY): put it there, or name its file in client_certificate_key"
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Nobody is there to type the passphrase.
    #[error(
        "the private key in {path} is encrypted, and nobody is there to type its passphrase: decrypt it with openssl pkey -in {path} -out NEW, chmod 600 NEW, and name that file in client_certificate_key"
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// A section that is not what it says.
    #[error("the private key in {path} is damaged: export it again")]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// Entra documents RSA only (facts D.8).
    #[error(
        "{path} has a key that Entra does not take ({what}): make an RSA key of 2048 bits or more and a certificate for it, and upload that to the app"
    )]
    NotRsa {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Too weak, or more than the provider takes.
    #[error(
        "the key of the certificate in {path} has {bits} bits, and {} to {} can be used: make a new key and a certificate for it, and upload that to the app",
        RSA_BITS.start(), RSA_BITS.end()
    )]
    KeySize {
        /// The file.
        path: PathBuf,
        /// Of the modulus.
        bits: usize,
    },
    /// The provider refuses the key.
    #[error(
        "the private key in {path} cannot be used ({reason}): export it again, or make a new one"
    )]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// The provider's word for it.
        reason: Box<str>,
    },
    /// Two halves of different wholes.
    #[error(
        "the private key in {key} does not belong to the certificate in {certificate}: name the two that were made together (of several certificates in a file the first one counts)"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The key is good, and still there is no signature.
    #[error("cannot sign with the client certificate: {source}")]
    Sign {
        /// Why.
        source: crate::tls::SignError,
    },
}

impl ClientCertificateError {
    /// The file that has to be looked at.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path }
            | Self::NoCertificate { path }
            | Self::BadCertificate { path }
            | Self::NoKey { path }
            | Self::EncryptedKey { path }
            | Self::BadKey { path }
            | Self::NotRsa { path, .. }
            | Self::KeySize { path, .. }
            | Self::UnusableKey { path, .. }
            | Self::Mismatch { key: path, .. } => Some(path),
            Self::Sign { .. } => None,
        }
    }
}

impl ClientCertificate {
    /// Reads both, PEM; the key is in the certificate's file when it has none of its own. The
    /// certificate alone may be DER as well. Small blocking reads, to be called off the runtime's threads.
    pub fn read(certificate: &Path, key: Option<&Path>) -> Result<Self, ClientCertificateError> {
        let content = read_file(certificate)?;
        let der = certificate_in(&content, certificate)?;
        let decoded = decode(&der, certificate)?;
        let public = check_key(&decoded, certificate)?;
        let signing_key = match key {
            None => read_key(&content, certificate)?,
            Some(key) => read_key(&read_file(key)?, key)?,
        };
        if signing_key.public_key() != Some(public) {
            return Err(ClientCertificateError::Mismatch {
                certificate: certificate.to_owned(),
                key: key.unwrap_or(certificate).to_owned(),
            });
        }
        let (not_before, not_after) = (decoded.not_before, decoded.not_after);
        Ok(Self {
            der,
            key: signing_key,
            not_before,
            not_after,
        })
    }

    /// DER, for its thumbprint.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Why Entra will refuse it by then: that it has run out, or is not valid yet. Only a warning, since
    /// our clock may be the one that is wrong.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        if now > self.not_after {
            let end = self.not_after;
            Some(format!(
                "the client certificate ran out on {end}: make a new one and upload it to the app, or correct this machine's clock"
            ))
        } else if now < self.not_before {
            let start = self.not_before;
            Some(format!(
                "the client certificate is not valid before {start}: wait, or correct this machine's clock"
            ))
        } else {
            None
        }
    }
}

/// When the certificate in `path` (PEM or DER) runs out; [`Timestamp::MAX`]: never. A small blocking read.
pub fn certificate_end(path: &Path) -> Result<Timestamp, ClientCertificateError> {
    let content = read_file(path)?;
    let der = certificate_in(&content, path)?;
    decode(&der, path).map(|certificate| certificate.not_after)
}

/// What may hold a key, wiped afterwards.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, ClientCertificateError> {
    // All at once: a buffer that grows would leave parts of the key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(FILE_MAX_BYTES + 64));
    File::open(path)
        .and_then(|file| {
            file.take(FILE_MAX_BYTES as u64 + 1)
                .read_to_end(&mut content)
        })
        .map_err(|source| ClientCertificateError::Read {
            path: path.to_owned(),
            source,
        })?;
    if content.len() > FILE_MAX_BYTES {
        return Err(ClientCertificateError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(content)
}

/// The first certificate. Sections around it, such as a key, may be of any kind.
fn certificate_in(
    content: &[u8],
    path: &Path,
) -> Result<CertificateDer<'static>, ClientCertificateError> {
    if let Some(der) = CertificateDer::pem_slice_iter(content).find_map(Result::ok) {
        return Ok(der);
    }
    if Certificate::decode(content).is_some() {
        return Ok(CertificateDer::from(content.to_vec()));
    }
    let path = path.to_owned();
    Err(if holds(content, "-----BEGIN CERTIFICATE-----") {
        ClientCertificateError::BadCertificate { path }
    } else {
        ClientCertificateError::NoCertificate { path }
    })
}

fn decode<'a>(der: &'a [u8], path: &Path) -> Result<Certificate<'a>, ClientCertificateError> {
    Certificate::decode(der).ok_or_else(|| ClientCertificateError::BadCertificate {
        path: path.to_owned(),
    })
}

fn check_key<'a>(
    certificate: &Certificate<'a>,
    path: &Path,
) -> Result<RsaPublicKey<'a>, ClientCertificateError> {
    let path = || path.to_owned();
    let not_rsa = |what| ClientCertificateError::NotRsa { path: path(), what };
    match certificate.key {
        PublicKey::Rsa(key) if RSA_BITS.contains(&key.bits()) => Ok(key),
        PublicKey::Rsa(key) => Err(ClientCertificateError::KeySize {
            path: path(),
            bits: key.bits(),
        }),
        PublicKey::Ec => Err(not_rsa(EC)),
        PublicKey::Other => Err(not_rsa(NOT_RSA)),
    }
}

fn read_key(content: &[u8], path: &Path) -> Result<SigningKey, ClientCertificateError> {
    let path = || path.to_owned();
    let Some(der) = PrivateKeyDer::pem_slice_iter(content).find_map(Result::ok) else {
        // PKCS #8 says so in its label, the older format in a line of its own.
        let is_encrypted = holds(content, "-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || holds(content, "Proc-Type: 4,ENCRYPTED");
        return Err(if is_encrypted {
            ClientCertificateError::EncryptedKey { path: path() }
        } else if holds(content, "PRIVATE KEY-----") {
            ClientCertificateError::BadKey { path: path() }
        } else {
            ClientCertificateError::NoKey { path: path() }
        });
    };
    let der = Zeroizing::new(der);
    SigningKey::decode(&der).map_err(|error| {
        let path = path();
        match error {
            KeyError::Ec => ClientCertificateError::NotRsa { path, what: EC },
            KeyError::NotRsa => ClientCertificateError::NotRsa {
                path,
                what: NOT_RSA,
            },
            KeyError::Rejected(reason) => ClientCertificateError::UnusableKey { path, reason },
        }
    })
}

fn holds(content: &[u8], text: &str) -> bool {
    memmem::find(content, text.as_bytes()).is_some()
}

/// A key, a certificate and its whole chain need a tenth of it.
const FILE_MAX_BYTES: usize = 128 * 1024;
const EC: &str = "it is of an elliptic curve";
const NOT_RSA: &str = "it is not a plain RSA key";

#[cfg(test)]
mod tests;
