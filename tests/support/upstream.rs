//! An upstream that takes whatever it is given, in plain text, and remembers every command.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use exorelay::sandbox::Sandbox;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub struct Upstream {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// `offers` are the keywords of its reply to EHLO, apart from AUTH.
    pub async fn start(offers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, offers, Arc::clone(&seen)));
            }
        });
        Self { address, heard }
    }

    /// The settings, for this upstream in place of the sandbox, which still gives the tokens.
    pub fn instead_of(&self, sandbox: &Sandbox, settings: &str) -> String {
        let port = sandbox.smtp_address().port();
        settings
            .replace(
                "host = \"localhost\"",
                "host = \"127.0.0.1\"\ntls = \"none\"",
            )
            .replace(
                &format!("port = {port}"),
                &format!("port = {}", self.address.port()),
            )
    }

    /// Lines that begin with `verb`.
    pub fn heard(&self, verb: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let lines = heard.iter().filter(|line| line.starts_with(verb));
        lines.cloned().collect()
    }
}

async fn serve(stream: TcpStream, offers: &[&str], heard: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 up.test\r\n").await.ok()?;
    let mut lines = vec!["250-up.test".to_owned()];
    lines.extend(offers.iter().map(|keyword| format!("250-{keyword}")));
    lines.push("250 AUTH XOAUTH2\r\n".to_owned());
    let ehlo = lines.join("\r\n");
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let answer = match line.get(..4)? {
            "EHLO" => ehlo.as_str(),
            "AUTH" => "235 2.7.0 Authentication successful\r\n",
            "DATA" => "354 go\r\n",
            "QUIT" => "221 2.0.0 bye\r\n",
            _ => "250 2.0.0 OK\r\n",
        };
        heard.lock().unwrap().push(line.trim_end().to_owned());
        stream.write_all(answer.as_bytes()).await.ok()?;
        if line.starts_with("DATA") {
            let mut content = Vec::new();
            while !content.ends_with(b"\r\n.\r\n") {
                content.push(stream.read_u8().await.ok()?);
            }
            stream.write_all(b"250 2.0.0 OK\r\n").await.ok()?;
        }
    }
}
