//! The port that a browser returns to, and what else arrives there.

use super::super::loopback::HEAD_MAX_BYTES;
use super::*;

fn redirect(text: &str) -> RedirectUri {
    RedirectUri::new(RedirectUrl::new(text.to_owned()).unwrap())
}

fn state() -> Secret {
    Secret::new("st-4te")
}

/// The address of a fresh port, and everything that is sent to it until the sign-in has come back.
async fn bind() -> (Loopback, String) {
    let loopback = Loopback::bind(&redirect("http://localhost/cb"))
        .await
        .unwrap();
    let address = loopback.redirect().as_str().to_owned();
    (loopback, address.replace("/cb", "").replace("http://", ""))
}

/// Answers the arrival with a page and hands out its code.
async fn arrive(loopback: &mut Loopback) -> String {
    let arrival = loopback.wait(&state()).await;
    let Answer::Code(code) = arrival.answer else {
        panic!("{:?}", arrival.answer);
    };
    arrival
        .browser
        .show(Page::success("Close this window."))
        .await;
    code.reveal().to_owned()
}

#[tokio::test]
async fn only_the_awaited_request_ends_the_wait() {
    let (mut loopback, address) = bind().await;
    let visitors = async {
        let head = "\r\nHost: localhost\r\n\r\n";
        for (line, status) in [
            ("GET /favicon.ico HTTP/1.1".to_owned(), 404),
            ("GET / HTTP/1.1".to_owned(), 404),
            ("GET /CB?code=1&state=st-4te HTTP/1.1".to_owned(), 404),
            ("GET /cb/?code=1&state=st-4te HTTP/1.1".to_owned(), 404),
            ("POST /cb?code=1&state=st-4te HTTP/1.1".to_owned(), 405),
            ("HEAD /cb?code=1&state=st-4te HTTP/1.1".to_owned(), 405),
            ("GET /cb HTTP/1.1".to_owned(), 400),
            ("GET /cb?code=1 HTTP/1.1".to_owned(), 400),
            ("GET /cb?code=1&state=other HTTP/1.1".to_owned(), 400),
            ("GET /cb?error=access_denied HTTP/1.1".to_owned(), 400),
            (
                "GET http://localhost/cb?code=1&state=st-4te HTTP/1.1".to_owned(),
                400,
            ),
            ("GET /cb?code=1&state=st-4te".to_owned(), 400),
            ("GET /cb?code=1&state=st-4te HTTP/2.0".to_owned(), 400),
            ("\u{1}\u{2}".to_owned(), 400),
            (format!("GET /{} HTTP/1.1", "x".repeat(HEAD_MAX_BYTES)), 431),
            (
                format!("GET /cb HTTP/1.1\r\nX: {}", "x".repeat(3 * HEAD_MAX_BYTES)),
                431,
            ),
        ] {
            let (answered, _, _) = exchange(&address, format!("{line}{head}").as_bytes()).await;
            assert_eq!(answered, status, "{line:.60}");
        }
        // Says nothing and goes.
        drop(TcpStream::connect(&address).await.unwrap());
        browse(&format!("http://{address}/cb?code=c0de&state=st-4te")).await
    };
    let ((status, _, page), code) = tokio::join!(visitors, arrive(&mut loopback));
    assert_eq!((status, code.as_str()), (200, "c0de"));
    assert!(page.contains("Close this window.") && page.contains("Content-Security-Policy"));
}

#[tokio::test]
async fn of_two_at_once_one_counts_and_both_are_answered() {
    let (mut loopback, address) = bind().await;
    let url = format!("http://{address}/cb?code=c0de&state=st-4te");
    let ((first, _, _), (second, _, _), code) =
        tokio::join!(browse(&url), browse(&url), arrive(&mut loopback));
    let mut statuses = [first, second];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(code, "c0de");
    // So is a reload after it.
    assert_eq!(browse(&url).await.0, 409);
}

#[tokio::test]
async fn silent_connections_do_not_keep_the_browser_out() {
    let (mut loopback, address) = bind().await;
    let browser = async {
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(&address).await.unwrap());
        }
        browse(&format!("http://{address}/cb?code=c0de&state=st-4te")).await
    };
    let ((status, _, _), _) = tokio::join!(browser, arrive(&mut loopback));
    assert_eq!(status, 200);
}

#[tokio::test]
async fn request_may_come_in_pieces() {
    let (mut loopback, address) = bind().await;
    let browser = async {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        for piece in [
            "GET /cb?co",
            "de=c0de&state=st-4te HTTP/1.1\r",
            "\nHost: x\r\n\r",
            "\n",
        ] {
            stream.write_all(piece.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (answer, code) = tokio::join!(browser, arrive(&mut loopback));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(code, "c0de");
}

#[tokio::test]
async fn browser_is_answered_even_when_nobody_has_a_page() {
    let (mut loopback, address) = bind().await;
    let url = format!("http://{address}/cb?code=c0de&state=st-4te");
    let state = state();
    let ((status, _, page), ()) = tokio::join!(browse(&url), async {
        drop(loopback.wait(&state).await);
    });
    assert_eq!(status, 400);
    assert!(page.contains("Look at the terminal"), "{page}");
}

#[tokio::test]
async fn given_port_is_insisted_on() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let uri = redirect(&format!("http://127.0.0.1:{port}/cb"));
    let error = Loopback::bind(&uri).await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[tokio::test]
async fn uri_of_another_machine_cannot_be_awaited() {
    let native = redirect("https://login.microsoftonline.com/common/oauth2/nativeclient");
    let error = Loopback::bind(&native).await.unwrap_err();
    assert!(matches!(error, SignInError::Elsewhere { .. }));
}
