//! One message and its sender, from attempt to attempt within one lease.

use crate::delivery::Settings;
use crate::delivery::letter::Letter;
use crate::delivery::sender::{REMEMBERED, Replaced, Rewrites, SenderPolicy, denial, report};
use crate::mail::rewrite::Refusal;
use crate::mail::{Envelope, ReversePath};
use crate::queue::{Lease, Note, Queue, QueueId};
use crate::smtp::{Reply, Step};

/// How a message is presented, and what the service thinks of it.
pub(in crate::delivery) struct Sending<'a> {
    policy: &'a SenderPolicy,
    account: &'a str,
    queue: &'a Queue,
    id: QueueId,
    reverse_path: ReversePath,
    dress: Dress,
    /// In From; `None`: not looked at yet.
    authors: Option<Vec<String>>,
    /// The refusals after which something was replaced.
    denials: Vec<String>,
    remark: Option<String>,
}

/// What a message looks like to the service.
struct Dress {
    replaced: Replaced,
    letter: Letter,
    /// Why From cannot be what it ought to be.
    refusal: Option<Refusal>,
    /// Whether the service sees another sender than before.
    is_other: bool,
}

impl<'a> Sending<'a> {
    /// With what is known beforehand.
    pub(in crate::delivery) async fn begin(
        settings: &'a Settings,
        queue: &'a Queue,
        lease: &Lease,
    ) -> Self {
        let mut sending = Self {
            policy: &settings.sender,
            account: &settings.account,
            queue,
            id: lease.id,
            reverse_path: lease.envelope.reverse_path().clone(),
            dress: Dress {
                replaced: Replaced::Nobody,
                letter: Letter::of(lease),
                refusal: None,
                is_other: false,
            },
            authors: None,
            denials: Vec::new(),
            remark: None,
        };
        let (account, policy) = (sending.account, sending.policy);
        // Nearly always there is nothing to look for, and the message is not opened.
        if policy.rewrites == Rewrites::WhenDenied && queue.has_denied(account) {
            sending.read_authors().await;
        }
        let authors = sending.authors.as_deref().unwrap_or_default();
        let is_denied = |address: &str| queue.is_denied(account, address);
        let replaced = policy.beforehand(&sending.reverse_path, authors, is_denied);
        sending.dress = sending.dressed(replaced).await;
        sending
    }

    /// The reply to give to everybody in place of the service's: From must not stay and cannot change.
    pub(in crate::delivery) fn refused(&self) -> Option<String> {
        let refusal = self.dress.refusal?;
        Some(match self.policy.rewrites {
            // The service has said so of another message, and is not asked again (facts B.3).
            Rewrites::WhenDenied => format!(
                "550 5.7.60 {refusal}; the service has refused its sender within the last 24 hours"
            ),
            Rewrites::Always | Rewrites::Never => format!("550 5.7.1 {refusal}"),
        })
    }

    pub(in crate::delivery) fn envelope(&self, envelope: &Envelope) -> Envelope {
        self.policy.envelope(self.dress.replaced, envelope)
    }

    pub(in crate::delivery) fn letter(&mut self) -> &mut Letter {
        &mut self.dress.letter
    }

    /// Whether the message is to be presented once more, at once, for another sender stands in it now.
    pub(in crate::delivery) async fn changes_after(&mut self, decided: &[(Step, Reply)]) -> bool {
        let Some((step, reply)) = denial::find(decided) else {
            return false;
        };
        if self.authors.is_none() {
            self.read_authors().await;
        }
        let authors = self.authors.as_deref().unwrap_or_default();
        let address = denial::address(step, reply, authors, &self.reverse_path);
        let address = address.unwrap_or_default();
        let Some(replaced) = self.policy.after_denial(self.dress.replaced, step) else {
            self.warn(&address);
            return false;
        };
        self.remember(&address).await;
        let dress = self.dressed(replaced).await;
        if dress.refusal.is_some() || !dress.is_other {
            self.remark = dress.refusal.map(|refusal| refusal.to_string());
            self.warn(&address);
            return false;
        }
        tracing::warn!(
            queue_id = %self.id,
            account = self.account,
            sender = address,
            %reply,
            "the mailbox may not send as this sender: the message is rewritten and sent again at once"
        );
        self.denials.push(reply.to_string());
        self.dress = dress;
        true
    }

    /// The attempt fails, which is said elsewhere; this is about what may follow (facts B.3).
    fn warn(&self, address: &str) {
        tracing::warn!(
            queue_id = %self.id,
            account = self.account,
            sender = address,
            "refused senders, if they repeat, make Exchange Online shut the whole mailbox out: grant SendAs or \
             correct the device"
        );
    }

    /// Why nothing was done about the last refusal.
    pub(in crate::delivery) fn remark(&self) -> Option<String> {
        self.remark.clone()
    }

    /// What has been changed in what was presented.
    pub(in crate::delivery) fn note(&self) -> Option<Note> {
        let mailbox = self.policy.mailbox.as_str();
        let old = self.reverse_path.to_string();
        let is_other = self.dress.replaced >= Replaced::ReversePath
            && !self.policy.is_mailbox(&self.reverse_path);
        let reverse_path = is_other.then_some((old.as_str(), mailbox));
        report::note(
            reverse_path,
            self.dress.letter.changes.as_ref(),
            &self.denials,
        )
    }

    async fn read_authors(&mut self) {
        match self.dress.letter.authors().await {
            Ok(authors) => self.authors = Some(authors),
            // Sending it meets the same, and says so.
            Err(error) => {
                tracing::debug!(queue_id = %self.id, %error, "cannot look into the message");
            }
        }
    }

    /// How the message would be presented. Content that cannot be read is the attempt's trouble.
    async fn dressed(&self, replaced: Replaced) -> Dress {
        let replaces_path = replaced >= Replaced::ReversePath;
        let replaced_path = self.dress.replaced >= Replaced::ReversePath;
        let mut dress = Dress {
            replaced,
            letter: self.dress.letter.rewritten(self.policy.spec(replaced)),
            refusal: None,
            is_other: replaces_path
                && !replaced_path
                && !self.policy.is_mailbox(&self.reverse_path),
        };
        if replaced == Replaced::From
            && let Ok(reader) = dress.letter.open().await
        {
            dress.refusal = reader.refusal();
            dress.is_other |= reader.changes_sender();
        }
        dress
    }

    /// Of the mailbox itself nothing is to be remembered: there is nothing to put in its place.
    async fn remember(&self, address: &str) {
        let mailbox = self.policy.mailbox.as_str();
        if address.is_empty() || address.eq_ignore_ascii_case(mailbox) {
            return;
        }
        let remembered = self
            .queue
            .remember_denied(self.account, address, REMEMBERED);
        if let Err(error) = remembered.await {
            // The next message finds out again.
            tracing::debug!(queue_id = %self.id, %error, "the refused sender is not remembered");
        }
    }
}
