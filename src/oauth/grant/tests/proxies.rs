//! Through a proxy, to an endpoint whose name only the proxy can resolve.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::*;

const NAME: &str = "login.contoso.test";

/// An endpoint of that name, on some port of this machine, and the file of its certificate.
async fn secure_endpoint(folder: &tempfile::TempDir) -> (SocketAddr, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![NAME.to_owned()])
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
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.pem()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = Vec::new();
                while !request.ends_with(b"%2F.x") {
                    if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                        return;
                    }
                }
                let body = json!({"access_token": TOKEN, "token_type": "Bearer"}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, ca_file)
}

/// What proxies were asked for, credentials included.
type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy that passes whatever it is asked for to `target`; none: refuses.
async fn proxy<F>(target: Option<SocketAddr>, negotiate: fn(TcpStream, bool) -> F) -> (u16, Asked)
where
    F: Future<Output = Option<(TcpStream, String)>> + Send + 'static,
{
    let asked = Asked::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some((mut stream, words)) = negotiate(stream, target.is_some()).await else {
                continue;
            };
            seen.lock().unwrap().push(words);
            if let Some(target) = target {
                let mut onwards = TcpStream::connect(target).await.unwrap();
                tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut stream, &mut onwards).await;
                });
            }
        }
    });
    (port, asked)
}

async fn http(mut stream: TcpStream, allows: bool) -> Option<(TcpStream, String)> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        header.push(stream.read_u8().await.ok()?);
    }
    let header = String::from_utf8(header).unwrap();
    let answer: &[u8] = if allows {
        b"HTTP/1.1 200 OK\r\n\r\n"
    } else {
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    };
    stream.write_all(answer).await.ok()?;
    let target = header.split(' ').nth(1).unwrap().to_owned();
    let login = header.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization")
            .then_some(value)
    });
    Some((stream, format!("{target} {}", login.unwrap_or("nobody"))))
}

async fn socks5(mut stream: TcpStream, allows: bool) -> Option<(TcpStream, String)> {
    async fn short(stream: &mut TcpStream) -> Option<String> {
        let mut text = vec![0; usize::from(stream.read_u8().await.ok()?)];
        stream.read_exact(&mut text).await.ok()?;
        String::from_utf8(text).ok()
    }
    let _version = stream.read_u8().await.ok()?;
    let methods = short(&mut stream).await?;
    let mut login = "nobody".to_owned();
    if methods.contains('\u{2}') {
        stream.write_all(&[5, 2]).await.ok()?;
        let _version = stream.read_u8().await.ok()?;
        login = short(&mut stream).await? + ":" + &short(&mut stream).await?;
        stream.write_all(&[1, 0]).await.ok()?;
    } else {
        stream.write_all(&[5, 0]).await.ok()?;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    assert_eq!(request, [5, 1, 0, 3], "a name, not an address");
    let name = short(&mut stream).await?;
    let port = stream.read_u16().await.ok()?;
    let reply = if allows { 0 } else { 2 };
    let answer = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&answer).await.ok()?;
    Some((stream, format!("{name}:{port} {login}")))
}

fn through(proxy: &str, ca_file: PathBuf) -> Settings {
    let mut settings = settings(format!("https://{NAME}/token").parse().unwrap());
    settings.ca_file = Some(ca_file);
    settings.proxy = Some(proxy.parse().unwrap());
    settings
}

#[tokio::test]
async fn token_requests_go_through_the_proxy_that_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let (target, ca_file) = secure_endpoint(&folder).await;
    let (http_port, http_asked) = proxy(Some(target), http).await;
    let (socks_port, socks_asked) = proxy(Some(target), socks5).await;
    for url in [
        format!("http://127.0.0.1:{http_port}"),
        format!("http://me:p%40ss%3A%25@127.0.0.1:{http_port}"),
        format!("socks5://127.0.0.1:{socks_port}"),
        format!("socks5://me:p%40ss%3A%25@127.0.0.1:{socks_port}"),
    ] {
        let settings = through(&url, ca_file.clone());
        let granted = obtain(settings.clone()).await.unwrap();
        assert_eq!(granted.token.reveal(), TOKEN, "{url}");
        let shown = format!("{settings:?} {:?}", Grant::new(settings.clone()).unwrap());
        assert!(
            !shown.contains("p@ss") && !shown.contains("p%40ss"),
            "{shown}"
        );
    }
    let expected = |login: &str| format!("{NAME}:443 {login}");
    assert_eq!(
        *http_asked.lock().unwrap(),
        [expected("nobody"), expected("Basic bWU6cEBzczol")]
    );
    assert_eq!(
        *socks_asked.lock().unwrap(),
        [expected("nobody"), expected("me:p@ss:%")]
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ca_file) = secure_endpoint(&folder).await;
    let (http_port, _) = proxy(None, http).await;
    let (socks_port, _) = proxy(None, socks5).await;
    for (scheme, port) in [("http", http_port), ("socks5", socks_port)] {
        let url = format!("{scheme}://me:hunter2@127.0.0.1:{port}");
        let error = obtain(through(&url, ca_file.clone())).await.unwrap_err();
        let report = error.report();
        let named = format!(
            "cannot reach {NAME} through the proxy {scheme}://127.0.0.1:{port} (check smtp.proxy"
        );
        assert!(report.starts_with(&named), "{report}");
        assert!(!report.contains("hunter2") && !format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn an_endpoint_on_loopback_is_asked_directly() {
    let body = json!({"access_token": TOKEN, "token_type": "Bearer"}).to_string();
    let (url, _) = endpoint(move |_, _| answer(200, &[], body.clone())).await;
    let (port, asked) = proxy(None, http).await;
    let mut settings = settings(url);
    settings.proxy = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    assert_eq!(obtain(settings).await.unwrap().token.reveal(), TOKEN);
    assert!(asked.lock().unwrap().is_empty());
}

/// The environment of a running process is not to be changed, so the test runs itself again.
#[tokio::test]
async fn without_a_setting_the_environment_decides() {
    const CA_FILE: &str = "EXORELAY_TEST_CA_FILE";
    const TEST: &str = "oauth::grant::tests::proxies::without_a_setting_the_environment_decides";
    if let Some(ca_file) = std::env::var_os(CA_FILE) {
        let mut settings = through("http://proxy:1", ca_file.into());
        settings.proxy = None;
        settings.timeout = Duration::from_secs(20);
        let direct = std::env::var_os("NO_PROXY").is_some();
        assert_eq!(obtain(settings).await.is_err(), direct);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (target, ca_file) = secure_endpoint(&folder).await;
    let (port, asked) = proxy(Some(target), http).await;
    for no_proxy in [None, Some(NAME)] {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
            .args(["--exact", TEST])
            .env(CA_FILE, &ca_file)
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
        if let Some(no_proxy) = no_proxy {
            command.env("NO_PROXY", no_proxy);
        }
        let ran = tokio::task::spawn_blocking(move || command.output());
        let output = ran.await.unwrap().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("1 passed"), "{no_proxy:?}: {shown}");
        assert_eq!(asked.lock().unwrap().len(), 1, "only without NO_PROXY");
    }
}
