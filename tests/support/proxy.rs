//! A proxy that passes whatever it is asked for to one address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

pub struct Proxy {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The user name and password it wants, and how HTTP carries them.
pub const LOGIN: (&str, &str) = ("robot", "p@ss");
const BASIC: &str = "Basic cm9ib3Q6cEBzcw==";

impl Proxy {
    /// `scheme` is http or socks5; without a `target` it refuses.
    pub async fn start(scheme: &'static str, target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(scheme, stream, target, Arc::clone(&seen)));
            }
        });
        Self { port, asked }
    }

    /// `HOST:PORT` of each connection, as it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    scheme: &str,
    mut stream: TcpStream,
    target: Option<SocketAddr>,
    asked: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let wanted = if scheme == "http" {
        http(&mut stream, target.is_some()).await?
    } else {
        socks5(&mut stream, target.is_some()).await?
    };
    asked.lock().unwrap().push(wanted);
    let mut onwards = TcpStream::connect(target?).await.ok()?;
    copy_bidirectional(&mut stream, &mut onwards).await.ok()?;
    Some(())
}

async fn http(stream: &mut TcpStream, allows: bool) -> Option<String> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        header.push(stream.read_u8().await.ok()?);
    }
    let header = String::from_utf8(header).ok()?;
    let answer = match (header.contains(BASIC), allows) {
        (false, _) => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        (true, false) => "HTTP/1.1 403 Forbidden\r\n\r\n",
        (true, true) => "HTTP/1.1 200 Connection established\r\n\r\n",
    };
    stream.write_all(answer.as_bytes()).await.ok()?;
    let target = header.strip_prefix("CONNECT ")?.split(' ').next()?;
    Some(target.to_owned())
}

async fn socks5(stream: &mut TcpStream, allows: bool) -> Option<String> {
    async fn short(stream: &mut TcpStream) -> Option<String> {
        let mut text = vec![0; usize::from(stream.read_u8().await.ok()?)];
        stream.read_exact(&mut text).await.ok()?;
        String::from_utf8(text).ok()
    }
    let _version = stream.read_u8().await.ok()?;
    if !short(stream).await?.contains('\u{2}') {
        stream.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    stream.write_all(&[5, 2]).await.ok()?;
    let _version = stream.read_u8().await.ok()?;
    let login = (short(stream).await?, short(stream).await?);
    let knows = (login.0.as_str(), login.1.as_str()) == LOGIN;
    stream.write_all(&[1, u8::from(!knows)]).await.ok()?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    assert_eq!(request, [5, 1, 0, 3], "a name, not an address");
    let name = short(stream).await?;
    let port = stream.read_u16().await.ok()?;
    let reply = if allows { 0 } else { 2 };
    let answer = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&answer).await.ok()?;
    Some(format!("{name}:{port}"))
}
