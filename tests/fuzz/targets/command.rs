//! One line of a client, and the same command as we pass it on.

use bytes::BytesMut;
use exorelay::mail::{Envelope, Mailbox, Recipient, ReversePath};
use exorelay::smtp::{
    Client, ClientSettings, Command, CommandError, MailParameters, RcptParameters, ReplyDecoder,
    Tls,
};

use super::{assert_one_line, assert_whole_lines};

pub(super) fn run(line: &[u8]) {
    let parsed = Command::parse(line);
    let spaced = [line, b" \t "].concat();
    assert_eq!(Command::parse(&spaced), parsed);
    match parsed {
        Ok(Command::Helo { name } | Command::Ehlo { name }) => {
            assert!(name.len() <= 255);
            let is_fit = |c: char| c.is_alphanumeric() || ".-_:[]?".contains(c);
            assert!(name.chars().all(is_fit), "{name:?}");
        }
        Ok(Command::Mail {
            reverse_path,
            parameters,
        }) => mail(reverse_path, parameters),
        Ok(Command::Rcpt {
            forward_path,
            parameters,
        }) => rcpt(forward_path, parameters),
        Ok(Command::Auth { mechanism, initial }) => {
            assert!(!mechanism.is_empty());
            assert_one_line(&mechanism);
            if let Some(initial) = initial {
                assert_one_line(initial.reveal());
            }
        }
        Ok(_) => {}
        Err(error) => assert_one_line(&error.to_string()),
    }
}

fn mail(reverse_path: ReversePath, parameters: MailParameters) {
    let nobody = Mailbox::parse("a@b.example").unwrap();
    let envelope = Envelope::to_one(
        reverse_path.clone(),
        nobody,
        parameters.body_type,
        parameters.smtputf8,
    )
    .with_dsn(parameters.ret, parameters.envelope_id.clone());
    let size_bytes = parameters.size_bytes.unwrap_or_default();
    let [mail, _, _] = passed_on(&envelope, size_bytes);
    let needs_smtputf8 = !reverse_path.is_ascii();
    let expected = Command::Mail {
        reverse_path,
        parameters: MailParameters {
            size_bytes: Some(size_bytes),
            smtputf8: parameters.smtputf8 || needs_smtputf8,
            ..parameters
        },
    };
    assert_eq!(mail, Ok(expected));
}

fn rcpt(forward_path: Mailbox, parameters: RcptParameters) {
    let recipient = Recipient {
        forward_path: forward_path.clone(),
        notify: parameters.notify,
        original_recipient: parameters.original_recipient.clone(),
    };
    let (null, body_type) = (ReversePath::Null, exorelay::mail::BodyType::default());
    let envelope = Envelope::new(null, vec![recipient], body_type, false).unwrap();
    let [_, rcpt, _] = passed_on(&envelope, 0);
    let expected = Command::Rcpt {
        forward_path,
        parameters,
    };
    assert_eq!(rcpt, Ok(expected));
}

/// What our client makes of an envelope: MAIL, one RCPT and DATA, each a line.
fn passed_on(envelope: &Envelope, size_bytes: u64) -> [Result<Command, CommandError>; 3] {
    const OPENING: &[u8] = b"220 x\r\n250-x\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n\
        250-DSN\r\n250 SMTPUTF8\r\n";
    let mut client = Client::new(ClientSettings {
        ehlo_name: "relay".into(),
        tls: Tls::None,
        auth: false,
    });
    let mut opening = BytesMut::from(OPENING);
    let mut decoder = ReplyDecoder::new();
    while let Some(reply) = decoder.decode(&mut opening).unwrap() {
        client.receive(reply).unwrap();
    }
    let mut written = BytesMut::new();
    client.take_output(&mut written);
    written.clear();
    assert_eq!(client.submit(envelope, size_bytes), Ok(None));
    client.take_output(&mut written);
    assert_whole_lines(&written);
    let lines = written.split_inclusive(|octet| *octet == b'\n');
    let commands: Vec<_> = lines.map(Command::parse).collect();
    assert_eq!(commands.last(), Some(&Ok(Command::Data)));
    commands.try_into().expect("three commands")
}
