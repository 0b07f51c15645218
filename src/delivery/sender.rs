//! Who a message is from when it leaves: `[account.NAME.sender]`.
//!
//! Exchange Online looks at the header's From and at the reverse-path, and refuses what the mailbox may
//! not send as (facts C.2). [`SenderPolicy`] decides what is changed, anew at each attempt; [`Sending`]
//! carries that out for one message. A sender that was refused is remembered by the queue, so that the
//! next message need not find out again: refusals that repeat shut the whole mailbox out (facts B.3).

mod denial;
mod report;
mod sending;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::mail::rewrite::{FromRewrite, Original, Signature, Spec};
use crate::mail::{Envelope, Mailbox, ReversePath};
use crate::smtp::Step;

pub(super) use sending::Sending;

/// For so long a refused sender is remembered: rights that are granted meanwhile work within hours.
const REMEMBERED: Duration = Duration::from_hours(24);

/// What an account changes in the messages it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderPolicy {
    /// Whose From may always be used.
    pub mailbox: Mailbox,
    /// When From becomes the mailbox.
    pub rewrites: Rewrites,
    /// For a From that is rewritten or has no name.
    pub display_name: Option<String>,
    /// For a message without a Reply-To; `None`: the From that was rewritten.
    pub reply_to: Option<Mailbox>,
    /// Appended to the text.
    pub signature: Signature,
}

/// When a sender becomes the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrites {
    /// Never: what the service refuses fails.
    Never,
    /// In every message.
    Always,
    /// Where the service has refused it.
    WhenDenied,
}

/// In whose place the mailbox stands; each includes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Replaced {
    Nobody,
    /// In the envelope.
    ReversePath,
    /// In the header section too.
    From,
}

impl SenderPolicy {
    /// What is known of the senders of a message before the service is asked. `is_denied` tells whether
    /// it has refused an address lately.
    fn beforehand(
        &self,
        reverse_path: &ReversePath,
        authors: &[String],
        is_denied: impl Fn(&str) -> bool,
    ) -> Replaced {
        match self.rewrites {
            Rewrites::Never => Replaced::Nobody,
            Rewrites::Always => Replaced::From,
            Rewrites::WhenDenied if authors.iter().any(|author| is_denied(author)) => {
                Replaced::From
            }
            Rewrites::WhenDenied => match reverse_path.mailbox() {
                Some(mailbox) if !is_denied(mailbox.as_str()) => Replaced::Nobody,
                // Exchange may refuse the null path of a submission.
                _ => Replaced::ReversePath,
            },
        }
    }

    /// What else to replace after a refusal at `step`; `None`: there is nothing left to try.
    fn after_denial(&self, before: Replaced, step: Step) -> Option<Replaced> {
        // Before DATA the service has seen the envelope alone.
        let blamed = if is_of_envelope(step) {
            Replaced::ReversePath
        } else {
            Replaced::From
        };
        Some(blamed).filter(|blamed| self.rewrites == Rewrites::WhenDenied && before < *blamed)
    }

    fn spec(&self, replaced: Replaced) -> Spec {
        Spec {
            from: (replaced == Replaced::From).then(|| FromRewrite {
                mailbox: self.mailbox.clone(),
                original: Original::ReplyTo,
            }),
            display_name: self.display_name.clone(),
            reply_to: self.reply_to.clone(),
            signature: self.signature.clone(),
        }
    }

    fn envelope(&self, replaced: Replaced, envelope: &Envelope) -> Envelope {
        let envelope = envelope.clone();
        if replaced >= Replaced::ReversePath && !self.is_mailbox(envelope.reverse_path()) {
            return envelope.with_reverse_path(ReversePath::Mailbox(self.mailbox.clone()));
        }
        envelope
    }

    /// Exchange does not tell upper from lower case, in the local-part neither.
    fn is_mailbox(&self, reverse_path: &ReversePath) -> bool {
        let path = reverse_path.mailbox();
        path.is_some_and(|path| path.as_str().eq_ignore_ascii_case(self.mailbox.as_str()))
    }
}

fn is_of_envelope(step: Step) -> bool {
    matches!(step, Step::Mail | Step::Rset | Step::Rcpt(_))
}
