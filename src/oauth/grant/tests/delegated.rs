//! The refresh token: that it rotates, is saved before anything is done with it, and is never lost.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use oauth2::url::form_urlencoded;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::super::super::store::{Origin, StoredToken, TokenStore};
use super::*;
use crate::oauth::{import, obtain_once};

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const REFRESH: &str = "1.pl4nted-refresh";

struct Bench {
    _folder: TempDir,
    store: TokenStore,
    settings: Settings,
}

impl Bench {
    /// With a sign-in of which `refresh-0` came.
    fn new(url: EndpointUrl) -> Self {
        let bench = Self::signed_out(url);
        bench.sign_in("refresh-0");
        bench
    }

    fn signed_out(url: EndpointUrl) -> Self {
        let folder = TempDir::new().unwrap();
        let store = TokenStore::new(folder.path());
        let settings = Settings {
            credential: Credential::None,
            way: Way::Delegated {
                store: store.clone(),
                account: "default".to_owned(),
            },
            scope: "https://outlook.office.com/SMTP.Send offline_access".to_owned(),
            ..settings(url)
        };
        Self {
            _folder: folder,
            store,
            settings,
        }
    }

    fn grant(&self) -> Grant {
        Grant::new(self.settings.clone()).unwrap()
    }

    fn sign_in(&self, refresh_token: &str) {
        self.store.save("default", &token(refresh_token)).unwrap();
    }

    fn stored(&self) -> StoredToken {
        self.store.load("default").unwrap().unwrap()
    }

    fn refresh_token(&self) -> String {
        self.stored().refresh_token.reveal().to_owned()
    }

    /// Nothing can be saved while a folder has the name of the file that comes before.
    fn jam(&self) -> PathBuf {
        let part = self.store.path("default").with_extension("part");
        std::fs::create_dir(&part).unwrap();
        part
    }
}

fn token(refresh_token: &str) -> StoredToken {
    StoredToken {
        refresh_token: Secret::new(refresh_token),
        client_id: CLIENT.to_owned(),
        user: Some("relay@contoso.com".to_owned()),
        origin: Origin::Device,
        obtained_at: Timestamp::UNIX_EPOCH,
        renewed_at: Timestamp::UNIX_EPOCH,
    }
}

fn pair(access: &str, refresh: Option<&str>, expires_in: u64) -> Response {
    let mut body =
        json!({"token_type": "Bearer", "expires_in": expires_in, "access_token": access});
    if let Some(refresh) = refresh {
        body["refresh_token"] = refresh.into();
    }
    answer(200, &JSON, body.to_string())
}

