//! SMTP commands, read to the letter (RFC 5321 section 4.1). What a tolerant server would forgive is refused here and
//! recorded, so that a sloppy client shows.

use super::content::printable;

/// RFC 5321 section 4.5.3.1.4, the CRLF included.
const COMMAND_MAX_BYTES: usize = 512;
/// MAIL: plus SIZE 26, BODY 17, SMTPUTF8 10 (RFC 1870, 6152, 6531), and ENVID with RET (RFC 3461 section 4).
const MAIL_MAX_BYTES: usize = COMMAND_MAX_BYTES + 26 + 17 + 10 + 127;
/// RCPT: plus 500 for NOTIFY and ORCPT (RFC 3461 section 4).
const RCPT_MAX_BYTES: usize = COMMAND_MAX_BYTES + 500;
/// RFC 5321 section 4.5.3.1.
const LOCAL_PART_MAX_BYTES: usize = 64;
const DOMAIN_MAX_BYTES: usize = 255;
const PATH_MAX_BYTES: usize = 256;

/// One command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Ehlo,
    Helo,
    StartTls,
    Auth {
        mechanism: &'a str,
        initial: Option<&'a str>,
    },
    Mail(Mail),
    /// The recipient's address.
    Rcpt(String),
    Data,
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    /// Any other verb, fit for a reply.
    Unknown(String),
}

/// `MAIL FROM:<reverse-path> [parameters]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mail {
    /// Empty for `<>`.
    pub(super) reverse_path: String,
    /// SIZE of RFC 1870.
    pub(super) size_bytes: Option<u64>,
    /// BODY=8BITMIME of RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
}

/// A line that is refused: the reply, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reply: &'static str,
    pub(super) violation: String,
}

const INVALID_ARGUMENTS: &str = "501 5.5.4 Invalid arguments";
const INVALID_DOMAIN: &str = "501 5.5.4 Invalid domain name";
const INVALID_ADDRESS: &str = "501 5.1.7 Invalid address";
const UNSUPPORTED_PARAMETER: &str = "555 5.5.4 Unsupported option";
const LINE_TOO_LONG: &str = "500 5.5.2 Line too long";

fn refuse<T>(reply: &'static str, violation: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        reply,
        violation: violation.into(),
    })
}

impl<'a> Command<'a> {
    /// Decodes `line`, which comes without its CRLF.
    pub(super) fn decode(line: &'a [u8]) -> Result<Self, Refusal> {
        let Ok(text) = std::str::from_utf8(line) else {
            return refuse(INVALID_ARGUMENTS, "a command that is not UTF-8");
        };
        let (verb, argument) = match text.split_once(' ') {
            Some((verb, argument)) => (verb, Some(argument)),
            None => (text, None),
        };
        let verb = verb.to_ascii_uppercase();
        let line_max_bytes = match verb.as_str() {
            "AUTH" => usize::MAX,
            "MAIL" => MAIL_MAX_BYTES,
            "RCPT" => RCPT_MAX_BYTES,
            _ => COMMAND_MAX_BYTES,
        };
        if line.len() + 2 > line_max_bytes {
            return refuse(
                LINE_TOO_LONG,
                format!(
                    "{} over {line_max_bytes} octets",
                    printable(verb.as_bytes())
                ),
            );
        }
        match (verb.as_str(), argument) {
            ("EHLO", Some(name)) => hello(name, Self::Ehlo),
            ("HELO", Some(name)) => hello(name, Self::Helo),
            ("EHLO" | "HELO", None) => refuse(INVALID_DOMAIN, format!("{verb} without a name")),
            ("AUTH", Some(argument)) => auth(argument),
            ("MAIL", Some(argument)) => mail(argument).map(Self::Mail),
            ("RCPT", Some(argument)) => rcpt(argument).map(Self::Rcpt),
            ("AUTH" | "MAIL" | "RCPT" | "VRFY", None) => {
                refuse(INVALID_ARGUMENTS, format!("{verb} without an argument"))
            }
            ("STARTTLS", None) => Ok(Self::StartTls),
            ("DATA", None) => Ok(Self::Data),
            ("RSET", None) => Ok(Self::Rset),
            ("QUIT", None) => Ok(Self::Quit),
            ("STARTTLS" | "DATA" | "RSET" | "QUIT", Some(_)) => {
                refuse(INVALID_ARGUMENTS, format!("{verb} with an argument"))
            }
            ("NOOP", _) => Ok(Self::Noop),
            ("HELP", _) => Ok(Self::Help),
            ("VRFY", Some(_)) => Ok(Self::Vrfy),
            _ => Ok(Self::Unknown(printable(
                text.split(' ').next().unwrap_or_default().as_bytes(),
            ))),
        }
    }
}

