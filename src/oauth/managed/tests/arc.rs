//! The agent's challenge and the key.

use super::*;

const KEY: &str = "cGw0bnRlZC1rZXk=";

struct Agent {
    managed: Managed,
    seen: Seen,
    folder: TempDir,
}

impl Agent {
    /// It names `realm`, with `FOLDER` in it standing for the folder, and takes [`KEY`].
    async fn new(realm: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good.key"), format!("{KEY}\n")).unwrap();
        let realm = realm.replace("FOLDER", folder.path().to_str().unwrap());
        let (url, seen) = platform(VM, move |_, asked| {
            if asked.header("authorization") == Some(&format!("Basic {KEY}")) {
                return token_response();
            }
            let body = json!({
                "error": "unauthorized_client",
                "error_description": format!("Missing or wrong Basic Authorization header: {KEY}"),
            });
            let challenge = format!("Basic realm={realm}");
            answer(401, &[("www-authenticate", &challenge)], body.to_string())
        })
        .await;
        let mut managed = managed(&settings(), &url);
        managed.platform = Platform::Arc;
        managed.keys = folder.path().to_owned();
        Self {
            managed,
            seen,
            folder,
        }
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    async fn refusal(&self) -> IdentityError {
        match self.managed.obtain().await.unwrap_err() {
            TokenError::Operator(OperatorError::Identity(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn key_is_read_and_sent() {
    let agent = Agent::new("FOLDER/good.key").await;
    let granted = agent.managed.obtain().await.unwrap();
    assert_eq!(granted.token.reveal(), TOKEN);
    let seen = agent.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for asked in &*seen {
        assert_eq!(
            asked.line,
            format!("GET {VM}?api-version=2020-06-01&resource=https%3A%2F%2Foutlook.office365.com")
        );
        assert_eq!(asked.header("metadata"), Some("true"));
    }
    assert_eq!(seen[0].header("authorization"), None);
}

#[tokio::test]
async fn agent_on_an_unusual_port_shows_itself_by_its_challenge() {
    let mut agent = Agent::new("FOLDER/good.key").await;
    agent.managed.platform = Platform::VmOrArc;
    assert_eq!(agent.managed.obtain().await.unwrap().token.reveal(), TOKEN);
    let seen = agent.seen.lock().unwrap();
    let versions: Vec<bool> = seen
        .iter()
        .map(|asked| asked.line.contains("2018-02-01"))
        .collect();
    assert_eq!(versions, [true, false, false]);
}

#[tokio::test]
async fn a_vm_that_asks_for_a_key_gets_none() {
    let mut agent = Agent::new("FOLDER/good.key").await;
    agent.managed.platform = Platform::Vm;
    assert!(agent.managed.obtain().await.is_err());
    assert_eq!(agent.requests(), 1);
}

#[tokio::test]
async fn other_files_are_not_sent() {
    for realm in [
        "FOLDER/../good.key",
        "FOLDER/./good.key",
        "FOLDER/sub/good.key",
        "FOLDER/good.pem",
        "/etc/passwd",
        "",
    ] {
        let agent = Agent::new(realm).await;
        let error = agent.refusal().await;
        assert!(matches!(error, IdentityError::Challenge { .. }), "{realm}");
        assert_eq!(agent.requests(), 1, "{realm}");
    }
}

#[tokio::test]
async fn link_to_another_file_is_not_followed() {
    let agent = Agent::new("FOLDER/link.key").await;
    let folder = agent.folder.path();
    std::os::unix::fs::symlink(folder.join("good.key"), folder.join("link.key")).unwrap();
    assert!(matches!(agent.refusal().await, IdentityError::Key { .. }));
    assert_eq!(agent.requests(), 1);
}

#[tokio::test]
async fn unreadable_key_names_the_group() {
    let agent = Agent::new("FOLDER/missing.key").await;
    let error = agent.refusal().await;
    let IdentityError::Key { path, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(path, &agent.folder.path().join("missing.key"));
    let shown = error.to_string();
    assert!(
        shown.contains("group himds") && shown.contains("os error 2"),
        "{shown}"
    );
}

#[tokio::test]
async fn key_that_is_not_taken_is_not_shown() {
    let agent = Agent::new("FOLDER/good.key").await;
    std::fs::write(agent.folder.path().join("good.key"), "b3RoZXI=").unwrap();
    let error = agent.managed.obtain().await.unwrap_err();
    let TokenError::Operator(OperatorError::Platform { remedy, .. }) = &error else {
        panic!("{error:?}");
    };
    assert!(remedy.contains("himdsd"), "{error}");
    assert!(!format!("{error} {error:?}").contains("b3RoZXI"));
    assert_eq!(agent.requests(), 2);
}

#[tokio::test]
async fn identity_cannot_be_chosen() {
    let mut agent = Agent::new("FOLDER/good.key").await;
    agent.managed.client_id = "11111111-2222-3333-4444-555555555555".to_owned();
    assert_eq!(agent.refusal().await, IdentityError::Selector);
    assert_eq!(agent.requests(), 0);
}
