use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one request; its head and body.
async fn serve(listener: TcpListener, answer: String) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    loop {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head.to_owned(), body.as_bytes().to_vec());
        }
    }
}

async fn post(answer: &str) -> (Result<(), WebhookError>, String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/services/hunter2");
    let webhook = Webhook::new(Secret::new(url)).unwrap();
    let answer = answer.replace("ADDRESS", &address.to_string());
    let served = tokio::spawn(serve(listener, answer));
    let carried = webhook.carry(b"{\"id\":1}".to_vec()).await;
    let (head, body) = served.await.unwrap();
    (carried, head, body)
}

#[tokio::test]
async fn the_notice_is_posted_as_json() {
    let (carried, head, body) = post("HTTP/1.1 204 No Content\r\n\r\n").await;
    carried.unwrap();
    assert!(
        head.starts_with("POST /services/hunter2 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, b"{\"id\":1}");
}

#[tokio::test]
async fn anything_but_success_is_a_failure_and_redirects_are_not_followed() {
    for answer in [
        "HTTP/1.1 302 Found\r\nLocation: http://ADDRESS/other\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (carried, ..) = post(answer).await;
        let error = carried.unwrap_err().to_string();
        let status = answer.split(' ').nth(1).unwrap();
        assert!(error.contains(status), "{error}");
    }
}

#[tokio::test]
async fn the_url_is_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hunter2", listener.local_addr().unwrap());
    drop(listener);
    let webhook = Webhook::new(Secret::new(url)).unwrap();
    let error = webhook.carry(Vec::new()).await.unwrap_err();
    let shown = format!("{error} {error:?} {webhook:?}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    for url in ["http://hooks.example/hunter2", "hunter2"] {
        let error = Webhook::new(Secret::new(url)).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}
