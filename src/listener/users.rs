//! Who may log in: a file of `NAME:HASH` lines, and the one that replaces it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::file_version::FileVersion;
use crate::listener::password::{OutOfMemory, PasswordHash, PasswordHashError};
use crate::secret::Secret;
use crate::tls::{RandomError, Tag, TagKey};

/// A file of users cannot be used. Nothing of its lines is ever shown: there may be passwords among them.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file is missing or not readable for this user.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too large to be one.
    #[error("{path} has more than {FILE_MAX_BYTES} bytes; name a file of NAME:HASH lines")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is wrong.
    #[error("{path}:{line}: {fault}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// Without them nothing can be kept in memory.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Another encoding.
    #[error("is not UTF-8 text")]
    Encoding,
    /// No colon.
    #[error("is not NAME:HASH; make the line with exorelay hash-password --user NAME")]
    Form,
    /// Nobody could give it.
    #[error("the name {0}")]
    Name(#[from] UserNameError),
    /// Twice the same.
    #[error("the name stands in line {0} already; remove one of the two")]
    Twice(usize),
    /// The hash.
    #[error("what follows the name {0}")]
    Hash(#[from] PasswordHashError),
}

/// A name that cannot stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is empty, longer than {NAME_MAX_OCTETS} octets, or holds a colon, a control character or an outer space"
)]
pub struct UserNameError;

const NAME_MAX_OCTETS: usize = 255;

/// A hash has about a hundred octets.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// The users in force. What is in the file is looked at again by [`Users::refresh`].
#[derive(Debug)]
pub(super) struct Users {
    path: PathBuf,
    key: TagKey,
    current: RwLock<Arc<ByName>>,
    /// What the file looked like when it was last tried.
    seen: Mutex<FileVersion>,
}

type ByName = BTreeMap<Box<str>, User>;

#[derive(Debug)]
struct User {
    hash: PasswordHash,
    line: usize,
    /// What stands for the password that has matched the hash.
    verified: Mutex<Option<Tag>>,
}

/// Whether `name` can stand in the file.
pub fn check_user_name(name: &str) -> Result<(), UserNameError> {
    let is_usable = (1..=NAME_MAX_OCTETS).contains(&name.len())
        && !name.contains(|c: char| c == ':' || c.is_control())
        && name.trim() == name
        && !name.starts_with('#');
    is_usable.then_some(()).ok_or(UserNameError)
}

/// Reads the file of users once: how many there are. Blocking.
pub fn check_users(path: &Path) -> Result<usize, UsersError> {
    read(path).map(|users| users.len())
}

