//! The trace line that this relay adds (RFC 5321 section 4.4).

use std::fmt::Write;
use std::net::IpAddr;

use jiff::Zoned;

/// What a Received line tells.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the client called itself, as it came.
    pub helo: &'a str,
    /// Where it came from, when it came over a network.
    pub client: Option<IpAddr>,
    /// This relay.
    pub hostname: &'a str,
    /// `SMTP`, `ESMTP`, `UTF8SMTP` and so on (RFC 3848, RFC 6531 section 4.3).
    pub protocol: &'a str,
    /// The queue id.
    pub id: &'a str,
    /// The recipient, if there is but one: with more, each would learn of the others.
    pub recipient: Option<&'a str>,
}

impl Received<'_> {
    /// The folded line with its CRLF. Whatever the client said cannot break out of it.
    pub fn encode(&self, date: &str) -> String {
        let mut line = String::with_capacity(256);
        let helo = if is_name(self.helo) {
            self.helo
        } else {
            "unknown"
        };
        let _ = write!(line, "Received: from {helo}");
        let _ = match self.client {
            Some(IpAddr::V4(address)) => write!(line, " ([{address}])"),
            Some(IpAddr::V6(address)) => write!(line, " ([IPv6:{address}])"),
            None => Ok(()),
        };
        let _ = write!(
            line,
            "\r\n\tby {} (exorelay) with {} id {}",
            self.hostname, self.protocol, self.id
        );
        if let Some(recipient) = self.recipient {
            let _ = write!(line, "\r\n\tfor <{recipient}>");
        }
        let _ = write!(line, ";\r\n\t{date}\r\n");
        line
    }
}

/// `date-time` of RFC 5322 section 3.3.
pub fn date_time(now: &Zoned) -> String {
    now.strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

/// A domain, an address literal, or the underscored machine names that devices send.
fn is_name(helo: &str) -> bool {
    !helo.is_empty()
        && helo.len() <= 255
        && helo.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(helo: &str) -> String {
        Received {
            helo,
            client: Some(IpAddr::from([127, 0, 0, 1])),
            hostname: "relay.contoso.local",
            protocol: "ESMTP",
            id: "01KAHX4T5N0000AB",
            recipient: Some("a@contoso.com"),
        }
        .encode("Fri, 20 Nov 2026 10:00:00 +0100")
    }

    #[test]
    fn the_line_has_the_shape_of_rfc_5321() {
        assert_eq!(
            line("scanner"),
            "Received: from scanner ([127.0.0.1])\r\n\
             \tby relay.contoso.local (exorelay) with ESMTP id 01KAHX4T5N0000AB\r\n\
             \tfor <a@contoso.com>;\r\n\
             \tFri, 20 Nov 2026 10:00:00 +0100\r\n"
        );
    }

    #[test]
    fn a_hostile_name_is_not_repeated() {
        for helo in ["", "a b", "x\r\nBcc: y@z", "(comment", "ümlaut"] {
            assert!(
                line(helo).starts_with("Received: from unknown ([127.0.0.1])\r\n"),
                "{helo}"
            );
        }
    }

    #[test]
    fn dates_are_those_of_rfc_5322() {
        let now = "2026-11-02T09:05:07+01:00[+01:00]".parse().unwrap();
        assert_eq!(date_time(&now), "Mon, 02 Nov 2026 09:05:07 +0100");
    }
}
