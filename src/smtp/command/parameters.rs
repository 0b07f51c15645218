//! The parameters of MAIL and RCPT (RFC 5321 section 4.1.2, `Mail-parameters`, `Rcpt-parameters`).

use bytes::{BufMut as _, BytesMut};
use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, recognize, verify};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::mail::BodyType;
use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::smtp::command::{CommandError, Verb};

/// What may follow the reverse-path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` (RFC 1870): the content's size as the client reckons it, in octets.
    pub size_bytes: Option<u64>,
    /// `BODY=` (RFC 6152).
    pub body_type: BodyType,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `RET=` (RFC 3461).
    pub ret: Option<Ret>,
    /// `ENVID=` (RFC 3461).
    pub envelope_id: Option<EnvelopeId>,
}

/// What may follow a forward-path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=` (RFC 3461).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461).
    pub original_recipient: Option<OriginalRecipient>,
}

impl MailParameters {
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        let mut parameters = Self::default();
        let mut body_type = None;
        for word in text.split_ascii_whitespace() {
            let (keyword, value) = parameter(word).ok_or(CommandError::Syntax(Verb::Mail))?;
            if keyword.eq_ignore_ascii_case("SIZE") {
                set(&mut parameters.size_bytes, value.and_then(size), "SIZE")?;
            } else if keyword.eq_ignore_ascii_case("BODY") {
                set(&mut body_type, value.and_then(body), "BODY")?;
            } else if keyword.eq_ignore_ascii_case("SMTPUTF8") {
                if value.is_some() {
                    return Err(CommandError::MalformedParameter("SMTPUTF8"));
                }
                parameters.smtputf8 = true;
            } else if keyword.eq_ignore_ascii_case("AUTH") {
                // RFC 4954 section 5: who first submitted the message. A server that does not
                // trust the client with that may ignore it.
            } else if keyword.eq_ignore_ascii_case("RET") {
                set(&mut parameters.ret, value.and_then(Ret::parse), "RET")?;
            } else if keyword.eq_ignore_ascii_case("ENVID") {
                let id = value.and_then(EnvelopeId::parse);
                set(&mut parameters.envelope_id, id, "ENVID")?;
            } else {
                return Err(CommandError::UnknownParameter);
            }
        }
        parameters.body_type = body_type.unwrap_or_default();
        Ok(parameters)
    }

    /// Each parameter with a space before it.
    pub(super) fn encode(&self, output: &mut BytesMut) {
        if let Some(size) = self.size_bytes {
            put(output, format_args!(" SIZE={size}"));
        }
        if self.body_type == BodyType::EightBitMime {
            output.put_slice(b" BODY=8BITMIME");
        }
        if self.smtputf8 {
            output.put_slice(b" SMTPUTF8");
        }
        if let Some(ret) = self.ret {
            put(output, format_args!(" RET={ret}"));
        }
        if let Some(id) = &self.envelope_id {
            put(output, format_args!(" ENVID={id}"));
        }
    }
}

impl RcptParameters {
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        let mut parameters = Self::default();
        for word in text.split_ascii_whitespace() {
            let (keyword, value) = parameter(word).ok_or(CommandError::Syntax(Verb::Rcpt))?;
            if keyword.eq_ignore_ascii_case("NOTIFY") {
                let notify = value.and_then(Notify::parse);
                set(&mut parameters.notify, notify, "NOTIFY")?;
            } else if keyword.eq_ignore_ascii_case("ORCPT") {
                let recipient = value.and_then(OriginalRecipient::parse);
                set(&mut parameters.original_recipient, recipient, "ORCPT")?;
            } else {
                return Err(CommandError::UnknownParameter);
            }
        }
        Ok(parameters)
    }

    /// Each parameter with a space before it.
    pub(super) fn encode(&self, output: &mut BytesMut) {
        if let Some(notify) = self.notify {
            put(output, format_args!(" NOTIFY={notify}"));
        }
        if let Some(recipient) = &self.original_recipient {
            put(output, format_args!(" ORCPT={recipient}"));
        }
    }
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]`, all of `word`.
fn parameter(word: &str) -> Option<(&str, Option<&str>)> {
    let keyword = recognize((
        take_while1(|c: char| c.is_ascii_alphanumeric()),
        take_while(|c: char| c.is_ascii_alphanumeric() || c == '-'),
    ));
    // `%d33-60 / %d62-126`, and UTF-8 since RFC 6531 section 3.3. ORCPT values may hold `=` when
    // written by careless hands, but then its xtext rule refuses them with a better reply.
    let value = verify(take_while1(|c: char| !c.is_control()), |value: &str| {
        !value.contains(char::is_whitespace)
    });
    let rule: IResult<&str, (&str, Option<&str>)> =
        all_consuming((keyword, opt(preceded(char('='), value)))).parse(word);
    rule.ok().map(|(_, parameter)| parameter)
}

/// `size-value = 1*20DIGIT`, RFC 1870 section 3. What does not fit 64 bits is over every limit.
fn size(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn body(text: &str) -> Option<BodyType> {
    if text.eq_ignore_ascii_case("7BIT") {
        Some(BodyType::SevenBit)
    } else if text.eq_ignore_ascii_case("8BITMIME") {
        Some(BodyType::EightBitMime)
    } else {
        None
    }
}

/// A parameter stands once and has a value of its own form.
fn set<T>(
    place: &mut Option<T>,
    value: Option<T>,
    keyword: &'static str,
) -> Result<(), CommandError> {
    if place.is_some() || value.is_none() {
        return Err(CommandError::MalformedParameter(keyword));
    }
    *place = value;
    Ok(())
}

fn put(output: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    // Infallible: BytesMut grows, and the values' Display does not fail.
    let _ = std::fmt::Write::write_fmt(output, text);
}
