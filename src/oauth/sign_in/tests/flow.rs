//! Authorization code with PKCE, from the URL to the tokens.

use super::*;
use crate::oauth::error::OperatorError;

/// The whole way, with a browser that does what it is told.
async fn sign_in(settings: SignInSettings) -> Result<SignedIn, SignInError> {
    let sign_in = SignIn::new(settings).unwrap();
    let mut loopback = Loopback::bind(sign_in.redirect()).await?;
    let authorization = sign_in.authorize(loopback.redirect().clone());
    let browser = async {
        let (status, location, _) = browse(authorization.url()).await;
        assert_eq!(status, 302);
        browse(&location.unwrap()).await
    };
    let exorelay = async {
        let arrival = loopback.wait(authorization.state()).await;
        let signed_in = sign_in.redeem(&authorization, arrival.answer).await;
        let page = match &signed_in {
            Ok(_) => Page::success("Done."),
            Err(error) => Page::failure(error.to_string()),
        };
        arrival.browser.show(page).await;
        signed_in
    };
    let ((status, _, page), signed_in) = tokio::join!(browser, exorelay);
    assert_eq!(status == 200, signed_in.is_ok(), "{page}");
    assert!(!page.contains(REFRESH) && !page.contains(SECRET));
    signed_in
}

#[tokio::test]
async fn public_client_signs_in_with_a_free_port() {
    let (server, address) = Server::default().start().await;
    let signed_in = sign_in(settings(
        &address,
        "http://localhost/OAuth2Callback?From=Relay",
    ))
    .await
    .unwrap();
    assert_eq!(signed_in.refresh_token.reveal(), REFRESH);
    assert_eq!(signed_in.user.as_deref(), Some("relay@contoso.com"));

    let codes = server.codes.lock().unwrap();
    let redirect = &codes[0]["redirect_uri"];
    assert!(redirect.starts_with("http://localhost:"), "{redirect}");
    assert!(
        redirect.ends_with("/OAuth2Callback?From=Relay"),
        "{redirect}"
    );
    assert!(!format!("{signed_in:?}").contains("pl4nted"));
}

