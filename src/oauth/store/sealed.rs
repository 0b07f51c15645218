//! Encryption of one file: XChaCha20-Poly1305 with a key that the operator keeps elsewhere.
//!
//! Each write has a random nonce of 192 bits, so that none is ever used twice, however many there are. The
//! account's name is authenticated along with it: one account's file put in the place of another's, or a
//! changed octet, does not open.

use std::fmt;
use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::{Secret, SecretError, SecretSource};

/// As many random letters and digits hold more than the 128 bits that nobody tries through.
const KEY_MIN_CHARACTERS: usize = 32;

/// Separates this use of the operator's text from every other one.
const KEY_DOMAIN: &[u8] = b"exorelay token store key 1\0";
const FILE_DOMAIN: &str = "exorelay token 1\0";
const ALGORITHM: &str = "XChaCha20-Poly1305";

/// The operator's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Short enough to be guessed.
    #[error(
        "has {characters} characters, and takes {KEY_MIN_CHARACTERS} or more random ones; `openssl rand -base64 32` makes \
         some"
    )]
    Weak {
        /// That it has.
        characters: usize,
    },
}

/// Opens and seals.
pub(super) struct Key(Zeroizing<[u8; 32]>);

/// What a file holds in place of the token.
#[derive(Serialize, Deserialize)]
pub(super) struct Sealed {
    #[serde(rename = "sealed")]
    algorithm: String,
    nonce: String,
    text: String,
}

impl Key {
    pub(super) fn read(source: &SecretSource) -> Result<Self, KeyError> {
        Self::derive(&source.read()?)
    }

    /// Any text is a key if it is long and random; it needs no stretching, and gets none.
    fn derive(text: &Secret) -> Result<Self, KeyError> {
        let characters = text.reveal().chars().count();
        if characters < KEY_MIN_CHARACTERS {
            return Err(KeyError::Weak { characters });
        }
        let mut digest = Sha256::new();
        digest.update(KEY_DOMAIN);
        digest.update(text.reveal());
        let mut key = Zeroizing::new([0; 32]);
        digest.finalize_into((&mut *key).into());
        Ok(Self(key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Sealed {
    pub(super) fn new(key: &Key, account: &str, plain: &[u8]) -> io::Result<Self> {
        let nonce = XNonce::try_generate().map_err(io::Error::other)?;
        let payload = Payload {
            msg: plain,
            aad: &associated(account),
        };
        let text = key.cipher().encrypt(&nonce, payload);
        let text = text.map_err(|_| io::Error::other("the cipher refuses it"))?;
        Ok(Self {
            algorithm: ALGORITHM.to_owned(),
            nonce: BASE64_STANDARD.encode(nonce),
            text: BASE64_STANDARD.encode(text),
        })
    }

    /// `None` unless it was sealed with this key for this account, and not changed since.
    pub(super) fn open(&self, key: &Key, account: &str) -> Option<Zeroizing<Vec<u8>>> {
        if self.algorithm != ALGORITHM {
            return None;
        }
        let nonce: [u8; 24] = BASE64_STANDARD.decode(&self.nonce).ok()?.try_into().ok()?;
        let text = BASE64_STANDARD.decode(&self.text).ok()?;
        let payload = Payload {
            msg: &text,
            aad: &associated(account),
        };
        let opened = key.cipher().decrypt(&nonce.into(), payload);
        opened.ok().map(Zeroizing::new)
    }
}

fn associated(account: &str) -> Vec<u8> {
    [FILE_DOMAIN, account].concat().into_bytes()
}
