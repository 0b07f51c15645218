//! Files in a folder, and what crashes, other processes and wrong keys make of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use super::*;

const KEY: &str = "pl4nted-key-of-more-than-32-random-characters";

struct Bench {
    folder: TempDir,
    store: TokenStore,
}

impl Bench {
    fn new(key: Option<&str>) -> Self {
        let folder = TempDir::new().unwrap();
        let store = TokenStore::new(folder.path()).sealed_with(key.map(literal));
        Self { folder, store }
    }

    /// The same folder with another key.
    fn with(&self, key: Option<&str>) -> TokenStore {
        TokenStore::new(self.folder.path()).sealed_with(key.map(literal))
    }

    fn text(&self, account: &str) -> String {
        fs::read_to_string(self.store.path(account)).unwrap()
    }
}

fn literal(text: &str) -> SecretSource {
    SecretSource::Literal(Secret::new(text))
}

fn token(text: &str) -> StoredToken {
    StoredToken {
        refresh_token: Secret::new(text),
        client_id: "app".to_owned(),
        user: Some("relay@contoso.com".to_owned()),
        origin: Origin::Browser,
        obtained_at: Timestamp::UNIX_EPOCH,
        renewed_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn what_is_saved_is_loaded_until_forgotten() {
    for key in [None, Some(KEY)] {
        let bench = Bench::new(key);
        let store = &bench.store;
        assert_eq!(store.load("default").unwrap(), None);
        assert!(!store.forget("default").unwrap());
        store.save("default", &token("1.AXoA")).unwrap();
        store.save("default", &token("1.AXoB")).unwrap();
        assert_eq!(store.load("default").unwrap(), Some(token("1.AXoB")));
        assert_eq!(store.load("other").unwrap(), None);
        assert!(store.forget("default").unwrap() && !store.forget("default").unwrap());
        assert_eq!(store.load("default").unwrap(), None);
    }
}

#[test]
fn only_the_owner_can_read_it_whatever_was_there_before() {
    let bench = Bench::new(None);
    bench.store.save("default", &token("1.AXoA")).unwrap();
    let path = bench.store.path("default");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    // A file and a leftover that somebody made readable: it is read, and mended by the next write.
    let part = path.with_extension("part");
    fs::write(&part, "half a tok").unwrap();
    for path in [&path, &part] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert!(bench.store.load("default").unwrap().is_some());
    bench.store.save("default", &token("1.AXoB")).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert!(!part.exists());
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_folder() {
    let bench = Bench::new(None);
    let folder = bench.folder.path();
    let mut owner = fs::metadata(folder).unwrap().uid();
    if rustix::process::geteuid().is_root() {
        owner = 4711;
        chown(folder, Some(owner), Some(owner)).unwrap();
    }
    for text in ["1.AXoA", "1.AXoB"] {
        bench.store.save("default", &token(text)).unwrap();
        for path in ["tokens", "tokens/default.json", "tokens/default.lock"] {
            let made = fs::metadata(folder.join(path)).unwrap();
            assert_eq!(made.uid(), owner, "{path}");
        }
    }
}

#[test]
fn sealed_file_shows_nothing_and_is_never_the_same_twice() {
    let bench = Bench::new(Some(KEY));
    bench.store.save("default", &token("1.AXoA")).unwrap();
    let first = bench.text("default");
    bench.store.save("default", &token("1.AXoA")).unwrap();
    let second = bench.text("default");
    assert_ne!(first, second);
    for text in [&first, &second] {
        assert!(text.contains("XChaCha20-Poly1305"), "{text}");
        for word in ["1.AXoA", "app", "relay@contoso.com", "browser"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    let shown = format!("{:?} {:?}", bench.store, Key::read(&literal(KEY)));
    assert!(!shown.contains("pl4nted"), "{shown}");
}

#[test]
fn sealed_file_opens_with_its_key_only() {
    let bench = Bench::new(Some(KEY));
    bench.store.save("default", &token("1.AXoA")).unwrap();
    let error = bench.with(None).load("default").unwrap_err();
    assert!(matches!(error, StoreError::NoKey { .. }), "{error}");
    assert!(error.to_string().contains("set token_store.key"));
    let other = "another-key-of-more-than-32-random-characters";
    let error = bench.with(Some(other)).load("default").unwrap_err();
    assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
    let error = bench.with(Some("hunter2")).load("default").unwrap_err();
    assert!(matches!(
        error,
        StoreError::Key(KeyError::Weak { characters: 7 })
    ));
    assert!(!error.to_string().contains("hunter2"));
    let missing = SecretSource::File("/nonexistent/key".into());
    let store = TokenStore::new(bench.folder.path()).sealed_with(Some(missing));
    let error = store.load("default").unwrap_err().to_string();
    assert!(
        error.contains("token_store.key") && error.contains("/nonexistent/key"),
        "{error}"
    );
    // Nothing of this has touched the file.
    assert_eq!(bench.store.load("default").unwrap(), Some(token("1.AXoA")));
}

#[test]
fn sealed_file_of_another_account_does_not_open() {
    let bench = Bench::new(Some(KEY));
    bench.store.save("default", &token("1.AXoA")).unwrap();
    fs::copy(bench.store.path("default"), bench.store.path("other")).unwrap();
    let error = bench.store.load("other").unwrap_err();
    assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
}

#[test]
fn changed_octet_does_not_open() {
    let bench = Bench::new(Some(KEY));
    bench.store.save("default", &token("1.AXoA")).unwrap();
    let sealed: serde_json::Value = serde_json::from_str(&bench.text("default")).unwrap();
    for (member, value) in [
        ("nonce", "AAAA".to_owned()),
        ("nonce", BASE64_STANDARD.encode([0; 24])),
        ("text", "not base64".to_owned()),
        ("text", String::new()),
        ("sealed", "ROT13".to_owned()),
    ] {
        let mut changed = sealed.clone();
        changed[member] = value.into();
        fs::write(bench.store.path("default"), changed.to_string()).unwrap();
        let error = bench.store.load("default").unwrap_err();
        assert!(matches!(error, StoreError::WrongKey { .. }), "{member}");
    }
}

#[test]
fn plain_file_is_read_with_a_key_and_sealed_by_the_next_write() {
    let bench = Bench::new(None);
    bench.store.save("default", &token("1.AXoA")).unwrap();
    assert!(bench.text("default").contains("1.AXoA"));
    let store = bench.with(Some(KEY));
    let read = store.load("default").unwrap().unwrap();
    assert_eq!(read, token("1.AXoA"));
    store.save("default", &read).unwrap();
    assert!(!bench.text("default").contains("1.AXoA"));
    assert_eq!(store.load("default").unwrap(), Some(read));
}

#[test]
fn damage_is_told_and_left_as_it_is() {
    for text in ["", "{", "[]", "{}", "null", "\u{fffd}", "{\"sealed\":7}"] {
        for key in [None, Some(KEY)] {
            let bench = Bench::new(key);
            bench.store.save("default", &token("1.AXoA")).unwrap();
            fs::write(bench.store.path("default"), text).unwrap();
            let error = bench.store.load("default").unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{text}");
            assert_eq!(bench.text("default"), text);
        }
    }
    let bench = Bench::new(None);
    bench.store.save("default", &token("1.AXoA")).unwrap();
    fs::write(bench.store.path("default"), vec![0xff; 300_000]).unwrap();
    let error = bench.store.load("default").unwrap_err();
    assert!(error.to_string().contains("exorelay login"), "{error}");
}

/// The states a crash can leave, one after each octet and each system call of a save.
#[test]
fn crash_at_any_moment_of_a_save_leaves_a_whole_token() {
    for key in [None, Some(KEY)] {
        let bench = Bench::new(key);
        let (store, path) = (&bench.store, bench.store.path("default"));
        let part = path.with_extension("part");
        store.save("default", &token("1.AXoB")).unwrap();
        let new = fs::read(&path).unwrap();
        store.save("default", &token("1.AXoA")).unwrap();
        for length in 0..=new.len() {
            fs::write(&part, &new[..length]).unwrap();
            assert_eq!(store.load("default").unwrap(), Some(token("1.AXoA")));
        }
        fs::rename(&part, &path).unwrap();
        assert_eq!(store.load("default").unwrap(), Some(token("1.AXoB")));
        fs::write(&part, "left").unwrap();
        store.save("default", &token("1.AXoC")).unwrap();
        assert_eq!(store.load("default").unwrap(), Some(token("1.AXoC")));
        fs::write(&part, "left").unwrap();
        assert!(store.forget("default").unwrap());
        assert!(!part.exists(), "a newer token must not outlive it");
    }
}

#[test]
fn failed_save_leaves_the_old_token() {
    let bench = Bench::new(None);
    bench.store.save("default", &token("1.AXoA")).unwrap();
    // What even root cannot write over.
    let part = bench.store.path("default").with_extension("part");
    fs::create_dir(&part).unwrap();
    let error = bench.store.save("default", &token("1.AXoB")).unwrap_err();
    assert!(error.to_string().contains("default.json"), "{error}");
    assert_eq!(bench.store.load("default").unwrap(), Some(token("1.AXoA")));
}

#[test]
fn lock_is_for_one_at_a_time_and_one_account() {
    let bench = Bench::new(None);
    let lock = bench.store.try_lock("default").unwrap();
    // Each has its own open file, as another process has.
    let other = bench.with(None);
    let error = other.try_lock("default").unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(other.try_lock("fabrikam").is_ok());
    drop(lock);
    assert!(other.try_lock("default").is_ok());
}

#[test]
fn sign_in_waits_for_a_renewal_under_way_and_wins() {
    let bench = Bench::new(None);
    bench.store.save("default", &token("old")).unwrap();
    let renewal = bench.store.lock("default").unwrap();
    assert_eq!(renewal.load().unwrap(), Some(token("old")));
    let (waiting, is_waiting) = std::sync::mpsc::channel();
    let store = bench.with(None);
    let login = std::thread::spawn(move || {
        waiting.send(()).unwrap();
        store.save("default", &token("signed-in")).unwrap();
    });
    is_waiting.recv().unwrap();
    renewal.save(&token("renewed")).unwrap();
    assert_eq!(renewal.load().unwrap(), Some(token("renewed")));
    drop(renewal);
    login.join().unwrap();
    assert_eq!(
        bench.store.load("default").unwrap(),
        Some(token("signed-in"))
    );
}
