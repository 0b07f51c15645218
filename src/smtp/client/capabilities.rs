//! What a server offered in its reply to EHLO (RFC 5321 section 4.1.1.1).

use crate::smtp::Reply;

/// The extensions this client makes use of, or tells an operator about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `SIZE`, with the limit when one was told; 0 means that there is no fixed one (RFC 1870).
    pub size: Option<u64>,
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `DSN` (RFC 3461).
    pub dsn: bool,
    /// `AUTH` (RFC 4954), the mechanisms in upper case.
    pub auth_mechanisms: Vec<String>,
}

impl Capabilities {
    /// Reads the lines after the first, which is the greeting; keywords in any case.
    pub(super) fn from_reply(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.lines().skip(1) {
            capabilities.add(line);
        }
        capabilities
    }

    /// Whether the mechanism was offered.
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth_mechanisms
            .iter()
            .any(|offered| offered == mechanism)
    }

    /// `ehlo-keyword *( SP ehlo-param )`; some old servers write `AUTH=LOGIN`.
    fn add(&mut self, line: &str) {
        let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else {
            return;
        };
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => {
                let limit = words.next().and_then(|word| word.parse().ok());
                self.size = Some(limit.unwrap_or_default());
            }
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "STARTTLS" => self.starttls = true,
            "DSN" => self.dsn = true,
            "AUTH" => self
                .auth_mechanisms
                .extend(words.map(str::to_ascii_uppercase)),
            _ => {}
        }
    }
}
