//! A whole session: lines, contents, and the questions to the shell, held against what a client may reach.

use std::sync::Arc;

use bytes::BytesMut;
use exorelay::mail::{EnhancedStatus, Envelope, Mailbox, Received, ReversePath};
use exorelay::smtp::{
    Action, BareNewline, COMMAND_LINE_MAX_OCTETS, Command, ContentDecoder, ContentProgress, Demand,
    Line, LineFramer, Reply, ReplyDecoder, ServerSettings, Session, Severity,
};

use super::{assert_whole_lines, cut, variant};

const ACCEPTED: Reply = Reply::new(250, Some(EnhancedStatus::new(2, 0, 0)), "Ok: queued as 1");
const LATER: Reply = Reply::new(451, Some(EnhancedStatus::new(4, 3, 0)), "Later");
const REFUSED: Reply = Reply::new(550, Some(EnhancedStatus::new(5, 7, 1)), "No");
const ERRORS_MAX: u32 = 5;
const RECIPIENTS_MAX: usize = 4;

pub(super) fn run(octets: &[u8]) {
    let (kind, stream) = variant(octets);
    let whole = Shell::new(kind).serve([stream]);
    check(&whole);
    let pieces = Shell::new(kind).serve(cut(kind, stream));
    // What is thrown away behind STARTTLS depends on what has been read by then.
    if !whole.has_handshake {
        assert_eq!(pieces.written, whole.written);
        assert_eq!(pieces.accepted, whole.accepted);
    }
}

/// What was written is read as the replies that were meant.
fn check(shell: &Shell) {
    assert_whole_lines(&shell.written);
    let mut lines = shell.written.split_inclusive(|octet| *octet == b'\n');
    assert!(lines.all(|line| line.len() <= 512));
    let (mut decoder, mut wire) = (ReplyDecoder::new(), shell.written.clone());
    let read = std::iter::from_fn(|| decoder.decode(&mut wire).expect("a reply"));
    assert_eq!(read.count(), shell.replies);
    assert!(!decoder.is_within_reply() && wire.is_empty());
}

struct Shell {
    settings: Arc<ServerSettings>,
    session: Session,
    framer: LineFramer,
    input: BytesMut,
    content: Option<(Envelope, ContentDecoder, Vec<u8>)>,
    bare_newline: BareNewline,
    /// What the transaction may hold: only what this shell has allowed.
    sender: Option<ReversePath>,
    recipients: Vec<Mailbox>,
    login: Option<Box<str>>,
    has_handshake: bool,
    errors: u32,
    is_closed: bool,
    written: BytesMut,
    replies: usize,
    accepted: Vec<(Envelope, Vec<u8>)>,
}

impl Shell {
    fn new(kind: u8) -> Self {
        let demand = |bits| match bits & 3 {
            0 | 1 => Demand::Never,
            2 => Demand::Offered,
            _ => Demand::Required,
        };
        let settings = Arc::new(ServerSettings {
            hostname: "relay.contoso.local".into(),
            message_size_max_bytes: 10_000,
            recipients_max: RECIPIENTS_MAX,
            errors_max: ERRORS_MAX,
            starttls: demand(kind),
            auth: demand(kind >> 2),
            auth_in_plain_text: kind & 16 != 0,
        });
        let bare_newline = match (kind >> 5) & 3 {
            0 | 1 => BareNewline::Normalize,
            2 => BareNewline::Reject,
            _ => BareNewline::Lenient,
        };
        Self {
            session: Session::new(Arc::clone(&settings), false),
            settings,
            framer: LineFramer::new(COMMAND_LINE_MAX_OCTETS),
            input: BytesMut::new(),
            content: None,
            bare_newline,
            sender: None,
            recipients: Vec::new(),
            login: None,
            has_handshake: false,
            errors: 0,
            is_closed: false,
            written: BytesMut::new(),
            replies: 0,
            accepted: Vec::new(),
        }
    }

