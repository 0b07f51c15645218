//! Requests, and what came back.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::sandbox::tests::support::{Client, xoauth2};
use crate::sandbox::tests::token::{encode, http, json, post};

pub(super) const KIM: &str = "kim@contoso.com";
pub(super) const SEND: &str = "https://outlook.office.com/SMTP.Send offline_access";
pub(super) const REDIRECT: &str = "http://localhost:49152/";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) type Fields<'a> = Vec<(&'a str, &'a str)>;

/// `fields` with some replaced or added; an empty value leaves a field out.
pub(super) fn with<'a>(fields: &Fields<'a>, changes: &[(&'a str, &'a str)]) -> Fields<'a> {
    let mut result = fields.clone();
    for &(name, value) in changes {
        result.retain(|(known, _)| *known != name);
        result.push((name, value));
    }
    result.retain(|(_, value)| !value.is_empty());
    result
}

pub(super) fn encoded(fields: &Fields<'_>) -> String {
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// What a public client redeems a code with.
pub(super) fn redemption<'a>(sandbox: &'a Sandbox, code: &'a str) -> Fields<'a> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", sandbox.public_client_id()),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]
}

pub(super) fn refreshing<'a>(sandbox: &'a Sandbox, refresh_token: &'a str) -> Fields<'a> {
    vec![
        ("grant_type", "refresh_token"),
        ("client_id", sandbox.public_client_id()),
        ("refresh_token", refresh_token),
    ]
}

/// The token endpoint's answer, whatever it is.
pub(super) async fn ask(sandbox: &Sandbox, fields: &Fields<'_>) -> (u16, Value) {
    let response = post(&sandbox.token_url(), encoded(fields)).await.unwrap();
    (response.status().as_u16(), json(response).await)
}

pub(super) async fn granted(sandbox: &Sandbox, fields: &Fields<'_>) -> Value {
    let (status, body) = ask(sandbox, fields).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// The request must be refused so.
pub(super) async fn refused(sandbox: &Sandbox, fields: &Fields<'_>, error: &str, code: u32) {
    let (status, body) = ask(sandbox, fields).await;
    assert_eq!(body["error"], error, "{body}");
    assert_eq!(body["error_codes"][0], code, "{body}");
    let expected = if error == "invalid_client" { 401 } else { 400 };
    assert_eq!(status, expected, "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(
        description.starts_with(&format!("AADSTS{code}: ")),
        "{description}"
    );
}

/// The fields of an authorize request of the public client.
pub(super) fn authorization(sandbox: &Sandbox) -> Fields<'_> {
    vec![
        ("client_id", sandbox.public_client_id()),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", SEND),
        ("state", "st a+te"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
}

/// What the browser gets: the status, where it is sent, and the page.
#[derive(Debug)]
pub(super) struct Browsed {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) page: String,
}

impl Browsed {
    async fn read(response: reqwest::Response) -> Self {
        let location = response.headers().get("location");
        Self {
            status: response.status().as_u16(),
            location: location.map(|location| location.to_str().unwrap().to_owned()),
            page: String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap(),
        }
    }

    /// A parameter that the browser takes back to the application.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let location = self.location.as_ref().expect("a redirection");
        let url = oauth2::url::Url::parse(location).unwrap();
        let mut pairs = url.query_pairs();
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// A browser that is not taken anywhere.
fn browser() -> reqwest::Client {
    drop(http());
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub(super) async fn browse(sandbox: &Sandbox, fields: &Fields<'_>) -> Browsed {
    let url = format!("{}?{}", sandbox.authorize_url(), encoded(fields));
    Browsed::read(browser().get(url).send().await.unwrap()).await
}

/// Fills a page in.
pub(super) async fn fill_in(url: &str, form: &Fields<'_>) -> Browsed {
    let request = browser()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded");
    Browsed::read(request.body(encoded(form)).send().await.unwrap()).await
}

/// A code for somebody who signed in to the public client.
pub(super) async fn code(sandbox: &Sandbox, user: &str, changes: &[(&str, &str)]) -> String {
    sandbox.control().sign_in(user);
    let browsed = browse(sandbox, &with(&authorization(sandbox), changes)).await;
    assert_eq!(browsed.status, 302, "{browsed:?}");
    browsed.parameter("code").expect("a code")
}

/// The first tokens of somebody who signed in to the public client.
pub(super) async fn signed_in(sandbox: &Sandbox, user: &str) -> Value {
    let code = code(sandbox, user, &[]).await;
    granted(sandbox, &redemption(sandbox, &code)).await
}

pub(super) fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {body}"))
}

pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// AUTH with this token for this mailbox must be answered so.
pub(super) async fn smtp(sandbox: &Sandbox, mailbox: &str, token: &str, reply: &str) {
    let mut client = Client::secured(sandbox).await;
    let line = format!("AUTH XOAUTH2 {}", xoauth2(mailbox, token));
    client.ask(&line, reply).await;
}

/// The control interface over HTTP.
pub(super) async fn order(sandbox: &Sandbox, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", sandbox.http_address());
    let response = http().post(url).send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
