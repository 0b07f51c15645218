//! Octets that wait to be written.

use std::fmt;

use bytes::{BufMut as _, BytesMut};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret::Secret;

/// May hold an access token: wiped when taken or dropped, and never shown.
#[derive(Default)]
pub(super) struct Output(Zeroizing<Vec<u8>>);

impl Output {
    pub(super) fn put(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// One line, `prefix` and `secret`. Grows to its full size first, so that no copy of the secret is
    /// left behind by growing later.
    pub(super) fn put_secret_line(&mut self, prefix: &[u8], secret: &Secret) {
        let line_length = prefix.len() + secret.reveal().len() + 2;
        self.0.reserve_exact(line_length);
        self.put(prefix);
        self.put(secret.reveal().as_bytes());
        self.put(b"\r\n");
    }

    pub(super) fn take(&mut self, target: &mut BytesMut) {
        target.put_slice(&self.0);
        self.0.zeroize();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({} octets)", self.0.len())
    }
}
