//! A message to the daemon: the shell round [`crate::smtp::Client`], without a runtime.

use std::io::{self, Read, Write};

use bytes::BytesMut;

use super::message::Message;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::say;
use crate::cli::text::count;
use crate::mail::{Envelope, EnvelopeError, Mailbox, Recipient};
use crate::smtp::{
    Client, ClientError, ClientSettings, ContentEncoder, Event, Reply, ReplyDecoder, Severity,
    Step, Tls,
};

/// Written at once.
const BLOCK_BYTES: usize = 64 * 1024;
const INPUT_BYTES: usize = 4 * 1024;
/// Of recipients that were refused, this many are told one by one.
const TOLD_MAX: usize = 20;

/// A session with the daemon.
#[derive(Debug)]
pub(super) struct Session<S> {
    stream: S,
    machine: Client,
    decoder: ReplyDecoder,
    input: BytesMut,
    output: BytesMut,
    /// Whether the dialogue is shown.
    is_verbose: bool,
}

/// What became of a message.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    accepted: usize,
    refused: Vec<(Mailbox, Step, Reply)>,
}

impl<S: Read + Write> Session<S> {
    pub(super) fn new(stream: S, hostname: &str, is_verbose: bool) -> Self {
        Self {
            stream,
            machine: Client::new(ClientSettings {
                ehlo_name: hostname.to_owned(),
                tls: Tls::None,
                auth: false,
            }),
            decoder: ReplyDecoder::new(),
            input: BytesMut::with_capacity(INPUT_BYTES),
            output: BytesMut::new(),
            is_verbose,
        }
    }

    /// The whole session; `envelope` makes one for the recipients it is given.
    pub(super) fn submit(
        mut self,
        recipients: Vec<Recipient>,
        envelope: impl Fn(Vec<Recipient>) -> Result<Envelope, EnvelopeError>,
        message: &Message,
    ) -> Result<Outcome, CliError> {
        let mut outcome = Outcome::default();
        let mut recipients = recipients;
        match self.next_event()? {
            Event::Ready => {}
            other => return Err(defect(&format!("{other:?} in place of Ready"))),
        }
        loop {
            let envelope = envelope(recipients).map_err(|error| defect(&error.to_string()))?;
            let fates = self.transaction(&envelope, message)?;
            let left: Vec<usize> = fates.left_over();
            let mut rest = Vec::new();
            let with_fate = envelope.recipients().iter().zip(fates.recipients);
            for (index, (recipient, (step, reply))) in with_fate.enumerate() {
                if left.contains(&index) {
                    rest.push(recipient.clone());
                } else if step == Step::EndOfData && reply.severity() == Severity::Completed {
                    outcome.accepted += 1;
                } else {
                    outcome
                        .refused
                        .push((recipient.forward_path.clone(), step, reply));
                }
            }
            if rest.is_empty() {
                self.quit();
                return Ok(outcome);
            }
            recipients = rest;
        }
    }

