//! Machine against machine, in memory: what a client submits is what a server receives.

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};

/// A server shell round [`Session`]: refuses recipients at `refused.test`, stores the rest.
struct Server {
    session: Session,
    framer: LineFramer,
    input: BytesMut,
    output: BytesMut,
    content: Option<(Envelope, ContentDecoder, Vec<u8>)>,
    messages: Vec<(Envelope, Vec<u8>)>,
}

/// A client shell round [`Client`], with one message to send at a time.
struct Upstream {
    client: Client,
    decoder: ReplyDecoder,
    input: BytesMut,
    output: BytesMut,
}

impl Server {
    fn new() -> Self {
        let session = Session::new(
            Arc::new(ServerSettings {
                hostname: "up.test".into(),
                message_size_max_bytes: 100_000,
                recipients_max: 10,
                errors_max: 10_000,
                starttls: Demand::Never,
                auth: Demand::Never,
                auth_in_plain_text: false,
            }),
            false,
        );
        let mut output = BytesMut::new();
        session.greeting().encode(&mut output);
        Self {
            session,
            framer: LineFramer::new(COMMAND_LINE_MAX_OCTETS),
            input: BytesMut::new(),
            output,
            content: None,
            messages: Vec::new(),
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        loop {
            if let Some((envelope, mut decoder, mut content)) = self.content.take() {
                match decoder.decode(&mut self.input, &mut content) {
                    ContentProgress::NeedMore => {
                        self.content = Some((envelope, decoder, content));
                        return;
                    }
                    ContentProgress::End => self.messages.push((envelope, content)),
                    ContentProgress::Refused => panic!("bare newline from our own client"),
                }
                let action = self
                    .session
                    .content_received(Reply::new(250, None, "queued"));
                self.carry_out(action);
            }
            match self.framer.next(&mut self.input) {
                Some(Line::Complete(line)) => {
                    let action = self.session.receive(&line);
                    self.carry_out(action);
                }
                Some(Line::TooLong) => panic!("over-long line from our own client"),
                None => return,
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Reply(reply) | Action::Close(reply) => reply.encode(&mut self.output),
            Action::CheckSender { .. } => {
                let action = self.session.sender_checked(Ok(()));
                self.carry_out(action);
            }
            Action::CheckRecipient { mailbox } => {
                let verdict = if mailbox.domain() == "refused.test" {
                    Err(Reply::new(550, None, "not here"))
                } else {
                    Ok(())
                };
                let action = self.session.recipient_checked(verdict);
                self.carry_out(action);
            }
            Action::ReceiveContent { reply, envelope } => {
                reply.encode(&mut self.output);
                let decoder = ContentDecoder::new(BareNewline::Reject);
                self.content = Some((envelope, decoder, Vec::new()));
            }
            Action::StartTls(_) | Action::CheckLogin { .. } | Action::CutOff => {
                panic!("our own client asks for what was not offered")
            }
        }
    }
}

impl Upstream {
    fn new() -> Self {
        Self {
            client: Client::new(ClientSettings {
                ehlo_name: "relay.test".into(),
                tls: Tls::None,
                auth: false,
            }),
            decoder: ReplyDecoder::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
        }
    }

    /// Moves octets to and fro in pieces of `chunk` until an event ends the exchange.
    fn run(&mut self, server: &mut Server, content: &[u8], chunk: usize) -> Event {
        loop {
            self.client.take_output(&mut self.output);
            for octets in self.output.split().chunks(chunk) {
                server.receive(octets);
            }
            let mut last = None;
            for octets in server.output.split().chunks(chunk) {
                self.input.extend_from_slice(octets);
                while let Some(reply) = self.decoder.decode(&mut self.input).unwrap() {
                    assert_eq!(last, None, "a reply after an event");
                    last = self.client.receive(reply).unwrap();
                }
            }
            match last {
                Some(Event::SendContent) => {
                    let mut encoder = ContentEncoder::new();
                    for octets in content.chunks(chunk) {
                        encoder.encode(octets, &mut self.output);
                    }
                    encoder.finish(&mut self.output);
                    self.client.content_sent().unwrap();
                }
                Some(event) => return event,
                None => assert!(self.client.has_output(), "both sides wait"),
            }
        }
    }
}

fn envelope(recipients: &[String]) -> Envelope {
    let recipients = recipients
        .iter()
        .map(|text| Recipient::from(Mailbox::parse(text).unwrap()))
        .collect();
    Envelope::new(ReversePath::Null, recipients, BodyType::EightBitMime, false).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn messages_pass_unchanged_in_any_chunks(
        messages in proptest::collection::vec(
            (
                proptest::collection::vec(any::<bool>(), 1..5),
                proptest::collection::vec("[.aü ]{0,9}", 0..9),
            ),
            1..5,
        ),
        chunk in 1..200_usize,
    ) {
        let mut server = Server::new();
        let mut upstream = Upstream::new();
        prop_assert_eq!(upstream.run(&mut server, b"", chunk), Event::Ready);
        let mut expected = Vec::new();
        for (verdicts, lines) in &messages {
            let content = lines.iter().fold(String::new(), |text, line| text + line + "\r\n");
            let recipients: Vec<String> = verdicts
                .iter()
                .enumerate()
                .map(|(index, accepted)| {
                    let domain = if *accepted { "taken.test" } else { "refused.test" };
                    format!("r{index}@{domain}")
                })
                .collect();
            let event = upstream
                .client
                .submit(&envelope(&recipients), content.len() as u64)
                .unwrap();
            prop_assert_eq!(event, None);
            let event = upstream.run(&mut server, content.as_bytes(), chunk);
            let Event::Outcome(outcome) = event else {
                panic!("{event:?}");
            };
            let codes: Vec<u16> = outcome.recipients.iter().map(|(_, reply)| reply.code()).collect();
            let wanted: Vec<u16> = verdicts.iter().map(|taken| if *taken { 250 } else { 550 }).collect();
            prop_assert_eq!(codes, wanted);
            if verdicts.contains(&true) {
                let taken = recipients.into_iter().filter(|text| text.ends_with("taken.test"));
                let taken: Vec<String> = taken.collect();
                expected.push((envelope(&taken), content.into_bytes()));
            }
        }
        prop_assert_eq!(&server.messages, &expected);
        upstream.client.quit().unwrap();
        prop_assert_eq!(upstream.run(&mut server, b"", chunk), Event::Closed);
        prop_assert!(upstream.input.is_empty() && server.input.is_empty());
    }
}

#[test]
fn a_message_over_the_limit_is_refused_at_mail() {
    let mut server = Server::new();
    let mut upstream = Upstream::new();
    upstream.run(&mut server, b"", 64);
    let recipients = ["a@taken.test".to_owned()];
    upstream
        .client
        .submit(&envelope(&recipients), 100_001)
        .unwrap();
    let Event::Outcome(outcome) = upstream.run(&mut server, b"x\r\n", 64) else {
        panic!("no outcome");
    };
    let [(step, reply)] = outcome.recipients.as_slice() else {
        panic!("one recipient");
    };
    assert_eq!((*step, reply.code()), (Step::Mail, 552));
    assert!(server.messages.is_empty());
    // The session goes on.
    upstream.client.submit(&envelope(&recipients), 3).unwrap();
    upstream.run(&mut server, b"x\r\n", 64);
    assert_eq!(server.messages.len(), 1);
}