fn parameter(body: &str, name: &str) -> Option<String> {
    let mut parameters = form_urlencoded::parse(body.as_bytes());
    let found = parameters.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// Gives `access-1` and `refresh-1`, then 2, 3, ... and takes nothing but the latest refresh token.
async fn strict() -> (EndpointUrl, Seen) {
    endpoint(|n, body| {
        if parameter(body, "refresh_token") != Some(format!("refresh-{n}")) {
            return answer(400, &JSON, refusal(70_000, "invalid_grant"));
        }
        let n = n + 1;
        pair(&format!("access-{n}"), Some(&format!("refresh-{n}")), 3599)
    })
    .await
}

#[tokio::test]
async fn request_is_that_of_rfc_6749_and_the_new_token_is_stored() {
    let (url, seen) = strict().await;
    let bench = Bench::new(url);
    let grant = bench.grant();
    let sign_in = grant.sign_in().unwrap();
    assert_eq!(*sign_in.borrow(), None);

    let before = Timestamp::now();
    let granted = grant.obtain().await.unwrap();
    assert_eq!(granted.token.reveal(), "access-1");
    assert_eq!(granted.lifetime, Duration::from_secs(3599));
    let stored = bench.stored();
    assert_eq!(stored.refresh_token.reveal(), "refresh-1");
    assert!(stored.renewed_at >= before);
    // Who signed in, how and when stays as it was.
    let unchanged = StoredToken {
        refresh_token: Secret::new("refresh-1"),
        renewed_at: stored.renewed_at,
        ..token("")
    };
    assert_eq!(stored, unchanged);
    assert_eq!(*sign_in.borrow(), Some(stored.sign_in()));
    assert_eq!(
        seen.lock().unwrap()[0].1,
        "grant_type=refresh_token&refresh_token=refresh-0\
         &scope=https%3A%2F%2Foutlook.office.com%2FSMTP.Send+offline_access\
         &client_id=11111111-2222-3333-4444-555555555555"
    );
    assert_eq!(grant.obtain().await.unwrap().token.reveal(), "access-2");
    assert_eq!(bench.refresh_token(), "refresh-2");
}

#[tokio::test]
async fn confidential_clients_try_their_secrets_in_order() {
    let (url, seen) = endpoint(
        |_, body| match parameter(body, "client_secret").as_deref() {
            Some("good") => pair("access", Some("refresh"), 3599),
            _ => answer(401, &JSON, refusal(7_000_222, "invalid_client")),
        },
    )
    .await;
    let mut bench = Bench::new(url);
    bench.settings.credential = Credential::Secrets(vec![literal("old"), literal("good")]);
    assert!(bench.grant().obtain().await.is_ok());
    assert_eq!(seen.lock().unwrap().len(), 2);
    assert_eq!(bench.refresh_token(), "refresh");
    bench.settings.credential = Credential::Secrets(vec![literal("old")]);
    let error = bench.grant().obtain().await.unwrap_err();
    assert_eq!(error.response().unwrap().aadsts(), Some(7_000_222));
    assert!(!error.to_string().contains("exorelay login"), "{error}");
}

#[tokio::test]
async fn server_that_does_not_rotate_keeps_the_token_and_moves_the_date() {
    let (url, _) = endpoint(|n, _| pair("access", (n == 1).then_some(""), 3599)).await;
    let bench = Bench::new(url);
    let grant = bench.grant();
    for _ in 0..2 {
        grant.obtain().await.unwrap();
        assert_eq!(bench.refresh_token(), "refresh-0");
        assert!(bench.stored().renewed_at > Timestamp::UNIX_EPOCH);
    }
    // Then a date that cannot be noted keeps no mail waiting.
    bench.jam();
    assert!(grant.obtain().await.is_ok());
}

#[tokio::test]
async fn access_token_waits_until_its_refresh_token_is_saved() {
    let (url, seen) = strict().await;
    let bench = Bench::new(url);
    let grant = bench.grant();
    let part = bench.jam();
    for _ in 0..3 {
        let error = grant.obtain().await.unwrap_err();
        assert!(
            matches!(error, TokenError::Operator(OperatorError::NotSaved(_))),
            "{error:?}"
        );
        assert!(error.to_string().contains("default.json"), "{error}");
        // What a crash leaves is the token from before, which nobody has replaced by using the new one.
        assert_eq!(bench.refresh_token(), "refresh-0");
    }
    std::fs::remove_dir(part).unwrap();
    assert_eq!(grant.obtain().await.unwrap().token.reveal(), "access-1");
    assert_eq!(bench.refresh_token(), "refresh-1");
    assert_eq!(seen.lock().unwrap().len(), 1, "one request, asked for once");
    assert_eq!(grant.obtain().await.unwrap().token.reveal(), "access-2");
}

#[tokio::test]
async fn new_sign_in_goes_before_a_token_that_could_not_be_saved() {
    let (url, _) = endpoint(|_, body| {
        let used = parameter(body, "refresh_token").unwrap();
        pair(&format!("for-{used}"), Some(&format!("after-{used}")), 3599)
    })
    .await;
    let bench = Bench::new(url);
    let grant = bench.grant();
    let part = bench.jam();
    grant.obtain().await.unwrap_err();
    std::fs::remove_dir(part).unwrap();
    bench.sign_in("signed-in");
    assert_eq!(
        grant.obtain().await.unwrap().token.reveal(),
        "for-signed-in"
    );
    assert_eq!(bench.refresh_token(), "after-signed-in");
}

#[tokio::test]
async fn access_token_that_waited_too_long_is_replaced() {
    let (url, _) = endpoint(|n, body| {
        let used = parameter(body, "refresh_token").unwrap();
        assert_eq!(used, format!("refresh-{n}"));
        let n = n + 1;
        // The first would have less than half of its life left by any clock.
        let life = if n == 1 { 1 } else { 3599 };
        pair(&format!("access-{n}"), Some(&format!("refresh-{n}")), life)
    })
    .await;
    let bench = Bench::new(url);
    let grant = bench.grant();
    let part = bench.jam();
    grant.obtain().await.unwrap_err();
    std::fs::remove_dir(part).unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(grant.obtain().await.unwrap().token.reveal(), "access-2");
    assert_eq!(bench.refresh_token(), "refresh-2");
}

#[tokio::test]
async fn refresh_token_is_saved_even_with_an_access_token_of_no_use() {
    let (url, _) = endpoint(|_, _| pair("a b", Some("refresh-1"), 3599)).await;
    let bench = Bench::new(url);
    let error = bench.grant().obtain().await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Fault(FaultError::Unusable { .. })
    ));
    assert_eq!(bench.refresh_token(), "refresh-1");
}