    fn serve<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let greeting = self.session.greeting();
        self.write(&greeting);
        for piece in pieces {
            if self.is_closed {
                break;
            }
            self.input.extend_from_slice(piece);
            while !self.is_closed && self.step() {}
        }
        self
    }

    /// One line, or what there is of a content; false when more octets are needed.
    fn step(&mut self) -> bool {
        if let Some((_, decoder, content)) = &mut self.content {
            let is_taken = match decoder.decode(&mut self.input, content) {
                ContentProgress::NeedMore => return false,
                ContentProgress::End => true,
                ContentProgress::Refused => false,
            };
            self.end_content(is_taken);
            return true;
        }
        let Some(line) = self.framer.next(&mut self.input) else {
            return false;
        };
        match line {
            Line::TooLong => {
                let action = self.session.line_too_long();
                self.perform(action, b"");
            }
            Line::Complete(line) => {
                let action = self.session.receive(&line);
                self.perform(action, &line);
            }
        }
        true
    }

    fn perform(&mut self, action: Action, line: &[u8]) {
        match action {
            Action::Reply(reply) => self.reply(&reply, line),
            Action::CheckSender { reverse_path, .. } => self.check_sender(reverse_path),
            Action::CheckRecipient { mailbox } => self.check_recipient(mailbox),
            Action::ReceiveContent { reply, envelope } => self.receive_content(&reply, envelope),
            Action::StartTls(reply) => self.start_tls(&reply),
            Action::CheckLogin { name, password } => {
                assert_ne!(self.settings.auth, Demand::Never);
                assert!(self.session.is_encrypted() || self.settings.auth_in_plain_text);
                assert!(!self.session.in_transaction() && self.login.is_none());
                let is_right = password.reveal() == "secret";
                if is_right {
                    self.login = Some(name);
                }
                let verdict = if is_right { Ok(()) } else { Err(REFUSED) };
                let action = self.session.login_checked(verdict);
                self.perform(action, b"");
            }
            Action::Close(reply) => {
                self.write(&reply);
                self.is_closed = true;
                assert!(!self.session.in_transaction());
            }
            Action::CutOff => self.is_closed = true,
        }
        assert_eq!(self.session.login_name(), self.login.as_deref());
        if !self.session.in_transaction() {
            self.sender = None;
            self.recipients.clear();
        }
    }

    fn check_sender(&mut self, reverse_path: ReversePath) {
        assert!(self.settings.starttls != Demand::Required || self.session.is_encrypted());
        assert!(self.settings.auth != Demand::Required || self.login.is_some());
        assert!(self.sender.is_none(), "one MAIL a transaction");
        let verdict = verdict(reverse_path.to_string().as_bytes());
        if verdict.is_ok() {
            self.sender = Some(reverse_path);
        }
        let action = self.session.sender_checked(verdict);
        self.perform(action, b"");
    }

    fn check_recipient(&mut self, mailbox: Mailbox) {
        assert!(self.sender.is_some() && self.recipients.len() < RECIPIENTS_MAX);
        let verdict = verdict(mailbox.as_str().as_bytes());
        if verdict.is_ok() {
            self.recipients.push(mailbox);
        }
        let action = self.session.recipient_checked(verdict);
        self.perform(action, b"");
    }

    fn receive_content(&mut self, reply: &Reply, envelope: Envelope) {
        assert_eq!(reply.code(), 354);
        assert_eq!(Some(envelope.reverse_path()), self.sender.as_ref());
        let recipients = envelope.recipients().iter();
        assert!(
            recipients
                .map(|recipient| &recipient.forward_path)
                .eq(&self.recipients)
        );
        assert!(!self.recipients.is_empty());
        self.write(reply);
        let decoder = ContentDecoder::new(self.bare_newline);
        self.content = Some((envelope, decoder, Vec::new()));
    }

    fn end_content(&mut self, is_taken: bool) {
        let Some((envelope, _, content)) = self.content.take() else {
            return;
        };
        let reply = match verdict(&content) {
            Err(reply) => reply,
            Ok(()) if is_taken => ACCEPTED,
            Ok(()) => REFUSED,
        };
        if reply.severity() == Severity::Completed {
            self.errors = 0;
            assert_whole_lines(&content);
            self.trace(&envelope);
            self.accepted.push((envelope, content));
        }
        let action = self.session.content_received(reply);
        self.perform(action, b"");
    }

    /// What a Received field says of the client cannot break out of it.
    fn trace(&self, envelope: &Envelope) {
        let received = Received {
            helo: self.session.helo_name().unwrap_or_default(),
            client: None,
            hostname: &self.settings.hostname,
            protocol: self.session.protocol(),
            id: "1",
            recipient: envelope
                .recipients()
                .first()
                .map(|r| r.forward_path.as_str()),
        };
        let field = received.encode("Fri, 20 Nov 2026 10:00:00 +0100");
        assert_whole_lines(field.as_bytes());
        assert!(field.lines().skip(1).all(|line| line.starts_with('\t')));
    }

    fn start_tls(&mut self, reply: &Reply) {
        assert_ne!(self.settings.starttls, Demand::Never);
        assert!(!self.session.is_encrypted());
        self.write(reply);
        self.input.clear();
        self.framer.restart();
        self.session.tls_started();
        self.has_handshake = true;
        self.login = None;
        assert!(self.session.is_encrypted() && !self.session.in_transaction());
        assert_eq!(
            (self.session.helo_name(), self.session.login_name()),
            (None, None)
        );
    }

    fn reply(&mut self, reply: &Reply, line: &[u8]) {
        self.write(reply);
        // DATA without any recipient left: each RCPT that failed was counted.
        let is_counted = Command::parse(line) != Ok(Command::Data) || reply.code() != 554;
        if reply.severity() == Severity::Permanent && is_counted {
            self.errors += 1;
            assert!(self.errors <= ERRORS_MAX, "{reply}");
        }
    }

    fn write(&mut self, reply: &Reply) {
        self.replies += 1;
        reply.encode(&mut self.written);
    }
}

/// Whoever has such a word in it is refused, for good or for now.
fn verdict(text: &[u8]) -> Result<(), Reply> {
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    if has(b"bad") {
        Err(REFUSED)
    } else if has(b"later") {
        Err(LATER)
    } else {
        Ok(())
    }
}
