//! Secrets: where they are read, which one is used, and that they are never shown.

use tokio_util::sync::CancellationToken;

use super::super::super::TokenSource;
use super::*;

#[tokio::test]
async fn replaced_secret_file_heals() {
    let (url, _) = endpoint(|_, body| {
        if body.ends_with("client_secret=right") {
            token_response(TOKEN)
        } else {
            answer(401, &JSON, refusal(7_000_222, "invalid_client"))
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let mut settings = settings(url);
    settings.credential = Credential::Secrets(vec![SecretSource::File(path.clone())]);
    let grant = Grant::new(settings).unwrap();

    let error = grant.obtain().await.unwrap_err();
    assert!(matches!(
        &error,
        TokenError::Operator(OperatorError::Secret(_))
    ));
    assert!(error.to_string().contains(path.to_str().unwrap()));
    std::fs::write(&path, "wrong\n").unwrap();
    let error = grant.obtain().await.unwrap_err();
    assert_eq!(error.response().unwrap().aadsts(), Some(7_000_222));
    std::fs::write(&path, "right\n").unwrap();
    assert_eq!(grant.obtain().await.unwrap().token.reveal(), TOKEN);
}

#[tokio::test]
async fn secrets_are_tried_in_order_while_they_are_refused() {
    let (url, seen) = endpoint(|_, body| match body.rsplit('=').next() {
        Some("old") => answer(401, &JSON, refusal(7_000_222, "invalid_client")),
        Some("bad") => answer(401, &JSON, refusal(7_000_215, "invalid_client")),
        Some("gone") => answer(400, &JSON, refusal(700_016, "unauthorized_client")),
        Some("busy") => answer(503, &JSON, String::new()),
        _ => token_response(TOKEN),
    })
    .await;
    let grant = |secrets: &[&str]| {
        let mut settings = settings(url.clone());
        let missing = SecretSource::File(PathBuf::from("/nonexistent/secret"));
        let literals = secrets.iter().map(|secret| literal(secret));
        settings.credential =
            Credential::Secrets(std::iter::once(missing).chain(literals).collect());
        Grant::new(settings).unwrap()
    };
    let requests = || seen.lock().unwrap().len();

    assert!(grant(&["old", "good", "bad"]).obtain().await.is_ok());
    assert_eq!(requests(), 2);
    // All refused: the first is the one meant to be used.
    let error = grant(&["old", "bad"]).obtain().await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Operator(OperatorError::Secret(_))
    ));
    assert_eq!(requests(), 4);
    // Not about the secret: another one would not help.
    let error = grant(&["gone", "good"]).obtain().await.unwrap_err();
    assert_eq!(error.response().unwrap().aadsts(), Some(700_016));
    assert!(matches!(
        grant(&["busy", "good"]).obtain().await,
        Err(TokenError::Retry(_))
    ));
    assert_eq!(requests(), 6);
}

#[tokio::test]
async fn no_error_shows_secret_or_token() {
    // A server that repeats everything it should not, in every kind of answer.
    let echo = |body: &str| format!("{SECRET} {body} {TOKEN}");
    let (url, seen) = endpoint(move |n, body| {
        let json = |error: &str| {
            let text = format!("AADSTS1: {SECRET} {body}");
            json!({"error": error, "error_description": text, "trace_id": SECRET}).to_string()
        };
        match n {
            0 => answer(401, &JSON, json("invalid_client")),
            1 => answer(400, &JSON, json("invalid_request")),
            2 => answer(400, &JSON, json("temporarily_unavailable")),
            3 => answer(503, &JSON, json("server_error")),
            4 => answer(400, &JSON, json(SECRET)),
            5 => answer(200, &[("content-type", "text/html")], echo(body)),
            6 => answer(404, &[], echo(body)),
            7 => answer(200, &JSON, echo(body)),
            // The parser's own message would quote this value.
            8 => answer(
                200,
                &JSON,
                json!({"access_token": "x", "token_type": "Bearer", "expires_in": TOKEN})
                    .to_string(),
            ),
            9 => answer(
                200,
                &JSON,
                json!({"access_token": format!("{TOKEN} "), "token_type": "Bearer"}).to_string(),
            ),
            10 => answer(200, &JSON, format!("{{\"access_token\":\"{TOKEN}\",")),
            _ => answer(200, &JSON, echo(&" ".repeat(BODY_MAX_BYTES))),
        }
    })
    .await;
    let grant = Grant::new(settings(url)).unwrap();
    for n in 0..12 {
        let error = grant.obtain().await.unwrap_err();
        let shown = format!("{error} {error:?} {error:#?} {} {grant:?}", error.report());
        assert!(!shown.contains("pl4nted"), "{n}: {shown}");
    }
    assert_eq!(seen.lock().unwrap().len(), 12);
}

#[tokio::test]
async fn log_shows_neither_secret_nor_token() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (url, _) = endpoint(|n, body| match n {
        0 => {
            let text = format!("AADSTS7000215: {SECRET} {body}");
            let body = json!({"error": "invalid_client", "error_description": text});
            answer(401, &JSON, body.to_string())
        }
        _ => token_response(TOKEN),
    })
    .await;
    let source = TokenSource::new(settings(url)).unwrap();
    let shutdown = CancellationToken::new();
    let run = source.run(shutdown.clone());
    let use_it = async {
        let error = source.token().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("pl4nted"));
        source.renew_now();
        assert_eq!(source.token().await.unwrap().secret().reveal(), TOKEN);
        shutdown.cancel();
    };
    tokio::join!(run, use_it);

    let log = log.text();
    assert!(
        log.contains("ERROR") && log.contains("AADSTS7000215"),
        "{log}"
    );
    assert!(
        log.contains("access token obtained") && log.contains("expires_in_s=35"),
        "{log}"
    );
    assert!(!log.contains("pl4nted"), "{log}");
}

/// Where a subscriber writes to.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
