//! Signatures of our own, made with the provider's RSA.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use ring::{digest, rsa};
use rustls::pki_types::PrivateKeyDer;

use super::certificate::{EC_PUBLIC_KEY, RSA_ENCRYPTION, RsaPublicKey};
use super::der::{INTEGER, OBJECT_IDENTIFIER, Reader};

/// An RSA key that signs. The provider does not wipe it from memory, so it is not to be kept for longer than
/// it is needed.
pub struct SigningKey(rsa::KeyPair);

/// How a message is made ready to be signed, RFC 8017 section 8; with SHA-256 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// RSASSA-PSS, with a salt as long as the digest.
    Pss,
    /// RSASSA-PKCS1-v1_5.
    Pkcs1,
}

/// A private key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An elliptic curve.
    #[error("it is an EC key")]
    Ec,
    /// Ed25519, DSA, or a key for RSASSA-PSS alone.
    #[error("it is not a plain RSA key")]
    NotRsa,
    /// What the provider says against it.
    #[error("{0}")]
    Rejected(Box<str>),
}

/// The provider could not sign: there are no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct SignError;

impl SigningKey {
    /// Takes PKCS #8 and PKCS #1.
    pub fn decode(key: &PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        let decoded = match key {
            PrivateKeyDer::Pkcs1(key) => rsa::KeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => {
                let der = key.secret_pkcs8_der();
                match algorithm(der) {
                    // One that cannot be made out is the provider's to refuse.
                    Some(RSA_ENCRYPTION) | None => rsa::KeyPair::from_pkcs8(der),
                    Some(EC_PUBLIC_KEY) => return Err(KeyError::Ec),
                    Some(_) => return Err(KeyError::NotRsa),
                }
            }
            PrivateKeyDer::Sec1(_) => return Err(KeyError::Ec),
            _ => return Err(KeyError::NotRsa),
        };
        let rejected =
            |error: ring::error::KeyRejected| KeyError::Rejected(error.to_string().into());
        decoded.map(Self).map_err(rejected)
    }

    /// Its public half; `None` is never seen.
    pub fn public_key(&self) -> Option<RsaPublicKey<'_>> {
        RsaPublicKey::decode(self.0.public().as_ref())
    }

    /// Signs the SHA-256 of `message`; takes a millisecond or two.
    pub fn sign(&self, padding: Padding, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let encoding: &dyn RsaEncoding = match padding {
            Padding::Pss => &RSA_PSS_SHA256,
            Padding::Pkcs1 => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.0.public().modulus_len()];
        let signed = self
            .0
            .sign(encoding, &SystemRandom::new(), message, &mut signature);
        signed.map(|()| signature).map_err(|_| SignError)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// SHA-1, where an older format asks for it; a name of something, no protection.
pub fn sha1(data: &[u8]) -> Vec<u8> {
    hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, data)
}

/// SHA-256.
pub fn sha256(data: &[u8]) -> Vec<u8> {
    hash(&digest::SHA256, data)
}

fn hash(algorithm: &'static digest::Algorithm, data: &[u8]) -> Vec<u8> {
    digest::digest(algorithm, data).as_ref().to_vec()
}

/// `privateKeyAlgorithm` of PKCS #8, RFC 5208 section 5.
fn algorithm(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut info = Reader::new(pkcs8).sequence()?;
    info.take(INTEGER)?;
    info.sequence()?.take(OBJECT_IDENTIFIER)
}

/// The sizes of keys that the provider signs with.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

#[cfg(test)]
mod tests {
    use ring::signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    };
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn key(pem: &str) -> Result<SigningKey, KeyError> {
        SigningKey::decode(&PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap())
    }

    const PKCS8: &str = include_str!("../../tests/fixtures/keys/test-rsa.pkcs8.pem");
    const PKCS1: &str = include_str!("../../tests/fixtures/keys/test-rsa.pkcs1.pem");
    const OTHER: &str = include_str!("../../tests/fixtures/keys/test-rsa-other.pkcs8.pem");
    const SMALL: &str = include_str!("../../tests/fixtures/keys/test-rsa-1024.pem");

    #[test]
    fn one_key_in_both_formats_signs_alike() {
        let (one, two) = (key(PKCS8).unwrap(), key(PKCS1).unwrap());
        assert_eq!(one.public_key(), two.public_key());
        assert_ne!(one.public_key(), key(OTHER).unwrap().public_key());
        let public = two.0.public().as_ref().to_vec();
        let pss = one.sign(Padding::Pss, b"message").unwrap();
        let pkcs1 = one.sign(Padding::Pkcs1, b"message").unwrap();
        for (algorithm, signature) in [
            (&RSA_PSS_2048_8192_SHA256, &pss),
            (&RSA_PKCS1_2048_8192_SHA256, &pkcs1),
        ] {
            let public = UnparsedPublicKey::new(algorithm, &public);
            assert!(public.verify(b"message", signature).is_ok());
            assert!(public.verify(b"massage", signature).is_err());
        }
        // The one is salted, the other always the same.
        assert_ne!(pss, two.sign(Padding::Pss, b"message").unwrap());
        assert_eq!(pkcs1, two.sign(Padding::Pkcs1, b"message").unwrap());
    }

    #[test]
    fn other_keys_are_refused_by_kind() {
        let ec = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let edwards = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        for (pem, error) in [
            (ec.as_str(), KeyError::Ec),
            (&ec.replace("PRIVATE", "EC PRIVATE"), KeyError::Ec),
            (&edwards.serialize_pem(), KeyError::NotRsa),
            (SMALL, KeyError::Rejected("TooSmall".into())),
        ] {
            assert_eq!(key(pem).unwrap_err(), error);
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", key(PKCS8).unwrap()), "SigningKey(redacted)");
    }
}