#[tokio::test]
async fn caller_that_goes_away_costs_no_token() {
    async fn slow(State((arrived, go)): State<(Arc<Notify>, Arc<Notify>)>) -> Response {
        arrived.notify_one();
        go.notified().await;
        pair("access-1", Some("refresh-1"), 3599)
    }
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let app = Router::new()
        .fallback(slow)
        .with_state((Arc::clone(&arrived), Arc::clone(&go)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let bench = Bench::new(url.parse().unwrap());
    let grant = bench.grant();
    tokio::select! {
        _ = grant.obtain() => panic!("the server has not answered yet"),
        () = arrived.notified() => {}
    }
    // A reload, say, has let go of it. Its successor waits until the token is saved.
    go.notify_one();
    let store = bench.store.clone();
    let lock = tokio::task::spawn_blocking(move || store.lock("default").unwrap());
    let stored = lock.await.unwrap().load().unwrap().unwrap();
    assert_eq!(stored.refresh_token.reveal(), "refresh-1");
}

#[tokio::test]
async fn renewals_of_several_processes_take_turns() {
    let (url, seen) = strict().await;
    let bench = Bench::new(url);
    let renewals = (0..4).map(|_| tokio::spawn(obtain_once(bench.settings.clone())));
    for renewal in renewals.collect::<Vec<_>>() {
        renewal.await.unwrap().unwrap();
    }
    assert_eq!(seen.lock().unwrap().len(), 4);
    assert_eq!(bench.refresh_token(), "refresh-4");
}

#[tokio::test(start_paused = true)]
async fn process_that_hangs_in_its_turn_is_told() {
    let bench = Bench::new("http://127.0.0.1:1/token".parse().unwrap());
    let _turn = bench.store.try_lock("default").unwrap();
    let error = bench.grant().obtain().await.unwrap_err();
    assert!(
        matches!(error, TokenError::Retry(RetryError::Locked { .. })),
        "{error:?}"
    );
    let words = error.to_string();
    assert!(words.contains("default.lock for 120 s"), "{words}");
}

#[tokio::test]
async fn what_needs_a_new_sign_in_says_so_and_removes_nothing() {
    for (number, error, sign_in) in [
        (70_000, "invalid_grant", true),
        (70_008, "invalid_grant", true),
        (700_082, "invalid_grant", true),
        (50_173, "invalid_grant", true),
        (50_089, "invalid_grant", true),
        (50_076, "interaction_required", true),
        (1, "invalid_grant", true),
        (65_001, "invalid_grant", false),
        (53_003, "invalid_grant", false),
        (70_011, "invalid_scope", false),
        (7_000_218, "invalid_client", false),
    ] {
        let (url, _) = endpoint(move |_, _| answer(400, &JSON, refusal(number, error))).await;
        let bench = Bench::new(url);
        let error = bench.grant().obtain().await.unwrap_err();
        assert_eq!(error.response().unwrap().aadsts(), Some(number));
        assert_eq!(
            matches!(error, TokenError::Operator(OperatorError::SignIn { .. })),
            sign_in,
            "{error:?}"
        );
        let command = "exorelay login ACCOUNT";
        assert_eq!(error.to_string().contains(command), sign_in, "{error}");
        assert_eq!(bench.stored(), token("refresh-0"));
    }
}

#[tokio::test]
async fn without_a_stored_token_of_the_application_nothing_is_sent() {
    let (url, seen) = strict().await;
    let error_of = async |bench: &Bench| bench.grant().obtain().await.unwrap_err().report();

    let bench = Bench::signed_out(url.clone());
    let folder = bench.store.path("default").parent().map(Path::to_owned);
    let error = error_of(&bench).await;
    assert_eq!(
        error,
        "nobody has signed in for account default: run exorelay login default"
    );
    assert!(!folder.unwrap().exists(), "looking makes no folder");

    let mut bench = Bench::new(url.clone());
    bench.settings.client_id = "another".to_owned();
    let error = error_of(&bench).await;
    assert!(
        error.contains(CLIENT) && error.contains("client_id is another"),
        "{error}"
    );
    assert_eq!(bench.stored(), token("refresh-0"));

    let bench = Bench::new(url);
    std::fs::write(bench.store.path("default"), "{").unwrap();
    let error = error_of(&bench).await;
    assert!(error.contains("is damaged"), "{error}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn imported_token_is_stored_once_it_has_worked() {
    let (url, _) = strict().await;
    let bench = Bench::signed_out(url);
    let error = import(bench.settings.clone(), token("wrong")).await;
    assert!(matches!(
        error,
        Err(TokenError::Operator(OperatorError::SignIn { .. }))
    ));
    assert_eq!(bench.store.load("default").unwrap(), None);

    let (url, _) = strict().await;
    let bench = Bench::signed_out(url);
    let (access, _) = import(bench.settings.clone(), token("refresh-0"))
        .await
        .unwrap();
    assert_eq!(access.reveal(), "access-1");
    assert_eq!(bench.refresh_token(), "refresh-1");
    // And only into the store of somebody who signs in.
    let error = import(settings(bench.settings.token_url.clone()), token("x")).await;
    assert!(matches!(error, Err(TokenError::Fault(FaultError::Request))));
}

#[tokio::test]
async fn no_error_shows_a_refresh_token() {
    let (url, seen) = endpoint(|n, body| {
        let text = format!("AADSTS70000: {SECRET} {body} {REFRESH}");
        let json =
            json!({"error": "invalid_grant", "error_description": text, "trace_id": REFRESH});
        match n {
            0 => answer(400, &JSON, json.to_string()),
            1 => answer(503, &JSON, json.to_string()),
            2 => answer(200, &JSON, format!("{text} is no JSON")),
            3 => pair("a b", Some(REFRESH), 3599),
            _ => pair(TOKEN, Some("1.pl4nted-next"), 3599),
        }
    })
    .await;
    let mut bench = Bench::new(url);
    bench.sign_in(REFRESH);
    bench.settings.credential = Credential::Secrets(vec![literal(SECRET)]);
    let grant = bench.grant();
    for n in 0..5 {
        if n == 4 {
            bench.jam();
        }
        let error = grant.obtain().await.unwrap_err();
        let shown = format!("{error} {error:?} {} {grant:?}", error.report());
        assert!(!shown.contains("pl4nted"), "{n}: {shown}");
    }
    assert_eq!(seen.lock().unwrap().len(), 5);
}
