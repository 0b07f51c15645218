//! What must not be guessed: codes, tokens, signatures that are none.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// Letters and digits that cannot be taken for each other, as in a user code of Entra's.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 9;

/// No randomness was to be had.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gave no random octets for a token")]
pub struct RandomError;

/// So many octets, base64url.
pub(in crate::sandbox) fn opaque<const OCTETS: usize>() -> Result<String, RandomError> {
    octets::<OCTETS>().map(|octets| BASE64_URL_SAFE_NO_PAD.encode(octets))
}

/// A code that a person copies from one screen to another.
pub(super) fn user_code() -> Result<String, RandomError> {
    let octets = octets::<CODE_LENGTH>()?;
    let letters = octets.iter().map(|octet| {
        let letter = CODE_LETTERS.get(usize::from(octet % 32));
        char::from(letter.copied().unwrap_or(b'A'))
    });
    Ok(letters.collect())
}

/// The same GUID for the same words: object ids that outlive a restart.
pub(in crate::sandbox) fn stable_guid(words: &[&str]) -> String {
    let digest = digest(&SHA256, words.join("\n").to_ascii_lowercase().as_bytes());
    let mut octets = [0_u8; 16];
    for (octet, digested) in octets.iter_mut().zip(digest.as_ref()) {
        *octet = *digested;
    }
    // Version 8, variant 1 (RFC 9562 section 5.8), written as version 4 like all of Entra's.
    let number = u128::from_be_bytes(octets);
    let number = number & !(0xf << 76) | (0x4 << 76);
    let number = number & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range).unwrap_or_default();
    let parts = [
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32),
    ];
    parts.join("-")
}

fn octets<const OCTETS: usize>() -> Result<[u8; OCTETS], RandomError> {
    let mut octets = [0_u8; OCTETS];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| RandomError)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_stable_and_well_formed() {
        let guid = stable_guid(&["tenant", "Kim@contoso.com"]);
        assert_eq!(guid, stable_guid(&["tenant", "kim@contoso.com"]));
        assert_ne!(guid, stable_guid(&["tenant", "lee@contoso.com"]));
        let lengths: Vec<usize> = guid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&guid[14..15], "4");
        assert!("89ab".contains(&guid[19..20]));
    }

    #[test]
    fn codes_are_for_people() {
        let code = user_code().unwrap();
        assert_eq!(code.len(), CODE_LENGTH);
        assert!(code.bytes().all(|letter| CODE_LETTERS.contains(&letter)));
        assert_ne!(code, user_code().unwrap());
    }
}
