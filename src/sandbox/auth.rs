//! AUTH: XOAUTH2 against the tokens that were issued; LOGIN, which Exchange offers and refuses.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::entra::Permission;
use super::fault::{Fault, Step};
use super::ledger::Count;
use super::session::{Hello, Next, Session, Struck};
use super::tokens::Holder;
use super::wire::{End, Line, Wire};

const UNRECOGNIZED: &str = "504 5.7.4 Unrecognized authentication type";
const UNSUCCESSFUL: &str = "535 5.7.3 Authentication unsuccessful";
const BASIC_DISABLED: &str =
    "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.";

/// What is wrong with the token, before the refusal itself.
const GOOGLE_ERROR: &str =
    r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;

/// `user=` and the bearer token.
#[derive(PartialEq, Eq)]
struct Credentials<'a> {
    user: &'a str,
    token: &'a str,
}

impl Session {
    pub(super) async fn authenticate<S>(
        &mut self,
        wire: &mut Wire<S>,
        mechanism: &str,
        initial: Option<&str>,
    ) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.tls || self.hello != Hello::Ehlo {
            let what = "AUTH before STARTTLS and EHLO";
            return self.out_of_order(wire, UNRECOGNIZED, what).await;
        }
        if self.seat.is_some() || self.transaction.is_some() {
            let text = "503 5.5.1 Already authenticated";
            return self.out_of_order(wire, text, "AUTH a second time").await;
        }
        match mechanism {
            // One report says that the service compares the case (facts A.3): a careful client sends upper case.
            "XOAUTH2" => {
                let response = match initial {
                    Some(initial) => Some(initial.as_bytes().to_vec()),
                    None => self.ask(wire, "334 ").await?,
                };
                match response {
                    Some(response) => self.xoauth2(wire, &response).await,
                    None => {
                        self.refuse(wire, "501 5.7.0 Authentication cancelled")
                            .await
                    }
                }
            }
            "LOGIN" => {
                let name = match initial {
                    Some(initial) => Some(initial.as_bytes().to_vec()),
                    None => self.ask(wire, "334 VXNlcm5hbWU6").await?,
                };
                if name.is_none() || self.ask(wire, "334 UGFzc3dvcmQ6").await?.is_none() {
                    return self
                        .refuse(wire, "501 5.7.0 Authentication cancelled")
                        .await;
                }
                self.authentication_refused();
                self.refuse(wire, BASIC_DISABLED).await
            }
            _ => self.refuse(wire, UNRECOGNIZED).await,
        }
    }

    /// One challenge and its response; `None` when the client cancels.
    async fn ask<S>(&self, wire: &mut Wire<S>, challenge: &str) -> Result<Option<Vec<u8>>, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        wire.reply(challenge).await?;
        match wire.line().await? {
            Line::Whole(line) => Ok((&line[..] != b"*").then(|| line.to_vec())),
            Line::BareNewline | Line::TooLong => {
                self.violated(
                    "a response to AUTH that does not end in CRLF or is over 12288 octets",
                );
                Ok(None)
            }
        }
    }

    async fn xoauth2<S>(&mut self, wire: &mut Wire<S>, response: &[u8]) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let decoded = BASE64_STANDARD.decode(response).ok();
        let credentials = decoded.as_deref().and_then(decode);
        let fault = self.shared.faults.strike(Step::Auth);
        if is_googles(fault.as_ref()) {
            self.challenge(wire).await?;
        }
        let text = match self.carry_out(wire, fault).await? {
            Struck::Refused(next) => {
                self.authentication_refused();
                return Ok(next);
            }
            Struck::Reworded(text) => text,
            Struck::Nothing => "235 2.7.0 Authentication successful".to_owned(),
        };
        let Some(credentials) = credentials else {
            self.violated("AUTH XOAUTH2 with a malformed response");
            self.authentication_refused();
            return self.refuse(wire, UNSUCCESSFUL).await;
        };
        if !self.permits(&credentials) {
            self.authentication_refused();
            return self.refuse(wire, UNSUCCESSFUL).await;
        }
        let (seat, connections) = self.shared.mailboxes.sit(credentials.user, self.connection);
        self.seat = Some(seat);
        self.shared.ledger.count(Count::Authenticated);
        self.shared.ledger.mailbox_connections(connections);
        wire.reply(&text).await?;
        Ok(Next::Read)
    }

    /// Google's error challenge, which only an empty line answers rightly (facts G.4).
    async fn challenge<S>(&self, wire: &mut Wire<S>) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let challenge = format!("334 {}", BASE64_STANDARD.encode(GOOGLE_ERROR));
        let answer = self.ask(wire, &challenge).await?;
        if answer.is_none_or(|answer| !answer.is_empty()) {
            self.violated("an error challenge of XOAUTH2 answered with more than an empty line");
        }
        Ok(())
    }

    /// Exchange says the same of an expired token, of one for somebody else and of a missing right (facts C.1).
    fn permits(&self, credentials: &Credentials<'_>) -> bool {
        let mailboxes = &self.shared.settings.mailboxes;
        let mailbox = mailboxes.is_empty()
            || mailboxes
                .iter()
                .any(|mailbox| mailbox.eq_ignore_ascii_case(credentials.user));
        let now = self.shared.entra.clock.moment();
        let holder = self.shared.tokens.holder(credentials.token, now);
        mailbox
            && holder.is_some_and(|holder| match &holder {
                // A role that the token does not show can only be known to Exchange (facts E.3).
                Holder::Application { has_role } => {
                    *has_role || self.shared.entra.registration().permission == Permission::Rbac
                }
                Holder::Person { user, .. } => {
                    holder.may_send() && self.shared.rights.may_use(user, credentials.user)
                }
            })
    }
}

