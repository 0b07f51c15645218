//! The token of another identity provider, as a file that somebody else keeps fresh (facts D.9).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// There is no such token; says where it comes from.
#[derive(Debug, thiserror::Error)]
pub enum FederatedTokenError {
    /// The file is missing or not readable for this user.
    #[error("cannot read the federated token {path} ({WHENCE}): {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing but white space.
    #[error("the federated token {path} is empty: look at what writes it ({WHENCE})")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Something else.
    #[error(
        "{path} holds no signed JWT (three parts of letters, digits, - and _ with dots between them): name the file with the token itself in oauth.federated_token_file"
    )]
    NotAJwt {
        /// The file.
        path: PathBuf,
    },
}

/// Reads it, without the white space around. Whether Entra trusts it is Entra's to say. A small blocking
/// read, to be called off the runtime's threads.
pub fn read_federated_token(path: &Path) -> Result<Secret, FederatedTokenError> {
    let failed = |source| FederatedTokenError::Read {
        path: path.to_owned(),
        source,
    };
    // All at once: a buffer that grows would leave parts of the token behind.
    let mut content = Zeroizing::new(Vec::with_capacity(TOKEN_MAX_BYTES + 64));
    File::open(path)
        .and_then(|file| {
            file.take(TOKEN_MAX_BYTES as u64 + 1)
                .read_to_end(&mut content)
        })
        .map_err(failed)?;
    let token = content.trim_ascii();
    if token.is_empty() {
        return Err(FederatedTokenError::Empty {
            path: path.to_owned(),
        });
    }
    match std::str::from_utf8(token) {
        Ok(token) if content.len() <= TOKEN_MAX_BYTES && is_jwt(token) => Ok(Secret::new(token)),
        Ok(_) | Err(_) => Err(FederatedTokenError::NotAJwt {
            path: path.to_owned(),
        }),
    }
}

/// JWS Compact Serialization, RFC 7515 section 3.1.
fn is_jwt(text: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(is_base64url);
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// Ten times the largest seen.
const TOKEN_MAX_BYTES: usize = 64 * 1024;
const WHENCE: &str = "AZURE_FEDERATED_TOKEN_FILE or oauth.federated_token_file names it; in Kubernetes the label azure.workload.identity/use: \"true\" on the pod puts it there, with AZURE_CLIENT_ID and AZURE_TENANT_ID for client_id and tenant_id";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, FederatedTokenError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        read_federated_token(file.path())
    }

    #[test]
    fn token_is_taken_without_what_is_around_it() {
        for content in [
            "eyJh.eyJp.c2ln",
            "eyJh.eyJp.c2ln\n",
            " \teyJh.eyJp.c2ln\r\n\n",
        ] {
            assert_eq!(read(content.as_bytes()).unwrap().reveal(), "eyJh.eyJp.c2ln");
        }
        let longest = format!("{}.b.c", "a".repeat(TOKEN_MAX_BYTES - 4));
        assert_eq!(read(longest.as_bytes()).unwrap().reveal(), longest);
    }

    #[test]
    fn other_content_is_refused_and_not_quoted() {
        let long = format!("{}.b.c", "hunter2".repeat(TOKEN_MAX_BYTES / 7));
        for content in [
            "hunter2",
            "hunter2.hunter2",
            "hunter2..hunter2",
            "hunter2.b.c.d.e",
            "hunter2 a.b.c",
            "hunter2.b\nc.d",
            "{\"token\":\"hunter2.b.c\"}",
            "hunter2.b+/.c",
            long.as_str(),
        ] {
            let error = read(content.as_bytes()).unwrap_err();
            assert!(
                matches!(error, FederatedTokenError::NotAJwt { .. }),
                "{error:?}"
            );
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let binary = read(b"\xff.\xff.\xff").unwrap_err();
        assert!(matches!(binary, FederatedTokenError::NotAJwt { .. }));
    }

    #[test]
    fn file_without_a_token_is_named_with_the_remedy() {
        for content in ["", " \n"] {
            let error = read(content.as_bytes()).unwrap_err();
            assert!(matches!(error, FederatedTokenError::Empty { .. }));
        }
        let error = read_federated_token(Path::new("/nonexistent/token")).unwrap_err();
        let shown = error.to_string();
        for part in [
            "/nonexistent/token",
            "azure.workload.identity/use",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_CLIENT_ID",
            "No such file",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