    fn transaction(
        &mut self,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<crate::smtp::TransactionOutcome, CliError> {
        let begun = self.machine.submit(envelope, message.size_bytes());
        let mut next = begun.map_err(|error| broken_off(&error))?;
        loop {
            match next.take() {
                Some(Event::Outcome(outcome)) => return Ok(outcome),
                Some(Event::SendContent) => {
                    self.send(message)?;
                    self.machine
                        .content_sent()
                        .map_err(|error| broken_off(&error))?;
                }
                Some(other) => return Err(defect(&format!("{other:?} in a transaction"))),
                None => {}
            }
            next = Some(self.next_event()?);
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), CliError> {
        let unreadable = |error: io::Error| {
            CliError::new(
                Exit::InputOutput,
                format!("cannot read the message again: {error}"),
            )
        };
        let mut content = message.reader().map_err(unreadable)?;
        let mut encoder = ContentEncoder::new();
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let length = content.read(&mut block).map_err(unreadable)?;
            match block.get(..length) {
                Some(octets) if length > 0 => encoder.encode(octets, &mut self.output),
                _ => break,
            }
            self.write()?;
        }
        encoder.finish(&mut self.output);
        self.write()?;
        self.show(format_args!(">>> {} octets and .", message.size_bytes()));
        Ok(())
    }

    fn next_event(&mut self) -> Result<Event, CliError> {
        loop {
            let before = self.output.len();
            self.machine.take_output(&mut self.output);
            let commands = self.output.get(before..).unwrap_or_default();
            for line in String::from_utf8_lossy(commands).lines() {
                self.show(format_args!(">>> {line}"));
            }
            self.write()?;
            let reply = self.reply()?;
            self.show(format_args!("{reply}"));
            if let Some(event) = self
                .machine
                .receive(reply)
                .map_err(|error| broken_off(&error))?
            {
                return Ok(event);
            }
        }
    }

    fn reply(&mut self) -> Result<Reply, CliError> {
        loop {
            let decoded = self.decoder.decode(&mut self.input);
            let decoded = decoded.map_err(|error| CliError::new(Exit::TryAgain, error))?;
            if let Some(reply) = decoded {
                return Ok(reply);
            }
            let mut block = [0; INPUT_BYTES];
            let length = self.stream.read(&mut block).map_err(|error| lost(&error))?;
            match block.get(..length) {
                Some(octets) if length > 0 => self.input.extend_from_slice(octets),
                _ => return Err(lost(&io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    fn write(&mut self) -> Result<(), CliError> {
        let written = self.stream.write_all(&self.output);
        self.output.clear();
        written
            .and_then(|()| self.stream.flush())
            .map_err(|error| lost(&error))
    }

    /// What is to be done is done; the daemon's farewell is not worth an error.
    fn quit(&mut self) {
        if self.machine.quit().is_ok() {
            let _ = self.next_event();
        }
    }

    /// Nobody's mail hangs on whether it can be seen.
    fn show(&self, line: std::fmt::Arguments<'_>) {
        if self.is_verbose {
            let _ = say(&format!("{line}\n"));
        }
    }
}

impl Outcome {
    /// Whether everybody gets it; else why not, and the code that fits.
    pub(super) fn verdict(self) -> Result<(), CliError> {
        let Some((_, step, first)) = self.refused.first() else {
            return Ok(());
        };
        // What may work later is worth another try, whatever else was refused.
        let later = self
            .refused
            .iter()
            .any(|(_, _, reply)| reply.severity() == Severity::Transient);
        let exit = if later {
            Exit::TryAgain
        } else {
            exit_of(*step, first)
        };
        let is_about_all = self.accepted == 0
            && self
                .refused
                .iter()
                .all(|(_, step, reply)| !matches!(step, Step::Rcpt(_)) && reply == first);
        if is_about_all {
            let line = format!("the relay refused the message: {first}");
            return Err(CliError::new(exit, line));
        }
        let told = self.refused.iter().take(TOLD_MAX);
        let mut lines: Vec<String> = told
            .map(|(mailbox, _, reply)| format!("the relay refused <{mailbox}>: {reply}"))
            .collect();
        if let Some(more) = self
            .refused
            .len()
            .checked_sub(TOLD_MAX)
            .filter(|more| *more > 0)
        {
            lines.push(format!("and {more} more"));
        }
        if self.accepted > 0 {
            lines.push(format!(
                "the message goes to {}",
                count(self.accepted as u64, "other")
            ));
        }
        Err(CliError::several(exit, lines))
    }
}

/// The code of a reply, after sysexits.h.
fn exit_of(step: Step, reply: &Reply) -> Exit {
    if reply.severity() == Severity::Transient {
        return Exit::TryAgain;
    }
    match reply
        .enhanced()
        .map(|status| (status.subject(), status.detail()))
    {
        Some((1, 3 | 7) | (6, _)) => Exit::BadData,
        Some((1, _)) => Exit::NoUser,
        Some((5, _)) => Exit::Software,
        Some((7, _)) => Exit::NotPermitted,
        None if matches!(step, Step::Rcpt(_)) && reply.code() == 550 => Exit::NoUser,
        _ => Exit::Unavailable,
    }
}

/// The session ended before the message did.
fn broken_off(error: &ClientError) -> CliError {
    let (exit, line) = match error {
        ClientError::CutShort { reply } => (
            exit_of(Step::EndOfData, reply),
            format!("the relay refused the message: {reply}"),
        ),
        ClientError::GreetingRefused { reply } | ClientError::EhloRefused { reply } => (
            exit_of(Step::Greeting, reply),
            format!("the relay refused the connection: {reply}"),
        ),
        ClientError::OutOfTurn => return defect(&error.to_string()),
        _ => (Exit::TryAgain, error.to_string()),
    };
    CliError::new(exit, line)
}

fn lost(error: &io::Error) -> CliError {
    use io::ErrorKind::{TimedOut, WouldBlock};
    if matches!(error.kind(), TimedOut | WouldBlock) {
        return CliError::new(Exit::TryAgain, "the relay does not answer in time");
    }
    let line = format!(
        "the connection to the relay was lost: {error}; the message may not have been queued"
    );
    CliError::new(Exit::TryAgain, line)
}

fn defect(what: &str) -> CliError {
    CliError::new(Exit::Software, format!("defect of exorelay: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{BodyType, ReversePath};

    /// A relay that says the same whatever is asked.
    struct Script<'a>(&'a [u8], Vec<u8>);

    impl Read for Script<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Script<'_> {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.1.write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// To two recipients, without pipelining.
    fn submit(replies: &str) -> Result<(), (Exit, Vec<String>)> {
        let script = Script(replies.as_bytes(), Vec::new());
        let message = Message::read(&b"X: 1\n\nbody\n"[..], true).unwrap();
        let people = ["a@b", "c@d"].map(|address| Mailbox::parse(address).unwrap().into());
        let envelope =
            |recipients| Envelope::new(ReversePath::Null, recipients, BodyType::SevenBit, false);
        let outcome = Session::new(script, "me", false).submit(people.into(), envelope, &message);
        outcome.and_then(Outcome::verdict).map_err(|error| {
            let lines = error.lines().map(str::to_owned).collect();
            (error.exit(), lines)
        })
    }

    const BEGUN: &str = "220 r\r\n250 r\r\n250 ok\r\n";

    #[test]
    fn replies_lead_to_the_codes_of_sysexits() {
        let accepted = "250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 queued\r\n221 bye\r\n";
        assert_eq!(submit(&format!("{BEGUN}{accepted}")), Ok(()));
        for (replies, exit, told) in [
            ("421 4.7.0 busy\r\n", Exit::TryAgain, "busy"),
            (
                "554 5.7.1 not you\r\n",
                Exit::NotPermitted,
                "refused the connection: 554",
            ),
            (
                "220 r\r\n250 r\r\n452 4.3.1 full\r\n",
                Exit::TryAgain,
                "the message: 452",
            ),
            (
                "220 r\r\n250 r\r\n553 5.1.7 sender\r\n",
                Exit::BadData,
                "the message: 553",
            ),
            (
                "220 r\r\n250 r\r\n552 5.3.4 size\r\n",
                Exit::Unavailable,
                "the message: 552",
            ),
            (
                "220 r\r\n250 r\r\n501 5.5.4 what\r\n",
                Exit::Software,
                "the message: 501",
            ),
            ("220 r\r\n", Exit::TryAgain, "was lost"),
            ("HTTP/1.1 200 OK\r\n", Exit::TryAgain, "not an SMTP reply"),
        ] {
            let (found, lines) = submit(replies).unwrap_err();
            assert_eq!(found, exit, "{lines:?}");
            assert!(lines.len() == 1 && lines[0].contains(told), "{lines:?}");
        }
    }

    #[test]
    fn each_recipient_that_was_refused_is_told() {
        let sent = "354 go\r\n250 2.0.0 queued\r\n221 bye\r\n";
        let one = format!("{BEGUN}250 ok\r\n550 5.1.1 nobody\r\n{sent}");
        let (exit, lines) = submit(&one).unwrap_err();
        assert_eq!(exit, Exit::NoUser);
        let expected = [
            "the relay refused <c@d>: 550 5.1.1 nobody",
            "the message goes to 1 other",
        ];
        assert_eq!(lines, expected);
        let later = format!("{BEGUN}450 4.7.1 later\r\n550 5.7.1 no\r\n221 bye\r\n");
        let (exit, lines) = submit(&later).unwrap_err();
        assert_eq!((exit, lines.len()), (Exit::TryAgain, 2));
        // The relay goes away where the message may be queued or not.
        let cut = format!("{BEGUN}250 ok\r\n250 ok\r\n354 go\r\n");
        assert_eq!(submit(&cut).unwrap_err().0, Exit::TryAgain);
    }
}
