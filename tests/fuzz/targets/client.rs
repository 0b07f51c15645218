//! Our side of a session with an upstream server that says anything at all.

use bytes::BytesMut;
use exorelay::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use exorelay::secret::Secret;
use exorelay::smtp::{
    Client, ClientSettings, Command, Event, ReplyDecoder, Severity, Step, Tls, TransactionOutcome,
    xoauth2_response,
};

use super::{assert_one_line, assert_whole_lines, cut, variant};

const USER: &str = "relay@contoso.com";
const TOKEN: &str = "eyJ0b2tlbiI6MX0";
const TRANSACTIONS_MAX: usize = 3;

pub(super) fn run(octets: &[u8]) {
    let (kind, stream) = variant(octets);
    let whole = Shell::new(kind).talk([stream]);
    let pieces = Shell::new(kind).talk(cut(kind, stream));
    assert_eq!(pieces.written, whole.written);
    assert_eq!(pieces.outcomes, whole.outcomes);
}

struct Shell {
    settings: ClientSettings,
    client: Client,
    envelope: Envelope,
    is_encrypted: bool,
    /// Contents sent in the transaction in progress.
    sent: bool,
    submitted: usize,
    is_over: bool,
    written: Vec<u8>,
    outcomes: Vec<TransactionOutcome>,
}

impl Shell {
    fn new(kind: u8) -> Self {
        let tls = match kind & 3 {
            0 | 1 => Tls::StartTls,
            2 => Tls::Implicit,
            _ => Tls::None,
        };
        let settings = ClientSettings {
            ehlo_name: "relay.contoso.local".into(),
            tls,
            auth: kind & 4 == 0,
        };
        Self {
            client: Client::new(settings.clone()),
            settings,
            envelope: envelope(kind >> 3),
            is_encrypted: tls == Tls::Implicit,
            sent: false,
            submitted: 0,
            is_over: false,
            written: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    fn talk<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut decoder = ReplyDecoder::new();
        let mut buffer = BytesMut::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while !self.is_over && self.client.expecting().is_some() {
                match decoder.decode(&mut buffer) {
                    Ok(Some(reply)) => match self.client.receive(reply) {
                        Ok(event) => self.follow(event),
                        Err(error) => {
                            assert_one_line(&error.to_string());
                            self.give_up();
                        }
                    },
                    Ok(None) => break,
                    Err(_) => self.give_up(),
                }
                self.write();
            }
        }
        self
    }

    fn follow(&mut self, event: Option<Event>) {
        // Before the next transaction begins, what belongs to this one.
        self.write();
        match event {
            None => {}
            Some(Event::UpgradeTls) => {
                assert!(self.settings.tls == Tls::StartTls && !self.is_encrypted);
                self.is_encrypted = true;
                self.client.tls_established().unwrap();
            }
            Some(Event::Authenticate) => {
                assert!(self.settings.auth);
                assert!(self.is_encrypted || self.settings.tls == Tls::None);
                let token = Secret::new(TOKEN);
                self.client.authenticate(USER, &token).unwrap();
                assert!(!format!("{:?}", self.client).contains(TOKEN));
            }
            Some(Event::Ready) => self.next(),
            Some(Event::SendContent) => {
                assert!(!self.sent);
                self.sent = true;
                self.client.content_sent().unwrap();
            }
            Some(Event::Outcome(outcome)) => self.ended(outcome),
            Some(Event::Closed) => self.is_over = true,
        }
    }

    fn next(&mut self) {
        if self.submitted == TRANSACTIONS_MAX {
            self.client.quit().unwrap();
            return;
        }
        self.submitted += 1;
        self.sent = false;
        let event = self.client.submit(&self.envelope, 1000).unwrap();
        if event.is_some() {
            self.follow(event);
        }
    }

    fn ended(&mut self, outcome: TransactionOutcome) {
        let count = self.envelope.recipients().len();
        assert_eq!(outcome.recipients.len(), count);
        for (index, (step, reply)) in outcome.recipients.iter().enumerate() {
            // Nobody has a message that was never sent.
            if reply.severity() == Severity::Completed {
                assert!(*step == Step::EndOfData && self.sent, "{step:?} {reply}");
            }
            if let Step::Rcpt(of) = step {
                assert!(*of == index || self.envelope.recipients().get(*of).is_some());
            }
        }
        assert!(outcome.left_over().iter().all(|index| *index < count));
        self.outcomes.push(outcome);
        self.next();
    }

    fn give_up(&mut self) {
        let decided = self.client.take_decided();
        assert!(decided.is_empty() || decided.len() == self.envelope.recipients().len());
        for (step, reply) in decided.into_iter().flatten() {
            assert!(
                reply.severity() != Severity::Completed || (step == Step::EndOfData && self.sent)
            );
        }
        let _ = self.client.quit();
        self.is_over = true;
    }

    /// Only commands, in the order of the envelope, and none of them too early.
    fn write(&mut self) {
        if !self.client.has_output() {
            return;
        }
        let mut output = BytesMut::new();
        self.client.take_output(&mut output);
        assert_whole_lines(&output);
        let response = xoauth2_response(USER, &Secret::new(TOKEN));
        let mut mailboxes = self.envelope.recipients().iter().map(|r| &r.forward_path);
        for line in output.split_inclusive(|octet| *octet == b'\n') {
            let is_response = line.trim_ascii_end() == response.reveal().as_bytes();
            if is_response || line == b"\r\n" || line == b".\r\n" {
                assert!(self.may_say_more());
                continue;
            }
            match Command::parse(line) {
                Ok(Command::Ehlo { .. } | Command::StartTls | Command::Quit) => {}
                Ok(Command::Mail { reverse_path, .. }) => {
                    assert!(self.may_say_more());
                    assert_eq!(&reverse_path, self.envelope.reverse_path());
                }
                Ok(Command::Rcpt { forward_path, .. }) => {
                    assert!(self.may_say_more());
                    assert!(mailboxes.any(|mailbox| *mailbox == forward_path));
                }
                Ok(Command::Data | Command::Rset | Command::Auth { .. }) => {
                    assert!(self.may_say_more());
                }
                other => panic!("{other:?}"),
            }
        }
        self.written.extend_from_slice(&output);
    }

    fn may_say_more(&self) -> bool {
        self.is_encrypted || self.settings.tls == Tls::None
    }
}

fn envelope(kind: u8) -> Envelope {
    let mailbox = |address: &str| Mailbox::parse(address).unwrap();
    let sender = ReversePath::Mailbox(mailbox("app@contoso.com"));
    let addresses: Vec<String> = match kind & 3 {
        0 => vec!["a@fabrikam.com".into()],
        1 => vec![
            "a@fabrikam.com".into(),
            "b@fabrikam.com".into(),
            "\"c d\"@[192.0.2.1]".into(),
        ],
        2 => vec!["a@fabrikam.com".into(), "jörg@bücher.example".into()],
        _ => (0..120)
            .map(|number| format!("r{number}@fabrikam.com"))
            .collect(),
    };
    let recipients = addresses
        .iter()
        .map(|address| Recipient::from(mailbox(address)));
    let body_type = if kind & 4 == 0 {
        BodyType::SevenBit
    } else {
        BodyType::EightBitMime
    };
    Envelope::new(sender, recipients.collect(), body_type, false).unwrap()
}
