//! The certificate of a listener, and the one that replaces it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};

use crate::file_version::FileVersion;
use crate::tls;

/// Where certificate and key lie, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own first.
    pub certificate: PathBuf,
    /// Its key.
    pub private_key: PathBuf,
}

/// A listener cannot prove who it is.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is missing or not readable for this user.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate in it.
    #[error("{path} holds no PEM certificate (a section that begins with BEGIN CERTIFICATE)")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no key in it.
    #[error(
        "{path} holds no PEM private key without a passphrase (a section that begins with BEGIN PRIVATE KEY)"
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Of a kind that is not supported, or damaged.
    #[error("the private key in {path} cannot be used: {source}")]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: rustls::Error,
    },
    /// The certificate is another key's.
    #[error("the private key in {key} does not belong to the certificate in {certificate}")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The provider refuses its configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// Certificate and key in use. What is in the files is looked at again by [`Certificate::refresh`].
#[derive(Debug)]
pub(super) struct Certificate {
    files: CertificateFiles,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    /// What the files looked like when they were last tried.
    seen: RwLock<Seen>,
}

/// What handshakes get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Certificate and key.
type Seen = [FileVersion; 2];

impl Certificate {
    /// Reads both files. Blocking.
    pub(super) fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let seen = files.look();
        let current = Arc::new(Current(RwLock::new(Arc::new(files.read()?))));
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        Ok(Self {
            files,
            current,
            config: Arc::new(config),
            seen: RwLock::new(seen),
        })
    }

    /// What is to be done about its end by then.
    pub(super) fn warning(&self, now: Timestamp) -> Option<String> {
        let current = self
            .current
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        warning(&current, now)
    }

    /// For a handshake.
    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Takes what the files hold now, if they have changed: whether they had. What cannot be used leaves the
    /// old certificate in force, and is told once. Blocking.
    pub(super) fn refresh(&self) -> Result<bool, CertificateError> {
        let look = self.files.look();
        {
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            if *seen == look {
                return Ok(false);
            }
            *seen = look;
        }
        let read = Arc::new(self.files.read()?);
        *self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = read;
        Ok(true)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl CertificateFiles {
    /// Reads both files once; returns what is worth a warning. Blocking.
    pub fn check(&self, now: Timestamp) -> Result<Option<String>, CertificateError> {
        self.read().map(|key| warning(&key, now))
    }

    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let path = &self.certificate;
        let pem = read(path)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let Some(chain) = chain.ok().filter(|chain| !chain.is_empty()) else {
            return Err(CertificateError::NoCertificate { path: path.clone() });
        };
        let path = &self.private_key;
        let pem = read(path)?;
        let Ok(key) = PrivateKeyDer::from_pem_slice(&pem) else {
            return Err(CertificateError::NoKey { path: path.clone() });
        };
        let key = tls::provider().key_provider.load_private_key(key);
        let key = key.map_err(|source| CertificateError::BadKey {
            path: path.clone(),
            source,
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(certified)
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::Mismatch {
                certificate: self.certificate.clone(),
                key: self.private_key.clone(),
            }),
            Err(_) => Err(CertificateError::NoCertificate {
                path: self.certificate.clone(),
            }),
        }
    }

    fn look(&self) -> Seen {
        [&self.certificate, &self.private_key].map(|path| FileVersion::at(path))
    }
}

/// Only a warning: which clients look at it is not known.
fn warning(key: &CertifiedKey, now: Timestamp) -> Option<String> {
    let certificate = tls::Certificate::decode(key.cert.first()?)?;
    let (start, end) = (certificate.not_before, certificate.not_after);
    if now > end {
        return Some(format!(
            "the certificate ran out on {end}, so devices may refuse it; renew it"
        ));
    }
    if now < start {
        return Some(format!(
            "the certificate is not valid before {start}; wait, or correct this machine's clock"
        ));
    }
    let days = end.duration_since(now).as_hours() / 24;
    (days < EXPIRY_WARNING_DAYS)
        .then(|| format!("the certificate runs out on {end}, in {days} days; renew it in time"))
}

/// As for the credentials of accounts.
const EXPIRY_WARNING_DAYS: i64 = 30;

/// Of a key too, hence wiped.
fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, CertificateError> {
    let read = fs::File::open(path).and_then(|file| {
        let mut octets = zeroize::Zeroizing::new(Vec::with_capacity(FILE_MAX_BYTES as usize));
        io::Read::read_to_end(&mut io::Read::take(file, FILE_MAX_BYTES), &mut octets)?;
        Ok(octets)
    });
    read.map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A chain of certificates has a few KiB.
const FILE_MAX_BYTES: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A key and its certificate, PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["relay.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    struct Bench {
        _folder: TempDir,
        files: CertificateFiles,
    }

    impl Bench {
        fn new() -> Self {
            let folder = TempDir::new().unwrap();
            let files = CertificateFiles {
                certificate: folder.path().join("cert.pem"),
                private_key: folder.path().join("key.pem"),
            };
            let bench = Self {
                _folder: folder,
                files,
            };
            let (certificate, key) = pair();
            bench.write(&certificate, &key);
            bench
        }

        /// As tools replace files: another inode.
        fn write(&self, certificate: &str, key: &str) {
            for (path, text) in [
                (&self.files.certificate, certificate),
                (&self.files.private_key, key),
            ] {
                let part = path.with_extension("part");
                fs::write(&part, text).unwrap();
                fs::rename(&part, path).unwrap();
            }
        }

        fn load(&self) -> Result<Certificate, CertificateError> {
            Certificate::load(self.files.clone())
        }
    }

    fn in_use(certificate: &Certificate) -> Vec<u8> {
        certificate.current.0.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_replaced_pair_is_taken_over_and_a_bad_one_is_not() {
        let bench = Bench::new();
        let certificate = bench.load().unwrap();
        let first = in_use(&certificate);
        assert!(!certificate.refresh().unwrap());

        let (cert, key) = pair();
        bench.write(&cert, "no key");
        assert!(matches!(
            certificate.refresh(),
            Err(CertificateError::NoKey { .. })
        ));
        // Told once; the old one stays in force.
        assert!(!certificate.refresh().unwrap());
        assert_eq!(in_use(&certificate), first);

        bench.write(&cert, &key);
        assert!(certificate.refresh().unwrap());
        assert_ne!(in_use(&certificate), first);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let bench = Bench::new();
        let (cert, key) = pair();
        let (_, other_key) = pair();
        for (certificate, key, words) in [
            ("", key.as_str(), "no PEM certificate"),
            (key.as_str(), key.as_str(), "no PEM certificate"),
            (cert.as_str(), "", "no PEM private key"),
            (cert.as_str(), other_key.as_str(), "does not belong"),
            (
                "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
                key.as_str(),
                "no PEM certificate",
            ),
        ] {
            bench.write(certificate, key);
            let error = bench.load().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        fs::remove_file(&bench.files.private_key).unwrap();
        bench.write(&cert, &key);
        fs::remove_file(&bench.files.private_key).unwrap();
        let error = bench.load().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read ") && error.contains("key.pem"),
            "{error}"
        );
    }
}