/// Whether it is Google's refusal, by its code: Google lets an error challenge go before it.
fn is_googles(fault: Option<&Fault>) -> bool {
    matches!(fault, Some(Fault::Reply(text)) if text.starts_with("535 5.7.8 "))
}

/// `"user=" mailbox %x01 "auth=Bearer " token %x01 %x01`, nothing else (facts D.5).
fn decode(response: &[u8]) -> Option<Credentials<'_>> {
    let text = std::str::from_utf8(response).ok()?;
    let (user, rest) = text.strip_prefix("user=")?.split_once('\u{1}')?;
    let token = rest
        .strip_prefix("auth=Bearer ")?
        .strip_suffix("\u{1}\u{1}")?;
    let sound = user.contains('@')
        && !token.is_empty()
        && token.bytes().all(|octet| octet.is_ascii_graphic());
    sound.then_some(Credentials { user, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vector_of_the_facts_decodes() {
        let encoded = "dXNlcj1yZWxheUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBhYmMuZGVmLmdoaQEB";
        let response = BASE64_STANDARD.decode(encoded).unwrap();
        let credentials = decode(&response).unwrap();
        assert_eq!(credentials.user, "relay@example.com");
        assert_eq!(credentials.token, "abc.def.ghi");
    }

    #[test]
    fn other_responses_are_malformed() {
        for response in [
            "",
            "user=a@b\u{1}auth=Bearer t\u{1}",
            "user=a@b\u{1}auth=Bearer t\u{1}\u{1}\u{1}",
            "user=a@b\u{1}auth=Bearer t\u{1}\u{1}\n",
            "user=a@b\u{1}auth=bearer t\u{1}\u{1}",
            "user=a@b\u{1}auth=Bearer \u{1}\u{1}",
            "user=a@b auth=Bearer t\u{1}\u{1}",
            "user=a\u{1}auth=Bearer t\u{1}\u{1}",
            "n,a=a@b,\u{1}auth=Bearer t\u{1}\u{1}",
        ] {
            assert!(decode(response.as_bytes()).is_none(), "{response:?}");
        }
    }
}
