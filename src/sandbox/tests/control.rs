//! The control interface over HTTP.

use serde_json::{Value, json};

use super::support::{Client, start};
use super::token::http;
use crate::sandbox::Sandbox;

fn url(sandbox: &Sandbox, path: &str) -> String {
    format!("http://{}{path}", sandbox.http_address())
}

async fn get(sandbox: &Sandbox, path: &str) -> (u16, Vec<u8>) {
    let response = http().get(url(sandbox, path)).send().await.unwrap();
    (
        response.status().as_u16(),
        response.bytes().await.unwrap().to_vec(),
    )
}

async fn get_json(sandbox: &Sandbox, path: &str) -> Value {
    serde_json::from_slice(&get(sandbox, path).await.1).unwrap()
}

async fn post(sandbox: &Sandbox, path: &str, body: &Value) -> u16 {
    let request = http()
        .post(url(sandbox, path))
        .header("content-type", "application/json");
    request
        .body(body.to_string())
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn delete(sandbox: &Sandbox, path: &str) -> u16 {
    http()
        .delete(url(sandbox, path))
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn what_came_in_can_be_read() {
    let (sandbox, folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    client
        .message("Subject: x\r\n\r\nbody\r\n.\r\n", "250")
        .await;
    client.ask("JUNK", "500").await;

    let (status, help) = get(&sandbox, "/").await;
    assert!(status == 200 && help.starts_with(b"exorelay sandbox"));
    let messages = get_json(&sandbox, "/messages").await;
    assert_eq!(messages[0]["number"], 1);
    assert_eq!(messages[0]["recipients"], json!(["kim@fabrikam.com"]));
    assert_eq!(
        get(&sandbox, "/messages/1").await,
        (200, b"Subject: x\r\n\r\nbody\r\n".to_vec())
    );
    assert_eq!(get(&sandbox, "/messages/2").await.0, 404);
    assert_eq!(
        get_json(&sandbox, "/violations").await[0]["what"],
        "the unknown command JUNK"
    );
    let counts = get_json(&sandbox, "/stats").await;
    assert_eq!(
        (&counts["messages"], &counts["connections"]),
        (&json!(1), &json!(1))
    );

    assert_eq!(delete(&sandbox, "/messages").await, 204);
    assert_eq!(get_json(&sandbox, "/messages").await, json!([]));
    assert!(!folder.path().join("000001.eml").exists());
    client
        .message("Subject: y\r\n\r\nbody\r\n.\r\n", "250")
        .await;
    assert_eq!(sandbox.control().wait_for_messages(1).await[0].number, 2);
}

#[tokio::test]
async fn faults_can_be_ordered_and_taken_back() {
    let (sandbox, _folder) = start(|_| {}).await;
    let order = json!({"step": "auth", "reply": "454 4.7.0 Later", "count": 1});
    assert_eq!(post(&sandbox, "/control/smtp", &order).await, 204);
    let mut client = Client::secured(&sandbox).await;
    client.ask("AUTH XOAUTH2 eA==", "454 4.7.0 Later").await;
    let order = json!({"documented": "conditional_access", "count": 1});
    assert_eq!(post(&sandbox, "/control/smtp", &order).await, 204);
    client.ask("AUTH XOAUTH2 eA==", "535 5.7.139 ").await;
    let unheard_of = json!({"documented": "no_such_reply"});
    assert_eq!(post(&sandbox, "/control/smtp", &unheard_of).await, 404);
    let order = json!({"step": "end_of_data", "action": "disconnect_after_accept"});
    assert_eq!(post(&sandbox, "/control/smtp", &order).await, 204);
    let mut client = Client::authenticated(&sandbox).await;
    client.envelope().await;
    client.send("a\r\n.\r\n").await;
    client.expect_closed().await;
    assert_eq!(delete(&sandbox, "/control").await, 204);
    Client::authenticated(&sandbox)
        .await
        .message("a\r\n.\r\n", "250")
        .await;

    for fault in [
        "off",
        "cut",
        "refuse_secret",
        "slow",
        "throttle",
        "html",
        "garbage",
        "none",
    ] {
        let order = json!({"fault": fault, "seconds": 1.5, "retry_after": 3, "count": 2});
        assert_eq!(
            post(&sandbox, "/control/token", &order).await,
            204,
            "{fault}"
        );
    }
    assert_eq!(
        post(&sandbox, "/control/token", &json!({"fault": "off"})).await,
        204
    );
    let token = http().post(sandbox.token_url()).send().await.unwrap();
    assert_eq!(token.status(), 503);
    for (path, order) in [
        (
            "/control/smtp",
            json!({"step": "nowhere", "action": "hang"}),
        ),
        ("/control/smtp", json!({"step": "mail"})),
        (
            "/control/smtp",
            json!({"step": "mail", "documented": "account_locked"}),
        ),
        (
            "/control/smtp",
            json!({"step": "mail", "reply": "x", "action": "hang"}),
        ),
        (
            "/control/smtp",
            json!({"step": "mail", "action": "hang", "cuont": 1}),
        ),
        ("/control/token", json!({"fault": "on fire"})),
    ] {
        assert_eq!(post(&sandbox, path, &order).await, 422, "{order}");
    }
    assert_eq!(delete(&sandbox, "/control/tokens").await, 204);
}

#[tokio::test]
async fn a_name_that_only_points_to_loopback_is_refused() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (host, status) in [
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("localhost:1", 200),
        ("[::1]:1", 200),
        ("127.0.0.1", 200),
    ] {
        let response = http()
            .get(url(&sandbox, "/stats"))
            .header("host", host)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
}
