//! One mail transaction: which commands are out, which replies have come, who was decided.

use std::mem;

use bytes::{BufMut as _, BytesMut};
use memchr::memchr;

use crate::mail::{BodyType, EnhancedStatus, Envelope, Recipient};
use crate::smtp::client::output::Output;
use crate::smtp::client::{Capabilities, Step};
use crate::smtp::command::{MailParameters, RcptParameters, encode_mail, encode_rcpt};
use crate::smtp::{Reply, Severity, reply};

/// Commands of one group that may be unanswered at a time. RFC 2920 section 3.1 warns of both sides
/// waiting for the other to read; this keeps commands and replies within the sockets' buffers.
const GROUP_MAX_COMMANDS: usize = 100;

/// Stands last in the script.
const DATA: &[u8] = b"DATA\r\n";

/// Local: RFC 6531 section 3.2, an address that this server cannot be given.
const ADDRESS_NEEDS_SMTPUTF8: Reply = reply(
    553,
    (5, 6, 7),
    "Not sent: the address is not ASCII, and the upstream server does not offer SMTPUTF8",
);

/// Local: RFC 6531 section 3.5, a header section that this server cannot be given.
const HEADER_NEEDS_SMTPUTF8: Reply = reply(
    550,
    (5, 6, 9),
    "Not sent: the header is UTF-8, and the upstream server does not offer SMTPUTF8",
);

/// Local: RFC 6152 section 3, content that this server cannot be given as it is.
const CONTENT_NEEDS_8BITMIME: Reply = reply(
    554,
    (5, 6, 3),
    "Not sent: the content is 8-bit, and the upstream server does not offer 8BITMIME",
);

/// What became of every recipient of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionOutcome {
    /// One entry for each recipient, in the order of the envelope: the step that decided, and the
    /// reply to it. 2yz after [`Step::EndOfData`] is success; nothing else is.
    pub recipients: Vec<(Step, Reply)>,
}

impl TransactionOutcome {
    /// How many recipients the server accepted, whatever it made of the content.
    pub fn taken(&self) -> usize {
        let taken = |(step, _): &&(Step, Reply)| matches!(step, Step::Data | Step::EndOfData);
        self.recipients.iter().filter(taken).count()
    }

    /// Those for whom the server had no room in this transaction, which took others: they belong into
    /// another one, at once (RFC 5321 section 4.5.3.1.10).
    pub fn left_over(&self) -> Vec<usize> {
        if self.taken() == 0 {
            return Vec::new();
        }
        let fates = self.recipients.iter().enumerate();
        fates
            .filter(|(_, (step, reply))| is_without_room(*step, reply))
            .map(|(index, _)| index)
            .collect()
    }
}

/// "Too many recipients". Old servers say 552, which is to be read as 452.
fn is_without_room(step: Step, reply: &Reply) -> bool {
    let about_recipients = |status: EnhancedStatus| (status.subject(), status.detail()) == (5, 3);
    matches!(step, Step::Rcpt(_))
        && matches!(reply.code(), 452 | 552)
        && reply.enhanced().is_none_or(about_recipients)
}

#[derive(Debug)]
pub(super) struct Transaction {
    /// Every command line of the transaction, encoded beforehand, and the steps they stand for.
    script: BytesMut,
    steps: Vec<Step>,
    group_max_commands: usize,
    /// How much of the script is written, in octets and in commands, and how much is answered.
    written_octets: usize,
    written: usize,
    answered: usize,
    /// `None` while the RCPT is unanswered, and then while an accepted recipient awaits the fate of
    /// the content.
    recipients: Vec<Option<(Step, Reply)>>,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// DATA is not answered, or refused.
    Commands,
    /// 354 has come, the shell is sending.
    Sending,
    /// The end of data is out.
    Sent,
    /// 354 came for nobody: a lone dot is out, which ends an empty content.
    Aborted,
}

/// What a reply led to.
pub(super) enum Progress {
    /// More replies are to come.
    GoOn,
    /// 354: send the content.
    SendContent,
    /// Every recipient is decided.
    Done(TransactionOutcome),
    /// A refusal in the middle of the content; whatever else is sent is not read as content.
    CutShort(Reply),
    /// The reply makes no sense here.
    Unexpected(Reply),
}