impl Users {
    /// Reads the file. Blocking.
    pub(super) fn load(path: PathBuf) -> Result<Self, UsersError> {
        let seen = FileVersion::at(&path);
        Ok(Self {
            current: RwLock::new(Arc::new(read(&path)?)),
            key: TagKey::random()?,
            path,
            seen: Mutex::new(seen),
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.current().len()
    }

    /// Takes what the file holds now, if it has changed: whether it had. What cannot be used leaves the old users
    /// in force, and is told once. Blocking.
    pub(super) fn refresh(&self) -> Result<bool, UsersError> {
        let look = FileVersion::at(&self.path);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == look {
                return Ok(false);
            }
            *seen = look;
        }
        let users = Arc::new(read(&self.path)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(true)
    }

    /// What stands for name and password until the program ends.
    pub(super) fn tag(&self, name: &str, password: &Secret) -> Tag {
        self.key
            .tag(&[name.as_bytes(), password.reveal().as_bytes()])
    }

    /// Whether `tag` has been verified for `name` since the file was read: devices log in for every message, and
    /// hashing costs as much as all the rest of it. Only the last one of each user is remembered, and no password:
    /// who can read this memory can read passwords on their way through it as well.
    pub(super) fn knows(&self, name: &str, tag: &Tag) -> bool {
        let users = self.current();
        users.get(name).is_some_and(|user| {
            let verified = user.verified.lock().unwrap_or_else(PoisonError::into_inner);
            verified.as_ref() == Some(tag)
        })
    }

    /// Whether it is the user's password. A name that does not exist takes as long as one that does: some user's
    /// hash is calculated all the same, always the same one's. Blocking, and takes memory.
    pub(super) fn verify(
        &self,
        name: &str,
        password: &Secret,
        tag: &Tag,
    ) -> Result<bool, OutOfMemory> {
        let users = self.current();
        let Some(user) = users.get(name) else {
            let number = self.key.tag(&[name.as_bytes()]);
            let number = number.iter().fold(0_usize, |sum, octet| {
                sum.wrapping_mul(31).wrapping_add(usize::from(*octet))
            });
            if let Some(user) = users.values().nth(number % users.len().max(1)) {
                user.hash.matches(password)?;
            }
            return Ok(false);
        };
        let matches = user.hash.matches(password)?;
        if matches {
            *user.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(*tag);
        }
        Ok(matches)
    }

    fn current(&self) -> Arc<ByName> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(path: &Path) -> Result<ByName, UsersError> {
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut octets))
        .map_err(|source| UsersError::Read {
            path: path.to_owned(),
            source,
        })?;
    if octets.len() as u64 > FILE_MAX_BYTES {
        return Err(UsersError::TooLarge {
            path: path.to_owned(),
        });
    }
    let mut users = ByName::new();
    for (index, line) in octets.split(|octet| *octet == b'\n').enumerate() {
        let number = index + 1;
        take(&mut users, number, line).map_err(|fault| UsersError::Line {
            path: path.to_owned(),
            line: number,
            fault,
        })?;
    }
    Ok(users)
}

/// `NAME:HASH`, a comment that begins with `#`, or nothing.
fn take(users: &mut ByName, number: usize, line: &[u8]) -> Result<(), LineFault> {
    let line = std::str::from_utf8(line).map_err(|_| LineFault::Encoding)?;
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (name, hash) = line.split_once(':').ok_or(LineFault::Form)?;
    check_user_name(name)?;
    if let Some(other) = users.get(name) {
        return Err(LineFault::Twice(other.line));
    }
    let user = User {
        hash: PasswordHash::parse(hash)?,
        line: number,
        verified: Mutex::new(None),
    };
    users.insert(name.into(), user);
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Of the password `password`, and cheap.
    pub(crate) const CHEAP: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    fn users(folder: &TempDir, text: &str) -> Result<Users, UsersError> {
        let path = folder.path().join("users");
        fs::write(&path, text).unwrap();
        Users::load(path)
    }

    fn verify(users: &Users, name: &str, password: &str) -> bool {
        let password = Secret::new(password);
        let tag = users.tag(name, &password);
        let right = users.verify(name, &password, &tag).unwrap();
        assert_eq!(users.knows(name, &tag), right);
        right
    }

    #[test]
    fn users_are_read_and_verified() {
        let folder = TempDir::new().unwrap();
        let text = format!("# printers\n\n  \nlobby:{CHEAP}\r\nJörg Müller:{CHEAP}\n");
        let users = users(&folder, &text).unwrap();
        assert_eq!(users.count(), 2);
        for name in ["lobby", "Jörg Müller"] {
            assert!(verify(&users, name, "password"), "{name}");
            assert!(!verify(&users, name, "Password"), "{name}");
        }
        for name in ["Lobby", "", "nobody", "# printers"] {
            assert!(!verify(&users, name, "password"), "{name}");
        }
        let shown = format!("{users:?}");
        assert!(!shown.contains("nf65EO"), "{shown}");
    }

    #[test]
    fn an_empty_file_lets_nobody_in() {
        let folder = TempDir::new().unwrap();
        let users = users(&folder, "").unwrap();
        assert!(!verify(&users, "lobby", "password"));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_never_shown() {
        let folder = TempDir::new().unwrap();
        for (text, line, words) in [
            ("hunter2", 1, "is not NAME:HASH"),
            ("# x\nlobby:hunter2\n", 2, "is no argon2id hash"),
            (&format!(":{CHEAP}"), 1, "is empty"),
            (&format!("a\tb:{CHEAP}"), 1, "control character"),
            (&format!("a :{CHEAP}"), 1, "outer space"),
            (
                &format!("a:{CHEAP}\n\na:{CHEAP}"),
                3,
                "stands in line 1 already",
            ),
            (
                &format!("a:{}", CHEAP.replace("m=256", "m=999999")),
                1,
                "asks for more",
            ),
        ] {
            let error = users(&folder, text).unwrap_err().to_string();
            let start = format!("{}:{line}: ", folder.path().join("users").display());
            assert!(
                error.starts_with(&start) && error.contains(words),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
        fs::write(folder.path().join("users"), b"ok:x\xff\n").unwrap();
        let error = Users::load(folder.path().join("users")).unwrap_err();
        assert!(
            error.to_string().ends_with(":1: is not UTF-8 text"),
            "{error}"
        );
        let error = Users::load(folder.path().join("none")).unwrap_err();
        assert!(matches!(error, UsersError::Read { .. }));
    }

    #[test]
    fn a_changed_file_is_taken_over_and_a_bad_one_is_not() {
        let folder = TempDir::new().unwrap();
        let users = users(&folder, &format!("a:{CHEAP}\n")).unwrap();
        assert!(verify(&users, "a", "password"));
        assert!(!users.refresh().unwrap());
        let replace = |text: &str| {
            let part = folder.path().join("part");
            fs::write(&part, text).unwrap();
            fs::rename(&part, folder.path().join("users")).unwrap();
        };
        replace("b:password\n");
        assert!(users.refresh().is_err());
        // Told once; the old ones stay in force.
        assert!(!users.refresh().unwrap());
        assert!(verify(&users, "a", "password"));
        replace(&format!("b:{CHEAP}\n"));
        assert!(users.refresh().unwrap());
        let tag = users.tag("a", &Secret::new("password"));
        assert!(!users.knows("a", &tag), "what was verified is forgotten");
        assert!(!verify(&users, "a", "password") && verify(&users, "b", "password"));
    }
}
