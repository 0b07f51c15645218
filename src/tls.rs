//! TLS towards others: which cryptography provider, and whom it trusts.
//!
//! The one room that names the provider (ring), hence also the one that signs with it and looks into
//! certificates. SMTP and HTTP clients share the configuration made here: TLS 1.2 and 1.3, the trust store of the system through `rustls-platform-verifier`, and
//! the roots of a `ca_file` where one is set.

mod certificate;
mod der;
mod names;
mod random;
mod self_signed;
mod signer;
mod witness;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

pub use certificate::{Certificate, PublicKey, RsaPublicKey};
pub use names::{Name, Names};
pub use random::{RandomError, Tag, TagKey, random};
pub(crate) use self_signed::day;
pub use self_signed::{SelfSigned, self_signed};
pub use signer::{KeyError, Padding, RSA_BITS, SignError, SigningKey, sha1, sha256};
pub use witness::{Distrust, DistrustKind, Seen, Witness};

/// A client configuration cannot be made; every variant is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing or not readable for this user.
    #[error("cannot read the certificates in {path}")]
    Read {
        /// The `ca_file` as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More than any bundle of certificates needs: most likely not one.
    #[error("{path} has more than {CA_FILE_MAX_BYTES} bytes: name a file of PEM certificates")]
    TooLarge {
        /// The `ca_file` as it was named.
        path: PathBuf,
    },
    /// A PEM section is damaged.
    #[error("{path} is not a file of PEM certificates")]
    Pem {
        /// The `ca_file` as it was named.
        path: PathBuf,
        /// What is wrong with the encoding.
        source: pem::Error,
    },
    /// Readable, but without a single certificate (a key, a DER file, an empty file).
    #[error("{path} holds no PEM certificate (a section that begins with BEGIN CERTIFICATE)")]
    NoCertificate {
        /// The `ca_file` as it was named.
        path: PathBuf,
    },
    /// One of the certificates cannot serve as a root.
    #[error("certificate {number} in {path} cannot be used as a trust root")]
    BadRoot {
        /// The `ca_file` as it was named.
        path: PathBuf,
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// No bundle of CA certificates on this machine, and no `ca_file` to stand in.
    #[error(
        "the system has no CA certificates: install the package ca-certificates, or name a ca_file"
    )]
    NoSystemRoots {
        /// What the loader said.
        source: rustls::Error,
    },
    /// The provider does not support the protocol versions asked for.
    #[error("TLS cannot be set up")]
    Setup {
        /// What the library said.
        source: rustls::Error,
    },
}

/// Makes ring the provider of the process; a second call changes nothing.
///
/// The configurations of this module name their provider and do not depend on it; libraries that
/// build their own do, and panic without it. So it is the first thing `main` does.
pub fn install_provider() {
    // Err means that one is installed already, which is all that is wanted.
    let _ = CryptoProvider::install_default(rustls::crypto::ring::default_provider());
}

/// The provider, for a configuration built elsewhere (a listener's, a sandbox's).
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// Trusts the system's roots and those in the PEM file `extra_roots`.
///
/// Where the system has no roots at all, a `ca_file` alone is enough. Both are read here and now (a
/// short blocking read): a changed bundle takes effect with the next configuration.
pub fn client_config(extra_roots: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    with_verifier(Arc::new(verifier(extra_roots)?))
}

/// As [`client_config`], for one connection of somebody who wants to know whom it leads to.
pub fn witnessed_client_config(
    extra_roots: Option<&Path>,
) -> Result<(Arc<ClientConfig>, Arc<Witness>), TlsError> {
    let witness = Arc::new(Witness::new(Arc::new(verifier(extra_roots)?)));
    let config = with_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)?;
    Ok((config, witness))
}

fn verifier(extra_roots: Option<&Path>) -> Result<Verifier, TlsError> {
    let extra_roots = match extra_roots {
        Some(path) => read_roots(path)?,
        None => Vec::new(),
    };
    // The extra roots were each checked, so the only failure left is a trust store without content.
    Verifier::new_with_extra_roots(extra_roots, provider())
        .map_err(|source| TlsError::NoSystemRoots { source })
}

fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, TlsError> {
    // `dangerous` only means that a verifier is named explicitly; ours check everything.
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Setup { source })?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts nobody: for a client that never speaks TLS (plain HTTP on loopback) but must hold a
/// configuration. It needs no trust store, so it works on a machine without one.
pub fn untrusting_client_config() -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Setup { source })?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Finds, below an error of a client, the reason why the peer's certificate was refused.
///
/// `None` when the failure has another cause. I/O errors hide what they wrap from
/// [`Error::source`], hence the walk.
pub fn certificate_error<'e>(
    error: &'e (dyn Error + 'static),
) -> Option<&'e rustls::CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason);
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped as &'e (dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CA_FILE_MAX_BYTES + 1).read_to_end(&mut pem))
        .map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })?;
    if pem.len() as u64 > CA_FILE_MAX_BYTES {
        return Err(TlsError::TooLarge {
            path: path.to_owned(),
        });
    }
    let roots = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem {
            path: path.to_owned(),
            source,
        })?;
    if roots.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    // Each one is tried alone first, to be able to name the one that does not do.
    let mut trial = RootCertStore::empty();
    for (index, root) in roots.iter().enumerate() {
        trial
            .add(root.clone())
            .map_err(|source| TlsError::BadRoot {
                path: path.to_owned(),
                number: index + 1,
                source,
            })?;
    }
    Ok(roots)
}

/// Ten times the bundle of a distribution.
const CA_FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file.into_temp_path()
    }

    fn certificate() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["ca.example".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
    }

    #[test]
    fn provider_can_be_installed_again_and_again() {
        install_provider();
        install_provider();
        assert!(CryptoProvider::get_default().is_some());
    }

    #[test]
    fn roots_of_a_file_are_taken() {
        let pem = format!(
            "# two of them\n{}{}",
            certificate().pem(),
            certificate().pem()
        );
        let path = file(pem.as_bytes());
        assert_eq!(read_roots(&path).unwrap().len(), 2);
        client_config(Some(&path)).unwrap();
    }

    #[test]
    fn missing_file_is_named() {
        let error = client_config(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(matches!(error, TlsError::Read { .. }));
        assert!(error.to_string().contains("/nonexistent/ca.pem"));
    }

    #[test]
    fn files_without_certificate_are_refused() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for content in [&b""[..], b"hello", b"\x30\x82\x01\x00", key.as_bytes()] {
            let error = client_config(Some(&file(content))).unwrap_err();
            assert!(matches!(error, TlsError::NoCertificate { .. }), "{error:?}");
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let torn = "-----BEGIN CERTIFICATE-----\nMIIB\n";
        let error = client_config(Some(&file(torn.as_bytes()))).unwrap_err();
        assert!(matches!(error, TlsError::Pem { .. }), "{error:?}");

        let junk = format!(
            "{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            certificate().pem()
        );
        let error = client_config(Some(&file(junk.as_bytes()))).unwrap_err();
        assert!(
            matches!(error, TlsError::BadRoot { number: 2, .. }),
            "{error:?}"
        );

        let large = vec![b'\n'; CA_FILE_MAX_BYTES as usize + 1];
        let error = client_config(Some(&file(&large))).unwrap_err();
        assert!(matches!(error, TlsError::TooLarge { .. }), "{error:?}");
    }

    #[test]
    fn machine_without_roots_needs_a_ca_file() {
        const VARIABLE: &str = "SSL_CERT_FILE";
        const MISSING: &str = "/nonexistent/roots.pem";
        if std::env::var_os(VARIABLE).is_none_or(|value| value != MISSING) {
            // The environment of a running process is not to be changed, so the test runs once more.
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "tls::tests::machine_without_roots_needs_a_ca_file",
                ])
                .env(VARIABLE, MISSING)
                .env_remove("SSL_CERT_DIR")
                .output()
                .unwrap();
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && shown.contains("1 passed"),
                "{shown}"
            );
            return;
        }
        let error = client_config(None).unwrap_err();
        assert!(matches!(error, TlsError::NoSystemRoots { .. }), "{error:?}");
        assert!(error.to_string().contains("ca_file"));
        client_config(Some(&file(certificate().pem().as_bytes()))).unwrap();
        untrusting_client_config().unwrap();
    }

    #[test]
    fn certificate_error_is_found_behind_an_io_error() {
        let reason = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, reason));
        assert_eq!(
            certificate_error(&error),
            Some(&rustls::CertificateError::Expired)
        );
        assert_eq!(certificate_error(&io::Error::other("reset")), None);
    }
}
