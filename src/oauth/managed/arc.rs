//! Azure Arc: the agent names a file that only root and the group `himds` can read, and wants to be told
//! what is in it.
//!
//! Whoever sits on the agent's port could name any file and be sent its text, so the name is held
//! against what the agent does (facts D.10) before anything is opened.

use crate::oauth::blocking::Overdue;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oauth2::http::{HeaderValue, StatusCode, header};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{IdentityError, Managed, imds};
use crate::oauth::error::{OperatorError, TokenError};
use crate::oauth::grant::Granted;
use crate::oauth::http::{Answer, HttpError};
use crate::secret::Secret;

/// Where the agent leaves its keys, on Linux.
pub(super) const KEYS: &str = "/var/opt/azcmagent/tokens";

/// Asks twice: without the key for its name, then with it.
pub(super) async fn obtain(managed: &Managed) -> Result<Granted, TokenError> {
    let refused = |error| TokenError::Operator(OperatorError::Identity(error));
    if !managed.client_id.is_empty() {
        return Err(refused(IdentityError::Selector));
    }
    let path = match managed.ask(VERSION, imds::metadata()).await {
        Err(HttpError::Status(answer)) if answer.status == StatusCode::UNAUTHORIZED => {
            let path = key_path(&answer, &managed.keys);
            let host = managed.exchange.endpoint.host().into();
            path.map_err(|why| refused(IdentityError::Challenge { host, why }))?
        }
        answer => return managed.granted(answer, None),
    };
    let unreadable = |path, why: Box<str>| refused(IdentityError::Key { path, why });
    let file = path.clone();
    let key = match managed.reading.run(move || read_key(&file)).await {
        Ok(Ok(key)) => key,
        Ok(Err(error)) => return Err(unreadable(path, error.to_string().into())),
        Err(Overdue) => return Err(unreadable(path, "it cannot be read in time".into())),
    };
    let basic = Zeroizing::new(format!("Basic {}", key.reveal()));
    let Ok(mut basic) = HeaderValue::from_str(&basic) else {
        return Err(unreadable(path, NOT_A_KEY.into()));
    };
    basic.set_sensitive(true);
    let mut headers = imds::metadata();
    headers.insert(header::AUTHORIZATION, basic);
    managed.granted(managed.ask(VERSION, headers).await, Some(&key))
}

/// The file that `WWW-Authenticate: Basic realm=FILE` of a 401 names.
pub(super) fn challenge(answer: &Answer) -> Option<&str> {
    let (scheme, rest) = answer.challenge.as_deref()?.trim().split_once(' ')?;
    let (name, realm) = rest.split_once('=')?;
    let is_basic = answer.status == StatusCode::UNAUTHORIZED
        && scheme.eq_ignore_ascii_case("basic")
        && name.trim().eq_ignore_ascii_case("realm");
    // The agent writes it without quotes.
    is_basic.then(|| realm.trim().trim_matches('"'))
}

/// Only a name directly in `folder` is followed: `..` and further folders are none of the agent's.
fn key_path(answer: &Answer, folder: &Path) -> Result<PathBuf, &'static str> {
    let path = Path::new(challenge(answer).ok_or("it names no file")?);
    let name = path.file_name().ok_or("it names no file")?;
    // Rebuilt and compared: a path that is written in any other way is not taken.
    if folder.join(name).as_os_str() != path.as_os_str() {
        return Err("the file it names is not in the agent's folder");
    }
    if path.extension().is_none_or(|extension| extension != "key") {
        return Err("the file it names is no .key file");
    }
    Ok(path.to_owned())
}

/// A regular file and no link to one; opening does not wait, whatever it is. Blocking.
fn read_key(path: &Path) -> io::Result<Secret> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Zeroizing::new(String::with_capacity(KEY_MAX_BYTES + 1));
    file.take(KEY_MAX_BYTES as u64 + 1)
        .read_to_string(&mut text)?;
    if text.len() > KEY_MAX_BYTES {
        return Err(io::Error::other("it is too large for a key"));
    }
    let key = text.trim_ascii_end();
    if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(io::Error::other(NOT_A_KEY));
    }
    Ok(Secret::new(key))
}

const VERSION: &str = "2020-06-01";
/// Facts D.10.
const KEY_MAX_BYTES: usize = 4096;
const NOT_A_KEY: &str = "there is no key in it";

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, challenge: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            challenge: Some(challenge.into()),
            body: Vec::new(),
        }
    }

    #[test]
    fn challenge_is_basic_with_a_realm() {
        for (text, realm) in [
            ("Basic realm=/a/b.key", Some("/a/b.key")),
            ("basic Realm=\"/a/b c.key\"", Some("/a/b c.key")),
            ("Basic realm=", Some("")),
            ("Bearer realm=/a/b.key", None),
            ("Basic charset=utf-8", None),
            ("Basic", None),
            ("", None),
        ] {
            assert_eq!(challenge(&answer(401, text)), realm, "{text}");
        }
        assert_eq!(challenge(&answer(403, "Basic realm=/a/b.key")), None);
    }

    #[test]
    fn only_key_files_directly_in_the_folder_are_followed() {
        let good = "/var/opt/azcmagent/tokens/0f0c5e1d.key";
        let path =
            |text: &str| key_path(&answer(401, &format!("Basic realm={text}")), KEYS.as_ref());
        assert_eq!(path(good).unwrap(), Path::new(good));
        for text in [
            "",
            "/",
            "/etc/shadow",
            "/etc/exorelay/client.key",
            "relative.key",
            "/var/opt/azcmagent/tokens",
            "/var/opt/azcmagent/tokens/",
            "/var/opt/azcmagent/tokens/a.key/",
            "/var/opt/azcmagent/tokens/a.key/.",
            "/var/opt/azcmagent/tokens/../a.key",
            "/var/opt/azcmagent/tokens/x/../a.key",
            "/var/opt/azcmagent/tokens/./a.key",
            "/var/opt/azcmagent/tokens//a.key",
            "/var/opt/azcmagent/tokens/x/a.key",
            "/var/opt/azcmagent/tokens-of-mine/a.key",
            "/var/opt/azcmagent/tokens/a.pem",
            "/var/opt/azcmagent/tokens/.key",
            "/var/opt/azcmagent/tokens/key",
        ] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn key_is_a_small_regular_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &[u8]| {
            std::fs::write(at(name), text).unwrap();
            read_key(&at(name))
        };
        assert_eq!(write("a.key", b"a2V5Cg==\n").unwrap().reveal(), "a2V5Cg==");
        assert_eq!(write("b.key", &[b'k'; 4096]).unwrap().reveal().len(), 4096);
        for (text, why) in [
            (&[b'k'; 4097][..], "too large"),
            (b"", "no key"),
            (b"\n", "no key"),
            (b"two words", "no key"),
            (b"a\x01b", "no key"),
            (b"\xff", "UTF-8"),
        ] {
            let error = write("c.key", text).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        std::os::unix::fs::symlink(at("a.key"), at("link.key")).unwrap();
        assert!(read_key(&at("link.key")).is_err());
        std::fs::create_dir(at("folder.key")).unwrap();
        assert!(read_key(&at("folder.key")).is_err());
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe.key"),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
        // Opened as a file, a pipe without a writer would be waited for without end.
        assert!(read_key(&at("pipe.key")).is_err());
        assert!(read_key(&at("missing.key")).is_err());
    }
}