impl Transaction {
    /// `Err` is an outcome found without asking the server.
    pub(super) fn new(
        envelope: &Envelope,
        size_bytes: u64,
        capabilities: &Capabilities,
        begins_with_reset: bool,
    ) -> Result<Self, TransactionOutcome> {
        let decided = refuse_beforehand(envelope, capabilities);
        if decided.iter().all(Option::is_some) {
            let recipients = decided.into_iter().flatten().collect();
            return Err(TransactionOutcome { recipients });
        }
        let served = || envelope.recipients().iter().zip(&decided).enumerate();
        let parameters = MailParameters {
            size_bytes: capabilities.size.map(|_limit| size_bytes),
            body_type: if capabilities.eight_bit_mime {
                envelope.body_type()
            } else {
                BodyType::SevenBit
            },
            smtputf8: capabilities.smtputf8 && (envelope.smtputf8() || !envelope.is_ascii()),
            ret: envelope.ret().filter(|_| capabilities.dsn),
            envelope_id: envelope.envelope_id().filter(|_| capabilities.dsn).cloned(),
        };
        let mut script = BytesMut::with_capacity(128 + 64 * decided.len());
        let mut steps = Vec::with_capacity(3 + decided.len());
        if begins_with_reset {
            script.put_slice(b"RSET\r\n");
            steps.push(Step::Rset);
        }
        encode_mail(envelope.reverse_path(), &parameters, &mut script);
        steps.push(Step::Mail);
        for (index, (recipient, _)) in served().filter(|(_, (_, fate))| fate.is_none()) {
            let parameters = if capabilities.dsn {
                RcptParameters {
                    notify: recipient.notify,
                    original_recipient: recipient.original_recipient.clone(),
                }
            } else {
                RcptParameters::default()
            };
            encode_rcpt(&recipient.forward_path, &parameters, &mut script);
            steps.push(Step::Rcpt(index));
        }
        script.put_slice(DATA);
        steps.push(Step::Data);
        Ok(Self {
            script,
            steps,
            group_max_commands: if capabilities.pipelining {
                GROUP_MAX_COMMANDS
            } else {
                1
            },
            written_octets: 0,
            written: 0,
            answered: 0,
            recipients: decided,
            data: Data::Commands,
        })
    }

    /// The step whose reply comes next; `None` while the content is being sent.
    pub(super) fn expecting(&self) -> Option<Step> {
        match self.data {
            Data::Commands if self.answered < self.written => {
                self.steps.get(self.answered).copied()
            }
            Data::Commands | Data::Sending => None,
            Data::Sent | Data::Aborted => Some(Step::EndOfData),
        }
    }

    /// Whether the server has forgotten the transaction by itself (RFC 5321 section 4.1.1.4).
    pub(super) fn is_forgotten(&self) -> bool {
        matches!(self.data, Data::Sent | Data::Aborted)
    }

    /// Whether the shell is between 354 and the end of data.
    pub(super) fn is_sending_content(&self) -> bool {
        self.data == Data::Sending
    }

    /// Writes the commands that may be written now.
    pub(super) fn advance(&mut self, output: &mut Output) {
        while self.data == Data::Commands
            && self.written - self.answered < self.group_max_commands
            && self.next_is_useful()
        {
            let rest = self.script.get(self.written_octets..).unwrap_or_default();
            let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            output.put(rest.get(..length).unwrap_or_default());
            self.written_octets += length;
            self.written += 1;
        }
    }

    /// The shell has written the end of data; `false` if it was not to.
    pub(super) fn content_sent(&mut self) -> bool {
        let was_sending = self.data == Data::Sending;
        if was_sending {
            self.data = Data::Sent;
        }
        was_sending
    }

    /// Takes the reply to the step that was expected.
    pub(super) fn receive(&mut self, reply: Reply, output: &mut Output) -> Progress {
        use Severity::{Completed, Intermediate, Permanent, Transient};

        let Some(step) = self.expecting() else {
            let refuses = matches!(reply.severity(), Transient | Permanent);
            if !(self.is_sending_content() && refuses) {
                return Progress::Unexpected(reply);
            }
            self.decide_all_open(Step::EndOfData, &reply);
            return Progress::CutShort(reply);
        };
        match (step, reply.severity()) {
            (Step::Rset | Step::Mail | Step::Rcpt(_), Completed) => {}
            (Step::Mail | Step::Data, Transient | Permanent)
            | (Step::EndOfData, Completed | Transient | Permanent) => {
                self.decide_all_open(step, &reply);
            }
            (Step::Rcpt(index), Transient | Permanent) => {
                if is_without_room(step, &reply) && self.anyone_is_accepted() {
                    self.leave_the_rest(&reply);
                }
                if let Some(fate @ None) = self.recipients.get_mut(index) {
                    *fate = Some((step, reply));
                }
            }
            (Step::Data, Intermediate) => self.go_ahead(output),
            _ => return Progress::Unexpected(reply),
        }
        self.answered += 1;
        self.advance(output);
        if self.data == Data::Sending {
            Progress::SendContent
        } else if self.expecting().is_none() || step == Step::EndOfData {
            self.outcome()
        } else {
            Progress::GoOn
        }
    }

