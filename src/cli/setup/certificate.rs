//! The questions about a certificate: whether the files named hold what is needed.

use std::fs::File;
use std::io::Read as _;

use zeroize::Zeroizing;

use super::question::{Question, Replies, ask as ask_for};
use crate::cli::error::CliError;

/// Certificate and key; an empty key is in the certificate's own file.
pub(super) fn ask(
    replies: &mut impl Replies,
    present: &str,
    present_key: &str,
) -> Result<(String, String), CliError> {
    let question = Question {
        key: "client_certificate",
        prompt: "File with the certificate (PEM)",
        default: (!present.is_empty()).then_some(present),
    };
    let (certificate, has_key) = ask_for(replies, &question, |path| {
        let text = read(path)?;
        if !text.contains(CERTIFICATE) {
            return Err(format!(
                "{path} holds no certificate in PEM, which begins with {CERTIFICATE}"
            ));
        }
        Ok((path.to_owned(), text.contains(KEY)))
    })?;
    let default = match (present_key.is_empty(), has_key) {
        (false, _) => Some(present_key),
        (true, true) => Some(IN_THE_SAME_FILE),
        (true, false) => None,
    };
    let question = Question {
        key: "client_certificate_key",
        prompt: "File with its private key (PEM); - when it is in the same file",
        default,
    };
    let key = ask_for(replies, &question, |path| {
        let file = if path == IN_THE_SAME_FILE {
            &certificate
        } else {
            path
        };
        let text = read(file)?;
        if ENCRYPTED.iter().any(|mark| text.contains(mark)) {
            return Err(format!(
                "{file} is protected by a passphrase, which nobody could type for the daemon; remedy: openssl \
                 pkey -in {file} -out NEW, and protect NEW by its mode"
            ));
        }
        if !text.contains(KEY) {
            return Err(format!("{file} holds no private key in PEM"));
        }
        Ok(if file == certificate {
            String::new()
        } else {
            path.to_owned()
        })
    })?;
    Ok((certificate, key))
}

fn read(path: &str) -> Result<Zeroizing<String>, String> {
    if !path.starts_with('/') {
        return Err("is not an absolute path; begin it with /".to_owned());
    }
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|error| format!("cannot open {path}: {error}"))?;
    let read = file.take(SIZE_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|_| format!("{path} is not text; convert it: openssl x509 -inform der"))?;
    Ok(text)
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// Of PKCS #8, and of the older forms with a name before it.
const KEY: &str = "PRIVATE KEY-----";
/// PKCS #8, and the older form.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED", ",ENCRYPTED"];
const IN_THE_SAME_FILE: &str = "-";
/// A chain with a key has a few KiB.
const SIZE_MAX_BYTES: u64 = 1024 * 1024;
