//! Random octets, and fingerprints that mean something to this process only.

use std::fmt;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The system gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct RandomError;

/// Octets that nobody can guess.
pub fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut octets = [0; N];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| RandomError)?;
    Ok(octets)
}

/// A key for HMAC-SHA256 (RFC 2104) that never leaves the process: who reads a tag in its memory cannot try
/// passwords on it without the key, and whoever sends something cannot steer what its tag will be.
pub struct TagKey(hmac::Key);

/// What stands for a text.
pub type Tag = [u8; 32];

impl TagKey {
    /// A new key.
    pub fn random() -> Result<Self, RandomError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_| RandomError)
    }

    /// The tag of `parts`, in this order and cut like this.
    pub fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = Tag::default();
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_texts_and_keys_apart() {
        let (one, two) = (TagKey::random().unwrap(), TagKey::random().unwrap());
        let tag = one.tag(&[b"ab", b"c"]);
        assert_eq!(tag, one.tag(&[b"ab", b"c"]));
        for other in [
            one.tag(&[b"a", b"bc"]),
            one.tag(&[b"abc"]),
            two.tag(&[b"ab", b"c"]),
            Tag::default(),
        ] {
            assert_ne!(tag, other);
        }
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
