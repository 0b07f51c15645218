//! One case: what a client sends in one breath, what it hears, what is sent on.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Bench, within};

/// What each complete header section here says, so that the relay adds nothing but its Received.
pub(crate) const HEAD: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\n";

/// Whom the honest part of a case writes from and to.
pub(crate) const FROM: &str = "a@contoso.com";
pub(crate) const TO: &str = "b@contoso.com";

/// Listeners besides `local`, one for each rule that a case may want.
const LISTENERS: &str = r#"
[listener.reject]
address = "127.0.0.1:0"
bare_newline = "reject"
[listener.lenient]
address = "127.0.0.1:0"
bare_newline = "lenient"
[listener.small]
address = "127.0.0.1:0"
max_message_size = "2KiB"
max_recipients = 2
max_errors = 3
"#;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// What stands behind our Received field.
    pub content: Vec<u8>,
}

pub(crate) fn mail(from: &str, to: &[&str], content: impl AsRef<[u8]>) -> Mail {
    Mail {
        from: from.to_owned(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        content: content.as_ref().to_vec(),
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    name: String,
    listener: &'static str,
    input: Vec<u8>,
    /// How each begins, the greeting not among them.
    replies: Vec<&'static str>,
    queued: Vec<Mail>,
    /// The client waits for the end instead of closing its side.
    is_hung_up_on: bool,
}

pub(crate) fn case(name: impl Into<String>) -> Case {
    Case {
        name: name.into(),
        listener: "local",
        input: Vec::new(),
        replies: Vec::new(),
        queued: Vec::new(),
        is_hung_up_on: false,
    }
}

impl Case {
    pub(crate) fn on(mut self, listener: &'static str) -> Self {
        self.listener = listener;
        self
    }

    /// A command, and how its reply begins.
    pub(crate) fn line(self, line: impl AsRef<[u8]>, reply: &'static str) -> Self {
        self.raw(line, &[]).raw("\r\n", &[reply])
    }

    pub(crate) fn lines(self, lines: &[(&str, &'static str)]) -> Self {
        lines
            .iter()
            .fold(self, |case, (line, reply)| case.line(line, reply))
    }

    /// Octets, and how the replies that they lead to begin.
    pub(crate) fn raw(mut self, octets: impl AsRef<[u8]>, replies: &[&'static str]) -> Self {
        self.input.extend_from_slice(octets.as_ref());
        self.replies.extend_from_slice(replies);
        self
    }

    /// An honest client's commands up to and with DATA.
    pub(crate) fn data(self) -> Self {
        self.lines(&[
            ("EHLO device", "250-relay.test"),
            ("MAIL FROM:<a@contoso.com>", "250 2.1.0"),
            ("RCPT TO:<b@contoso.com>", "250 2.1.5"),
            ("DATA", "354"),
        ])
    }

    /// A whole transaction that must succeed: here the session is well.
    pub(crate) fn well(self) -> Self {
        self.lines(&[
            ("MAIL FROM:<well@contoso.com>", "250 2.1.0"),
            ("RCPT TO:<b@contoso.com>", "250 2.1.5"),
            ("DATA", "354"),
        ])
        .raw(format!("{HEAD}well\r\n.\r\n"), &["250 2.0.0"])
        .queues(mail(
            "well@contoso.com",
            &["b@contoso.com"],
            format!("{HEAD}well\r\n"),
        ))
    }

    pub(crate) fn queues(mut self, mail: Mail) -> Self {
        self.queued.push(mail);
        self
    }

    pub(crate) fn quits(self) -> Self {
        self.line("QUIT", "221 2.0.0")
    }

    /// The relay closes by itself, with the last reply or without one.
    pub(crate) fn hung_up(mut self) -> Self {
        self.is_hung_up_on = true;
        self
    }

    /// Sends it in pieces of `piece` octets; every reply, the greeting first.
    async fn talk(&self, bench: &Bench, piece: usize) -> Vec<String> {
        let address = bench.relay.address_of(self.listener);
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let sent = async {
            for piece in self.input.chunks(piece) {
                // The relay may have closed already.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
            }
            if !self.is_hung_up_on {
                let _ = writer.shutdown().await;
            }
        };
        let mut heard = Vec::new();
        let received = async {
            // A reset ends it as well as a close.
            let _ = reader.read_to_end(&mut heard).await;
        };
        within(&self.name, async { tokio::join!(sent, received) }).await;
        replies(&heard)
    }
}

fn replies(heard: &[u8]) -> Vec<String> {
    let text = String::from_utf8(heard.to_vec()).unwrap();
    let mut replies = Vec::new();
    let mut reply = String::new();
    for line in text.split_inclusive("\r\n") {
        let line = line.strip_suffix("\r\n").unwrap();
        assert!(!line.contains(['\r', '\n']), "{text:?}");
        reply.push_str(line);
        if line.as_bytes()[3] == b'-' {
            reply.push('\n');
        } else {
            replies.push(std::mem::take(&mut reply));
        }
    }
    assert_eq!(reply, "");
    replies
}

/// What stands behind the Received field, which must be there.
fn behind_received(content: &[u8]) -> Vec<u8> {
    assert!(content.starts_with(b"Received: from "));
    let lines = content.split_inclusive(|octet| *octet == b'\n');
    let rest = lines.skip(1).skip_while(|line| line[0] == b'\t');
    rest.collect::<Vec<_>>().concat()
}

/// A relay, and what it has sent on so far.
pub(crate) struct Table {
    pub bench: Bench,
    come: u64,
    problems: String,
    cases: usize,
}

impl Table {
    pub(crate) async fn start() -> Self {
        Self {
            bench: Bench::start(LISTENERS).await,
            come: 0,
            problems: String::new(),
            cases: 0,
        }
    }

    pub(crate) async fn run(&mut self, case: Case) {
        self.run_in(case, usize::MAX).await;
    }

    pub(crate) async fn run_in(&mut self, case: Case, piece: usize) {
        self.cases += 1;
        let heard = case.talk(&self.bench, piece).await;
        let mut expected = vec!["220 relay.test ESMTP"];
        expected.extend(&case.replies);
        let begin_so = heard.len() == expected.len()
            && heard.iter().zip(&expected).all(|(a, b)| a.starts_with(b));
        if !begin_so {
            self.complain(&case, "replies", &expected, &heard);
        }
        let accepted = |reply: &&String| reply.contains("Ok: queued as");
        let accepted = heard.iter().filter(accepted).count() as u64;
        if self.come + accepted > 0 {
            let mut got = self.sent_on(accepted).await;
            let mut queued = case.queued.clone();
            got.sort();
            queued.sort();
            if got != queued {
                let show = |mails: &[Mail]| mails.iter().map(show).collect::<Vec<_>>();
                self.complain(&case, "mail", &show(&queued), &show(&got));
            }
        }
    }

    /// The next `count` messages that the upstream got.
    async fn sent_on(&mut self, count: u64) -> Vec<Mail> {
        let control = self.bench.sandbox.control();
        let all = control.wait_for_messages(self.come + count);
        let all = within("the messages", all).await;
        let new = all.iter().skip(usize::try_from(self.come).unwrap());
        let mut mails = Vec::new();
        for message in new {
            let to: Vec<&str> = message.recipients.iter().map(String::as_str).collect();
            let content = message.content().await.unwrap();
            let content = behind_received(&content);
            mails.push(mail(&message.reverse_path, &to, content));
        }
        self.come = all.len() as u64;
        mails
    }

    fn complain(
        &mut self,
        case: &Case,
        what: &str,
        expected: &impl std::fmt::Debug,
        got: &impl std::fmt::Debug,
    ) {
        let Case { name, listener, .. } = case;
        let _ = writeln!(
            self.problems,
            "{name} ({listener}): {what}\n  expected {expected:?}\n  got      {got:?}"
        );
    }

    /// As many cases as were meant, none failed, nothing is left, and the upstream has no objection.
    pub(crate) async fn end(self, cases: usize) {
        assert!(self.problems.is_empty(), "\n{}", self.problems);
        assert_eq!(self.cases, cases);
        let view = &self.bench.relay.view;
        crate::support::until("an empty queue", || view.queue.used() == (0, 0)).await;
        assert_eq!(view.sessions.panics(), 0);
        let stats = self.bench.sandbox.control().stats();
        assert_eq!(stats.messages, self.come);
        self.bench.assert_clean();
        self.bench.relay.stop().await;
    }
}

fn show(mail: &Mail) -> String {
    let content = String::from_utf8_lossy(&mail.content);
    format!("<{}> {:?} {content:?}", mail.from, mail.to)
}