/// `( Domain / address-literal )`; an underscore passes, as machines are named so.
fn hello<'a>(name: &str, command: Command<'a>) -> Result<Command<'a>, Refusal> {
    if is_domain(name, false) {
        Ok(command)
    } else {
        refuse(
            INVALID_DOMAIN,
            "EHLO or HELO with a name that is neither a domain nor an address literal",
        )
    }
}

/// `AUTH SP mechanism [SP initial-response]`, RFC 4954 section 4.
fn auth(argument: &str) -> Result<Command<'_>, Refusal> {
    let (mechanism, initial) = match argument.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial)),
        None => (argument, None),
    };
    if mechanism.is_empty() || initial.is_some_and(|text| text.is_empty() || text.contains(' ')) {
        return refuse(INVALID_ARGUMENTS, "AUTH with spaces in the wrong place");
    }
    Ok(Command::Auth { mechanism, initial })
}

/// `FROM:` Reverse-path [SP Mail-parameters], RFC 5321 section 4.1.1.2.
fn mail(argument: &str) -> Result<Mail, Refusal> {
    let (path, parameters) = path("FROM:", argument)?;
    let mut mail = Mail::default();
    let mut seen: Vec<String> = Vec::new();
    for parameter in parameters {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
            None => (parameter.to_ascii_uppercase(), None),
        };
        match (keyword.as_str(), value) {
            ("SIZE", Some(digits))
                if digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                // Twenty digits may still be too much for 64 bits: that is over every limit, too.
                mail.size_bytes = Some(digits.parse().unwrap_or(u64::MAX));
            }
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("8BITMIME") => mail.eight_bit = true,
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("7BIT") => {}
            ("SMTPUTF8", None) => mail.smtputf8 = true,
            ("RET" | "ENVID" | "AUTH", Some(_)) => {}
            _ => {
                let violation = format!(
                    "MAIL with the parameter {}",
                    printable(parameter.as_bytes())
                );
                return refuse(UNSUPPORTED_PARAMETER, violation);
            }
        }
        if seen.contains(&keyword) {
            return refuse(INVALID_ARGUMENTS, format!("MAIL with {keyword} twice"));
        }
        seen.push(keyword);
    }
    if !path.is_empty() && !is_mailbox(path, mail.smtputf8) {
        return refuse(
            INVALID_ADDRESS,
            "MAIL with a path that RFC 5321 does not know",
        );
    }
    path.clone_into(&mut mail.reverse_path);
    Ok(mail)
}

/// `TO:` Forward-path [SP Rcpt-parameters], RFC 5321 section 4.1.1.3.
fn rcpt(argument: &str) -> Result<String, Refusal> {
    let (path, parameters) = path("TO:", argument)?;
    for parameter in parameters {
        let keyword = parameter
            .split_once('=')
            .map(|(keyword, _)| keyword.to_ascii_uppercase());
        if !matches!(keyword.as_deref(), Some("NOTIFY" | "ORCPT")) {
            let violation = format!(
                "RCPT with the parameter {}",
                printable(parameter.as_bytes())
            );
            return refuse(UNSUPPORTED_PARAMETER, violation);
        }
    }
    // Whether the transaction has SMTPUTF8 is known to the session alone.
    if !is_mailbox(path, true) {
        return refuse(
            INVALID_ADDRESS,
            "RCPT with a path that RFC 5321 does not know",
        );
    }
    Ok(path.to_owned())
}

/// The path without angle brackets and without a source route (no client has a reason to send one), and the parameters.
fn path<'a>(keyword: &str, argument: &'a str) -> Result<(&'a str, Vec<&'a str>), Refusal> {
    let rest = argument
        .get(..keyword.len())
        .filter(|start| start.eq_ignore_ascii_case(keyword))
        .and_then(|_| argument.get(keyword.len()..));
    let Some(rest) = rest else {
        return refuse(INVALID_ARGUMENTS, format!("{keyword} is missing"));
    };
    let Some((path, rest)) = rest.strip_prefix('<').and_then(closing_bracket) else {
        return refuse(
            INVALID_ARGUMENTS,
            format!("a path that does not follow {keyword} in angle brackets"),
        );
    };
    if rest.is_empty() {
        return Ok((path, Vec::new()));
    }
    let parameters: Vec<&str> = match rest.strip_prefix(' ') {
        Some(parameters) => parameters.split(' ').collect(),
        None => {
            return refuse(
                INVALID_ARGUMENTS,
                "something else than a space behind the path",
            );
        }
    };
    if parameters.iter().any(|parameter| parameter.is_empty()) {
        return refuse(INVALID_ARGUMENTS, "spaces where no parameter is");
    }
    Ok((path, parameters))
}

