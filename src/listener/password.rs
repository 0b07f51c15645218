//! Passwords, as far as they are kept: salted and hashed with argon2id (RFC 9106).

use std::fmt;

use argon2::password_hash::phc::{Output, PasswordHash as Phc, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHasher as _, Version};

use crate::secret::Secret;
use crate::tls::{RandomError, random};

/// What OWASP asks for at least: 19 MiB, gone through twice, about 20 ms.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Hashes of other programs may cost more, as RFC 9106 recommends, but no more than a relay can spare.
const MEMORY_MAX_KIB: u32 = 64 * 1024;
const PASSES_MAX: u32 = 8;
const LANES_MAX: u32 = 8;

/// malloc(3) hands a block above 32 MiB back to the system as soon as it is freed, and may keep a smaller one for
/// the thread that had it. What is not written to costs nothing.
const RETURNED_BLOCKS: usize = 33 * 1024;

/// The hash of a password, in the form `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    phc: Phc,
    params: Params,
    salt: Salt,
    output: Output,
}

/// A text is not the hash of a password, or not one that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// A password as it is, or a hash of another kind.
    #[error(
        "is no argon2id hash ($argon2id$v=19$...); make one with exorelay hash-password --user NAME"
    )]
    Form,
    /// Checking it would take too much memory or time.
    #[error(
        "asks for more than m={MEMORY_MAX_KIB}, t={PASSES_MAX} or p={LANES_MAX}; make another with exorelay \
         hash-password --user NAME"
    )]
    Cost,
}

/// No hash could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Without them there is no salt.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The password cannot be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// There is no memory left to check a password with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

impl PasswordHash {
    /// Hashes `password` with a new salt. Takes its time.
    pub fn make(password: &Secret) -> Result<Self, HashError> {
        let salt: [u8; 16] = random()?;
        let made = Params::new(MEMORY_KIB, PASSES, 1, None)
            .map_err(argon2::password_hash::Error::from)
            .and_then(|params| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_with_salt(password.reveal().as_bytes(), &salt)
            });
        let phc: Phc = made.map_err(HashError::Hash)?;
        Self::new(phc).map_err(|_| HashError::Hash(argon2::password_hash::Error::Internal))
    }

    /// Reads what [`PasswordHash::make`] or another program has made.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        Self::new(Phc::new(text).map_err(|_| PasswordHashError::Form)?)
    }

    fn new(phc: Phc) -> Result<Self, PasswordHashError> {
        let is_known =
            phc.algorithm == ARGON2ID_IDENT && phc.version == Some(Version::V0x13.into());
        let params = Params::try_from(&phc).map_err(|_| PasswordHashError::Form)?;
        let (true, Some(salt), Some(output)) = (is_known, phc.salt, phc.hash) else {
            return Err(PasswordHashError::Form);
        };
        if params.m_cost() > MEMORY_MAX_KIB
            || params.t_cost() > PASSES_MAX
            || params.p_cost() > LANES_MAX
        {
            return Err(PasswordHashError::Cost);
        }
        Ok(Self {
            phc,
            params,
            salt,
            output,
        })
    }

    /// Whether `password` is the one. Takes its time and, meanwhile, memory.
    pub(super) fn matches(&self, password: &Secret) -> Result<bool, OutOfMemory> {
        let count = self.params.block_count();
        let mut blocks: Vec<Block> = Vec::new();
        blocks
            .try_reserve_exact(count.max(RETURNED_BLOCKS))
            .map_err(|_| OutOfMemory)?;
        blocks.resize(count, Block::new());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let mut output = [0; Output::MAX_LENGTH];
        let Some(output) = output.get_mut(..self.output.len()) else {
            return Ok(false);
        };
        let (password, salt) = (password.reveal().as_bytes(), &self.salt);
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks);
        // Outputs are compared in constant time.
        Ok(hashed.is_ok() && Output::new(output).is_ok_and(|output| output == self.output))
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phc.fmt(f)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_and_no_other_matches() {
        let password = Secret::new("correct horse battery staple");
        let made = PasswordHash::make(&password).unwrap();
        let text = made.to_string();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        let read = PasswordHash::parse(&text).unwrap();
        assert!(read == made && read.matches(&password).unwrap());
        for wrong in [
            "",
            "correct horse battery stapl",
            "Correct horse battery staple",
        ] {
            assert!(!read.matches(&Secret::new(wrong)).unwrap(), "{wrong}");
        }
        assert_ne!(PasswordHash::make(&password).unwrap().to_string(), text);
        assert_eq!(format!("{made:?}"), "PasswordHash(redacted)");
    }

    /// Made with the reference implementation: argon2 -id -v 13.
    #[test]
    fn hashes_of_other_programs_are_read() {
        let text =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = PasswordHash::parse(text).unwrap();
        assert!(hash.matches(&Secret::new("password")).unwrap());
        assert!(!hash.matches(&Secret::new("passwort")).unwrap());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "hunter2",
            "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m",
            "$6$salt$hash",
            "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        ] {
            assert_eq!(
                PasswordHash::parse(text),
                Err(PasswordHashError::Form),
                "{text}"
            );
        }
        for parameters in ["m=65537,t=1,p=1", "m=256,t=9,p=1", "m=256,t=1,p=9"] {
            let text = format!(
                "$argon2id$v=19${parameters}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
            );
            assert_eq!(
                PasswordHash::parse(&text),
                Err(PasswordHashError::Cost),
                "{text}"
            );
        }
    }
}
