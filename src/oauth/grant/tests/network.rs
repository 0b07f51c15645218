//! Connections that fail, hang, or are not to be trusted.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn body_without_end_is_cut_off() {
    let url = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 8192]).await.is_ok() {}
    })
    .await;
    let error = obtain(settings(url)).await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Fault(FaultError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn truncated_answer_and_closed_port_are_network_trouble() {
    let url = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"access_token\":\"")
            .await;
    })
    .await;
    let error = obtain(settings(url)).await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Retry(RetryError::Unreachable { .. })
    ));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let error = obtain(settings(url.parse().unwrap())).await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Retry(RetryError::Unreachable { .. })
    ));
    let report = error.report();
    assert!(report.starts_with("cannot reach 127.0.0.1: "), "{report}");
    assert!(report.contains("refused"), "{report}");
}

#[tokio::test]
async fn silent_server_is_given_up() {
    for greeting in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"] {
        let url = raw(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(greeting).await;
            std::future::pending::<()>().await;
        })
        .await;
        let limit = Duration::from_millis(50);
        let mut settings = settings(url);
        settings.timeout = limit;
        let error = obtain(settings).await.unwrap_err();
        assert!(
            matches!(error, TokenError::Retry(RetryError::Timeout { limit: l, .. }) if l == limit),
            "{error:?}"
        );
        assert!(error.to_string().contains("within 0.05 s"), "{error}");
    }
}

#[tokio::test]
async fn certificates_are_checked_and_ca_file_is_trusted() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let url = raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            read_request(&mut stream).await;
            let body = json!({"access_token": TOKEN, "token_type": "Bearer"}).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let url: EndpointUrl = url.as_str().replace("http:", "https:").parse().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        Some(path)
    };
    let mut trusting = settings(url.clone());
    trusting.ca_file = write("ca.pem", certificate.pem());
    assert_eq!(obtain(trusting).await.unwrap().token.reveal(), TOKEN);

    // A stranger's root stands in for the system's, so that a machine without any can run this.
    let key = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    let mut strange = settings(url);
    strange.ca_file = write("other.pem", other.self_signed(&key).unwrap().pem());
    let error = obtain(strange).await.unwrap_err();
    assert!(
        matches!(
            error,
            TokenError::Operator(OperatorError::Certificate { .. })
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("ca_file"));
}

/// A server below HTTP.
async fn raw<S, F>(serve: S) -> EndpointUrl
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    url.parse().unwrap()
}

/// HTTP clients take an answer that comes before the request for an error.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) {
    let mut request = Vec::new();
    while !request.ends_with(LAST_OF_THE_REQUEST) {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
}

/// Of the secret, in its encoded form.
const LAST_OF_THE_REQUEST: &[u8] = b"%2F.x";