#[tokio::test]
async fn confidential_client_tries_its_secrets_in_turn() {
    let server = Server {
        secret: Some(SECRET),
        ..Server::default()
    };
    let (server, address) = server.start().await;
    let mut settings = settings(&address, "http://127.0.0.1/cb");
    settings.application.credential = secrets(&["0ld", SECRET]);
    sign_in(settings).await.unwrap();
    assert_eq!(server.codes.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn client_of_the_wrong_kind_is_told_what_to_change() {
    let web = Server {
        secret: Some(SECRET),
        ..Server::default()
    };
    let (_, address) = web.start().await;
    let error = sign_in(settings(&address, "http://localhost"))
        .await
        .unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("AADSTS7000218") && shown.contains("allow public client flows"));
    assert!(shown.contains("client_secret"), "{shown}");

    let (_, address) = Server::default().start().await;
    let mut settings = settings(&address, "http://localhost");
    settings.application.credential = secrets(&[SECRET]);
    let shown = sign_in(settings).await.unwrap_err().to_string();
    assert!(shown.contains("AADSTS700025") && shown.contains("Remove client_secret"));
}

#[tokio::test]
async fn redirect_that_is_not_registered_is_named() {
    let (server, address) = Server::default().start().await;
    let sign_in = SignIn::new(settings(&address, "http://localhost/Callback")).unwrap();
    let authorization = sign_in.authorize(sign_in.redirect().clone());
    browse(authorization.url()).await;
    server
        .begun
        .lock()
        .unwrap()
        .as_mut()
        .unwrap()
        .insert("redirect_uri".into(), "http://localhost/callback".into());
    let code = Answer::Code(Secret::new("1.AX+/c0de"));
    let error = sign_in.redeem(&authorization, code).await.unwrap_err();
    assert!(matches!(error, SignInError::Registration { .. }));
    let shown = error.to_string();
    assert!(shown.contains("AADSTS50011") && shown.contains("http://localhost/Callback"));
}

#[tokio::test]
async fn code_of_another_sign_in_is_worth_nothing() {
    let (_, address) = Server::default().start().await;
    let sign_in = SignIn::new(settings(&address, "http://localhost")).unwrap();
    let stolen = sign_in.authorize(sign_in.redirect().clone());
    browse(stolen.url()).await;
    let ours = sign_in.authorize(sign_in.redirect().clone());
    let answer = Answer::from_paste("1.AX+/c0de", ours.state()).unwrap();
    let error = sign_in.redeem(&ours, answer).await.unwrap_err();
    let SignInError::Token(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.response().unwrap().aadsts(), Some(501_481));
    // And the second time it is used up.
    let again = Answer::Code(Secret::new("1.AX+/c0de"));
    let error = sign_in.redeem(&stolen, again).await.unwrap_err();
    assert!(matches!(error, SignInError::Expired), "{error:?}");
}

#[tokio::test]
async fn errors_on_the_redirect_are_explained_as_those_of_the_token_endpoint() {
    let (_, address) = Server::default().start().await;
    let sign_in = SignIn::new(settings(&address, "http://localhost")).unwrap();
    let authorization = sign_in.authorize(sign_in.redirect().clone());
    let answer = |query: &str| {
        let state = authorization.state();
        let text = format!("http://localhost/?{query}&state={}", state.reveal());
        Answer::from_paste(&text, state).unwrap()
    };
    let declined = "error=access_denied&error_description=AADSTS65004%3A+User+declined+to+consent.";
    let error = sign_in.redeem(&authorization, answer(declined)).await;
    assert!(
        matches!(error, Err(SignInError::Declined { .. })),
        "{error:?}"
    );

    let consent = "error=consent_required&error_description=AADSTS65001%3A+No+consent.";
    let error = sign_in.redeem(&authorization, answer(consent)).await;
    let Err(SignInError::Token(TokenError::Operator(OperatorError::Refused { response, known }))) =
        error
    else {
        panic!("{error:?}");
    };
    assert_eq!(response.aadsts(), Some(65_001));
    assert!(known.remedy.contains("consent"), "{}", known.remedy);
}

#[tokio::test]
async fn missing_refresh_token_is_explained_by_what_was_asked() {
    for (scope, parameters, words) in [
        (
            "https://outlook.office.com/SMTP.Send",
            &[][..],
            "add offline_access to oauth.scope",
        ),
        (
            "https://outlook.office.com/SMTP.Send offline_access",
            &[],
            "delegated permission offline_access",
        ),
        (
            "https://mail.google.com/",
            &[("access_type", "offline")],
            "access_type=offline",
        ),
    ] {
        let server = Server {
            no_refresh_token: true,
            ..Server::default()
        };
        let (_, address) = server.start().await;
        let mut settings = settings(&address, "http://localhost");
        settings.application.scope = scope.to_owned();
        settings.parameters = parameters;
        let error = sign_in(settings).await.unwrap_err();
        assert!(matches!(error, SignInError::NoRefreshToken { .. }));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn person_is_known_from_either_token_or_not_at_all() {
    for (id_token, user) in [
        (None, None),
        (Some("not a token".to_owned()), None),
        (
            Some(jwt(&json!({"preferred_username": "me@outlook.com"}))),
            Some("me@outlook.com"),
        ),
        (
            Some(jwt(&json!({"email": "me@gmail.com", "sub": "1"}))),
            Some("me@gmail.com"),
        ),
    ] {
        let server = Server {
            opaque: true,
            id_token,
            ..Server::default()
        };
        let (_, address) = server.start().await;
        let signed_in = sign_in(settings(&address, "http://localhost"))
            .await
            .unwrap();
        assert_eq!(signed_in.user.as_deref(), user);
    }
}

#[test]
fn query_of_the_given_url_is_merged() {
    let mut settings = settings("127.0.0.1:9", "http://localhost");
    settings.authorize_url = AuthUrl::new(
        "https://login.example/authorize?prompt=select_account&scope=old&client_id=old&x=%C3%A4"
            .to_owned(),
    )
    .unwrap();
    settings.parameters = &[("access_type", "offline"), ("prompt", "consent")];
    let url = |settings: SignInSettings| -> oauth2::url::Url {
        let sign_in = SignIn::new(settings).unwrap();
        let redirect = sign_in.redirect().clone();
        sign_in.authorize(redirect).url().parse().unwrap()
    };
    let all = |url: &oauth2::url::Url, name: &str| -> Vec<String> {
        let named = url.query_pairs().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.into_owned()).collect()
    };
    let merged = url(settings.clone());
    for (name, value) in [
        ("prompt", "select_account"),
        ("x", "ä"),
        (
            "scope",
            "https://outlook.office.com/SMTP.Send offline_access",
        ),
        ("client_id", CLIENT),
        ("access_type", "offline"),
        ("login_hint", "relay@contoso.com"),
        ("redirect_uri", "http://localhost"),
    ] {
        assert_eq!(all(&merged, name), [value], "{merged}");
    }
    assert_eq!(merged.host_str(), Some("login.example"));

    let hinted = "https://login.example/authorize?login_hint=boss%40contoso.com";
    settings.authorize_url = AuthUrl::new(hinted.to_owned()).unwrap();
    assert_eq!(all(&url(settings), "login_hint"), ["boss@contoso.com"]);
}

#[test]
fn empty_scope_is_refused_by_name() {
    let mut settings = settings("127.0.0.1:9", "http://localhost");
    settings.application.scope = " ".to_owned();
    let error = SignIn::new(settings).unwrap_err();
    assert!(error.to_string().starts_with("oauth.scope"));
}