/// Splits behind the `>` that closes the path; one inside a quoted local-part does not.
fn closing_bracket(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// `Local-part "@" ( Domain / address-literal )`, RFC 5321 section 4.1.2.
fn is_mailbox(text: &str, utf8: bool) -> bool {
    if text.len() + 2 > PATH_MAX_BYTES || (!utf8 && !text.is_ascii()) {
        return false;
    }
    text.rsplit_once('@').is_some_and(|(local_part, domain)| {
        local_part.len() <= LOCAL_PART_MAX_BYTES
            && (is_dot_string(local_part) || is_quoted_string(local_part))
            && is_domain(domain, utf8)
    })
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| {
                c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
            })
    })
}

fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return false;
    };
    let mut escaped = false;
    for c in inner.chars() {
        if c.is_control() || (c == '"' && !escaped) {
            return false;
        }
        escaped = c == '\\' && !escaped;
    }
    !escaped
}

fn is_domain(text: &str, utf8: bool) -> bool {
    if let Some(literal) = text.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(|literal| {
            !literal.is_empty()
                && literal
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"[]\\".contains(&b))
        });
    }
    text.len() <= DOMAIN_MAX_BYTES
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| {
                    c.is_ascii_alphanumeric() || c == '-' || c == '_' || (utf8 && !c.is_ascii())
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_by_the_letter_are_taken() {
        let mail = |path: &str| Mail {
            reverse_path: path.to_owned(),
            ..Mail::default()
        };
        for (line, command) in [
            ("EHLO relay.contoso.local", Command::Ehlo),
            ("ehlo [127.0.0.1]", Command::Ehlo),
            ("EHLO [IPv6:::1]", Command::Ehlo),
            ("STARTTLS", Command::StartTls),
            (
                "AUTH XOAUTH2",
                Command::Auth {
                    mechanism: "XOAUTH2",
                    initial: None,
                },
            ),
            (
                "AUTH XOAUTH2 abc=",
                Command::Auth {
                    mechanism: "XOAUTH2",
                    initial: Some("abc="),
                },
            ),
            ("MAIL FROM:<>", Command::Mail(mail(""))),
            (
                "mail from:<a@b.example> SIZE=12 BODY=8BITMIME SMTPUTF8",
                Command::Mail(Mail {
                    size_bytes: Some(12),
                    eight_bit: true,
                    smtputf8: true,
                    ..mail("a@b.example")
                }),
            ),
            (
                "RCPT TO:<\"a> \\\"b\"@[192.0.2.1]> NOTIFY=NEVER",
                Command::Rcpt("\"a> \\\"b\"@[192.0.2.1]".to_owned()),
            ),
            ("XPLODE now", Command::Unknown("XPLODE".to_owned())),
            ("", Command::Unknown(String::new())),
        ] {
            assert_eq!(Command::decode(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_tolerant_servers_forgive_is_refused() {
        let long = format!("NOOP {}", "x".repeat(COMMAND_MAX_BYTES));
        for line in [
            "EHLO",
            "EHLO  two",
            "EHLO a b",
            "EHLO -x",
            "DATA ",
            "RSET now",
            "MAIL",
            "MAIL FROM: <a@b>",
            "MAIL FROM:a@b",
            "MAIL  FROM:<a@b>",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>SIZE=1",
            "MAIL FROM:<a@b>  SIZE=1",
            "MAIL FROM:<a@b> ",
            "MAIL FROM:<a@b> SIZE=x",
            "MAIL FROM:<a@b> SIZE=1 SIZE=1",
            "MAIL FROM:<a@b> BODY=BINARYMIME",
            "MAIL FROM:<a>",
            "MAIL FROM:<ä@b.example>",
            "MAIL FROM:<a..b@c>",
            "RCPT TO:<>",
            "RCPT TO:<@one:a@b>",
            "RCPT TO:<a@b> FOO",
            "RCPT FROM:<a@b>",
            "AUTH",
            "AUTH XOAUTH2 ",
            "AUTH XOAUTH2 a b",
            long.as_str(),
        ] {
            assert!(Command::decode(line.as_bytes()).is_err(), "{line}");
        }
        assert!(Command::decode(b"EHLO \xff").is_err());
    }
}