    /// What is decided so far: one entry for each recipient, `None` where nothing is.
    pub(super) fn into_decided(self) -> Vec<Option<(Step, Reply)>> {
        self.recipients
    }

    /// Replies and commands are out of step: who was refused by which is not known after all.
    pub(super) fn undecide(&mut self) {
        self.recipients.fill(None);
    }

    /// Whether a RCPT was answered with 2yz.
    fn anyone_is_accepted(&self) -> bool {
        let answered = self.steps.iter().take(self.answered);
        let mut fates = answered.filter_map(|step| match step {
            Step::Rcpt(index) => self.recipients.get(*index),
            _ => None,
        });
        fates.any(Option::is_none)
    }

    /// Every RCPT that is not written yet would be refused as well, and Exchange Online throttles who
    /// does not stop asking (facts B.3): goes on to DATA.
    fn leave_the_rest(&mut self, reply: &Reply) {
        let data = self.steps.len().saturating_sub(1);
        if self.written > data {
            return;
        }
        for step in self.steps.drain(self.written..data) {
            if let Step::Rcpt(index) = step
                && let Some(fate @ None) = self.recipients.get_mut(index)
            {
                *fate = Some((step, reply.clone()));
            }
        }
        self.written_octets = self.script.len() - DATA.len();
    }

    /// After a refusal that concerns all, what follows is not worth writing.
    fn next_is_useful(&self) -> bool {
        match self.steps.get(self.written) {
            Some(Step::Rcpt(index)) => self.recipients.get(*index).is_some_and(Option::is_none),
            Some(Step::Data) => self.recipients.iter().any(Option::is_none),
            Some(_) => true,
            None => false,
        }
    }

    fn decide_all_open(&mut self, step: Step, reply: &Reply) {
        for fate in self.recipients.iter_mut().filter(|fate| fate.is_none()) {
            *fate = Some((step, reply.clone()));
        }
    }

    /// After 354: every RCPT is answered by now, so who is still open was accepted. When nobody was, DATA
    /// had been pipelined, and RFC 2920 section 3.1 asks for an empty content.
    fn go_ahead(&mut self, output: &mut Output) {
        if self.recipients.iter().any(Option::is_none) {
            self.data = Data::Sending;
        } else {
            self.data = Data::Aborted;
            output.put(b".\r\n");
        }
    }

    /// Everything written is answered and nothing more is worth writing: each recipient was
    /// refused alone or decided with the others.
    fn outcome(&mut self) -> Progress {
        let recipients = mem::take(&mut self.recipients)
            .into_iter()
            .flatten()
            .collect();
        Progress::Done(TransactionOutcome { recipients })
    }
}

/// Who cannot be served by a server with these capabilities.
fn refuse_beforehand(
    envelope: &Envelope,
    capabilities: &Capabilities,
) -> Vec<Option<(Step, Reply)>> {
    let utf8 = capabilities.smtputf8;
    let all = if !utf8 && !envelope.reverse_path().is_ascii() {
        Some(ADDRESS_NEEDS_SMTPUTF8)
    } else if !utf8 && envelope.smtputf8() {
        Some(HEADER_NEEDS_SMTPUTF8)
    } else if !capabilities.eight_bit_mime && envelope.body_type() == BodyType::EightBitMime {
        Some(CONTENT_NEEDS_8BITMIME)
    } else {
        None
    };
    let refused = |(index, recipient): (usize, &Recipient)| match &all {
        Some(reply) => Some((Step::Mail, reply.clone())),
        None if !utf8 && !recipient.forward_path.is_ascii() => {
            Some((Step::Rcpt(index), ADDRESS_NEEDS_SMTPUTF8))
        }
        None => None,
    };
    let recipients = envelope.recipients().iter().enumerate();
    recipients.map(refused).collect()
}
