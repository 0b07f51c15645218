//! Commands (RFC 5321 section 4.1): one line in, one meaning out.

mod foreign;
mod parameters;
mod path;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{BufMut as _, BytesMut};
use nom::bytes::complete::take_while1;
use nom::character::complete::{alpha1, space0, space1};
use nom::combinator::{all_consuming, eof, map_opt, opt, peek, rest};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::mail::{Mailbox, MailboxError, ReversePath};
use crate::secret::Secret;

pub use parameters::{MailParameters, RcptParameters};

/// RFC 5321 section 4.5.3.1.2; longer names are cut.
const CLIENT_NAME_MAX_OCTETS: usize = 255;

/// One command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `HELO`, with any name or none.
    Helo {
        /// What the client calls itself; only characters of names, see [`Command::parse`].
        name: Box<str>,
    },
    /// `EHLO`, with any name or none.
    Ehlo {
        /// What the client calls itself; only characters of names, see [`Command::parse`].
        name: Box<str>,
    },
    /// `MAIL FROM:`
    Mail {
        /// Where notices go.
        reverse_path: ReversePath,
        /// SIZE, BODY and so on.
        parameters: MailParameters,
    },
    /// `RCPT TO:`
    Rcpt {
        /// Where the message goes.
        forward_path: Mailbox,
        /// NOTIFY and ORCPT.
        parameters: RcptParameters,
    },
    /// `DATA`
    Data,
    /// `BDAT` (RFC 3030), whatever its arguments.
    Bdat,
    /// `RSET`
    Rset,
    /// `NOOP`, whatever its argument.
    Noop,
    /// `VRFY`, whatever its argument.
    Vrfy,
    /// `EXPN`, whatever its argument.
    Expn,
    /// `HELP`, whatever its argument.
    Help,
    /// `QUIT`
    Quit,
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH` (RFC 4954)
    Auth {
        /// As written.
        mechanism: Box<str>,
        /// The initial response, still in base64; `=` stands for an empty one.
        initial: Option<Secret>,
    },
    /// Verbs of the RFCs that nobody serves any more: TURN, ETRN, ATRN, SEND, SOML, SAML.
    Obsolete,
    /// A word that is no verb of SMTP.
    Unknown,
}

/// The verbs whose argument can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// HELO
    Helo,
    /// EHLO
    Ehlo,
    /// MAIL
    Mail,
    /// RCPT
    Rcpt,
    /// DATA
    Data,
    /// BDAT
    Bdat,
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// VRFY
    Vrfy,
    /// EXPN
    Expn,
    /// HELP
    Help,
    /// QUIT
    Quit,
    /// STARTTLS
    StartTls,
    /// AUTH
    Auth,
    /// TURN and its kin.
    Obsolete,
}

/// Why a line is not a command that can be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// HTTP, a message header, or a TLS handshake: nobody there speaks SMTP.
    #[error("the line belongs to another protocol")]
    NotSmtp,
    /// The argument is missing, is too much, or has the wrong form.
    #[error("syntax error in the argument of {0}")]
    Syntax(Verb),
    /// `MAIL FROM:` with an address that is none.
    #[error("sender: {0}")]
    ReversePath(MailboxError),
    /// `RCPT TO:` with an address that is none.
    #[error("recipient: {0}")]
    ForwardPath(MailboxError),
    /// `RCPT TO:<>`
    #[error("the null path cannot be a recipient")]
    NullForwardPath,
    /// `RCPT TO:<Postmaster>`: RFC 5321 section 4.1.1.3 means our own postmaster, and a relay has
    /// no mailboxes.
    #[error("this relay has no postmaster of its own, the address needs a domain")]
    PostmasterWithoutDomain,
    /// A parameter of an extension that is not offered.
    #[error("parameter not recognized")]
    UnknownParameter,
    /// A known parameter whose value is not of its form, or that stands twice.
    #[error("the value of {0} is malformed")]
    MalformedParameter(&'static str),
}

impl Command {
    /// Decodes one line without its line end.
    ///
    /// More is understood than RFC 5321 allows, because devices send more: verbs and keywords in any
    /// case, spaces at the end and round the colon of MAIL and RCPT, paths without angle brackets,
    /// source routes (dropped). Names after HELO and EHLO are never refused; whatever could spoil a
    /// log or a Received line is replaced by `?`.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = line.trim_ascii_end();
        let Ok((argument, verb)) = verb(line) else {
            return if foreign::is_foreign(line) {
                Err(CommandError::NotSmtp)
            } else {
                Ok(Self::Unknown)
            };
        };
        let bare = |command| {
            let nothing_follows = argument.is_empty();
            nothing_follows
                .then_some(command)
                .ok_or(CommandError::Syntax(verb))
        };
        match verb {
            Verb::Mail => mail(text(argument, verb)?),
            Verb::Rcpt => rcpt(text(argument, verb)?),
            Verb::Helo => Ok(Self::Helo {
                name: client_name(argument),
            }),
            Verb::Ehlo => Ok(Self::Ehlo {
                name: client_name(argument),
            }),
            Verb::Auth => auth(text(argument, verb)?),
            Verb::Data => bare(Self::Data),
            Verb::Rset => bare(Self::Rset),
            Verb::Quit => bare(Self::Quit),
            Verb::StartTls => bare(Self::StartTls),
            Verb::Bdat => Ok(Self::Bdat),
            Verb::Noop => Ok(Self::Noop),
            Verb::Vrfy => Ok(Self::Vrfy),
            Verb::Expn => Ok(Self::Expn),
            Verb::Help => Ok(Self::Help),
            Verb::Obsolete => Ok(Self::Obsolete),
        }
    }
}

impl Command {
    /// Whether it brings no message nearer by itself. DATA does with what follows; counted until then.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(
            self,
            Self::Helo { .. }
                | Self::Ehlo { .. }
                | Self::Data
                | Self::Rset
                | Self::Noop
                | Self::Vrfy
                | Self::Help
        )
    }
}

/// `MAIL FROM:<reverse-path> parameters CRLF`
pub(crate) fn encode_mail(
    reverse_path: &ReversePath,
    parameters: &MailParameters,
    output: &mut BytesMut,
) {
    output.put_slice(b"MAIL FROM:<");
    output.put_slice(
        reverse_path
            .mailbox()
            .map_or("", Mailbox::as_str)
            .as_bytes(),
    );
    output.put_slice(b">");
    parameters.encode(output);
    output.put_slice(b"\r\n");
}

/// `RCPT TO:<forward-path> parameters CRLF`
pub(crate) fn encode_rcpt(
    forward_path: &Mailbox,
    parameters: &RcptParameters,
    output: &mut BytesMut,
) {
    output.put_slice(b"RCPT TO:<");
    output.put_slice(forward_path.as_str().as_bytes());
    output.put_slice(b">");
    parameters.encode(output);
    output.put_slice(b"\r\n");
}

impl Verb {
    fn from_word(word: &[u8]) -> Option<Self> {
        const VERBS: [(&str, Verb); 20] = [
            ("MAIL", Verb::Mail),
            ("RCPT", Verb::Rcpt),
            ("DATA", Verb::Data),
            ("EHLO", Verb::Ehlo),
            ("HELO", Verb::Helo),
            ("QUIT", Verb::Quit),
            ("RSET", Verb::Rset),
            ("NOOP", Verb::Noop),
            ("STARTTLS", Verb::StartTls),
            ("AUTH", Verb::Auth),
            ("VRFY", Verb::Vrfy),
            ("EXPN", Verb::Expn),
            ("HELP", Verb::Help),
            ("BDAT", Verb::Bdat),
            ("TURN", Verb::Obsolete),
            ("ETRN", Verb::Obsolete),
            ("ATRN", Verb::Obsolete),
            ("SEND", Verb::Obsolete),
            ("SOML", Verb::Obsolete),
            ("SAML", Verb::Obsolete),
        ];
        VERBS
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, verb)| *verb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Bdat => "BDAT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Help => "HELP",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Obsolete => "TURN",
        })
    }
}

/// A verb and the spaces after it; what is left is its argument.
fn verb(line: &[u8]) -> IResult<&[u8], Verb> {
    let end = peek(nom::branch::alt((space1, eof)));
    terminated(map_opt(alpha1, Verb::from_word), (end, space0)).parse(line)
}

fn text(argument: &[u8], verb: Verb) -> Result<&str, CommandError> {
    std::str::from_utf8(argument).map_err(|_error| CommandError::Syntax(verb))
}

fn mail(argument: &str) -> Result<Command, CommandError> {
    let (path, parameters) = path_and_parameters("FROM", argument, Verb::Mail)?;
    let reverse_path = if path.is_empty() {
        ReversePath::Null
    } else {
        ReversePath::Mailbox(path::mailbox(path).map_err(CommandError::ReversePath)?)
    };
    Ok(Command::Mail {
        reverse_path,
        parameters: MailParameters::parse(parameters)?,
    })
}

fn rcpt(argument: &str) -> Result<Command, CommandError> {
    let (path, parameters) = path_and_parameters("TO", argument, Verb::Rcpt)?;
    if path.is_empty() {
        return Err(CommandError::NullForwardPath);
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return Err(CommandError::PostmasterWithoutDomain);
    }
    Ok(Command::Rcpt {
        forward_path: path::mailbox(path).map_err(CommandError::ForwardPath)?,
        parameters: RcptParameters::parse(parameters)?,
    })
}

fn path_and_parameters<'a>(
    keyword: &'static str,
    argument: &'a str,
    verb: Verb,
) -> Result<(&'a str, &'a str), CommandError> {
    let path = |input| path::path_argument(keyword, input);
    let rule: IResult<&str, (&str, Option<&str>)> =
        all_consuming((path, opt(preceded(space1, rest)))).parse(argument);
    match rule {
        Ok((_, (path, parameters))) => Ok((path, parameters.unwrap_or_default())),
        Err(_) => Err(CommandError::Syntax(verb)),
    }
}

/// `"AUTH" SP sasl-mech [SP initial-response]`, RFC 4954 section 4.
fn auth(argument: &str) -> Result<Command, CommandError> {
    let mechanism = take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let base64 = take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
    let rule: IResult<&str, (&str, Option<&str>)> =
        all_consuming((mechanism, opt(preceded(space1, base64)))).parse(argument);
    match rule {
        Ok((_, (mechanism, initial))) => Ok(Command::Auth {
            mechanism: mechanism.into(),
            initial: initial.map(Secret::new),
        }),
        Err(_) => Err(CommandError::Syntax(Verb::Auth)),
    }
}

fn client_name(argument: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(argument);
    let mut name = String::with_capacity(text.len().min(CLIENT_NAME_MAX_OCTETS));
    for c in text.chars() {
        let c = match c {
            '.' | '-' | '_' | ':' | '[' | ']' => c,
            _ if c.is_alphanumeric() => c,
            _ => '?',
        };
        if name.len() + c.len_utf8() > CLIENT_NAME_MAX_OCTETS {
            break;
        }
        name.push(c);
    }
    name.into()
}
