//! Sender rewriting and signatures: what an account changes in a message on its way out.
//!
//! A message is stored as it came. At each attempt it streams through a [`Rewriter`], which holds
//! the header section (up to 256 KiB) and one text (up to 1 MiB) at a time; attachments pass as
//! they are, octet by octet. What is not named in the [`Spec`] is never touched, and a message that
//! a change would break is either left alone, with a [`Remark`], or refused, with a [`Refusal`].

mod charset;
mod entity;
mod inspection;
mod label;
mod parser;
mod phrase;
mod remark;
mod section;
mod sender;
mod signature;
#[cfg(test)]
mod tests;
mod text_part;
mod transfer;
mod walker;

pub use inspection::{Inspection, Refusal, Seal};
pub use remark::Remark;
pub(super) use sender::from_in_place_of;
pub use signature::Signature;

use crate::mail::Mailbox;
pub(crate) use phrase::{address_field, harmless};
pub(crate) use section::{Gathered, Meaning, Section, fields};
use walker::Walker;

/// A longer header section is not understood; Exchange Online takes no single value above 32 KiB
/// (facts A.6).
const SECTION_MAX_BYTES: usize = 256 * 1024;

/// What is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Who the message is to be from; `None`: From stays.
    pub from: Option<FromRewrite>,
    /// For a From that is rewritten, and for one that stays and has no name. `None`: a rewritten
    /// From keeps the name it had.
    pub display_name: Option<String>,
    /// Added to a message that has no Reply-To of its own.
    pub reply_to: Option<Mailbox>,
    /// Appended to the text.
    pub signature: Signature,
}

/// A From that the message must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromRewrite {
    /// The only author there will be.
    pub mailbox: Mailbox,
    /// What happens to the author there was.
    pub original: Original,
}

/// What becomes of the original From.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// It goes to Reply-To, unless the message or the [`Spec`] has another: people can answer.
    ReplyTo,
    /// It goes nowhere: a device that cannot set its From has made it up.
    Drop,
}

/// What has changed, for the history and the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who it was from, and who it is from now.
    pub from: Option<FromChange>,
    /// The Reply-To that was added.
    pub reply_to: Option<String>,
    /// A Sender that named somebody else was removed.
    pub is_sender_removed: bool,
    /// `text/plain` has its signature.
    pub signed_text: bool,
    /// `text/html` has its signature.
    pub signed_html: bool,
    /// What was left undone, and why.
    pub remarks: Vec<Remark>,
}

/// A rewritten From.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromChange {
    /// The addresses, or what stood in their place; without control characters.
    pub old: String,
    /// The mailbox.
    pub new: String,
}

impl Spec {
    /// Whether it changes nothing in any message, so that no [`Rewriter`] is needed.
    pub fn is_empty(&self) -> bool {
        self.from.is_none()
            && self.display_name.is_none()
            && self.reply_to.is_none()
            && self.signature.is_empty()
    }
}

/// Passes one message through, block by block. Line ends are CRLF.
#[derive(Debug)]
pub struct Rewriter {
    spec: Spec,
    stage: Stage,
    authors: Vec<String>,
    changes: Changes,
    growth_max_bytes: u64,
}

#[derive(Debug)]
enum Stage {
    Section(Section),
    Body(Box<Walker>),
    Refused(Refusal),
}

impl Rewriter {
    /// Nothing has been seen yet.
    pub fn new(spec: Spec) -> Self {
        let (text, html) = (spec.signature.text(), spec.signature.html());
        let growth = walker::growth_max(text.as_deref(), html.as_deref());
        Self {
            growth_max_bytes: sender::GROWTH_MAX_BYTES + growth,
            spec,
            stage: Stage::Section(Section::new(SECTION_MAX_BYTES)),
            authors: Vec::new(),
            changes: Changes::default(),
        }
    }

    /// Whether the header section has passed: nothing will be refused any more, and
    /// [`Rewriter::growth_max`] is near the truth.
    pub fn is_decided(&self) -> bool {
        !matches!(self.stage, Stage::Section(_))
    }

    /// By how many octets the whole message may grow, for the SIZE of RFC 1870, which may be too high
    /// but not too low: at first up to 90 KiB and six times the signatures. After the header section
    /// what its fields have grown by is known, and whether a signature is to come at all.
    pub fn growth_max(&self) -> u64 {
        self.growth_max_bytes
    }

    /// The addresses in From as it came, up to ten; none before the header section has ended.
    pub fn authors(&self) -> &[String] {
        &self.authors
    }

    /// What has changed so far.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Takes a block of content and appends to `out` what is to be sent.
    ///
    /// # Errors
    /// When the header section has ended and must not be rewritten. Nothing is in `out` then, and
    /// the message cannot be sent under this [`Spec`]; the same answer comes again.
    pub fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        while let Stage::Section(section) = &mut self.stage {
            let (taken, gathered) = section.gather(octets);
            octets = octets.get(taken..).unwrap_or_default();
            match gathered {
                Gathered::Part => return Ok(()),
                Gathered::TooLong => self.pass_unseen(out)?,
                Gathered::Line => match section.judge() {
                    Meaning::Field => {}
                    Meaning::End | Meaning::Text => self.end_section(out)?,
                },
            }
        }
        match &mut self.stage {
            Stage::Body(walker) => {
                walker.push(octets, out);
                Ok(())
            }
            Stage::Refused(refusal) => Err(*refusal),
            Stage::Section(_) => Ok(()),
        }
    }

    /// The content has ended; appends what was held back.
    ///
    /// # Errors
    /// As [`Rewriter::push`], when the header section ends only here.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Changes, Refusal> {
        if let Stage::Section(section) = &mut self.stage {
            section.judge();
            self.end_section(out)?;
        }
        match self.stage {
            Stage::Body(walker) => {
                let outcome = walker.finish(out);
                self.changes.signed_text = outcome.signed_text;
                self.changes.signed_html = outcome.signed_html;
                self.changes.remarks.extend(outcome.remarks);
                Ok(self.changes)
            }
            Stage::Refused(refusal) => Err(refusal),
            Stage::Section(_) => Ok(self.changes),
        }
    }

    /// The section has ended with the line last judged, or before it.
    fn end_section(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(section) = self.take_section() else {
            return Ok(());
        };
        let (mut section, line) = section.split_line();
        let is_closed = matches!(line.as_slice(), b"\r\n" | b"\n");
        if is_closed {
            section.extend_from_slice(&line);
        }
        let inspection = Inspection::of(&section);
        self.authors = sender::authors_of(&section);
        let rewritten = match sender::rewrite(&section, &self.spec, &inspection) {
            Ok(rewritten) => rewritten,
            Err(refusal) => {
                self.stage = Stage::Refused(refusal);
                return Err(refusal);
            }
        };
        let grown = rewritten.section.len().saturating_sub(section.len());
        self.changes.from = rewritten.from;
        self.changes.reply_to = rewritten.reply_to;
        self.changes.is_sender_removed = rewritten.is_sender_removed;
        self.changes.remarks = rewritten.remarks;
        if self.changes.from.is_some() && inspection.seal() == Some(Seal::Signed) {
            self.changes.remarks.push(Remark::SignerDiffers);
        }
        let mut walker = self.walker(&inspection, is_closed);
        walker.begin(rewritten.section, out);
        self.growth_max_bytes = grown as u64 + walker.growth_max();
        if !is_closed {
            walker.push(&line, out);
        }
        self.stage = Stage::Body(Box::new(walker));
        Ok(())
    }

    /// One that knows what the message allows.
    fn walker(&mut self, inspection: &Inspection, is_closed: bool) -> Walker {
        let signature = &self.spec.signature;
        if signature.is_empty() {
            return Walker::idle();
        }
        let remark = if inspection.has_dkim() {
            Remark::SignedByDkim
        } else if inspection.seal().is_some() {
            Remark::Sealed
        } else if !is_closed {
            Remark::NoText
        } else {
            return Walker::new(signature);
        };
        self.changes.remarks.push(remark);
        Walker::idle()
    }

    /// The section is too long to be understood.
    fn pass_unseen(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(section) = self.take_section() else {
            return Ok(());
        };
        if self.spec.from.is_some() {
            self.stage = Stage::Refused(Refusal::HeaderTooLong);
            return Err(Refusal::HeaderTooLong);
        }
        if !self.spec.is_empty() {
            self.changes.remarks.push(Remark::HeaderTooLong);
        }
        out.extend_from_slice(&section.into_octets());
        self.stage = Stage::Body(Box::new(Walker::idle()));
        self.growth_max_bytes = 0;
        Ok(())
    }

    fn take_section(&mut self) -> Option<Section> {
        match std::mem::replace(&mut self.stage, Stage::Body(Box::new(Walker::idle()))) {
            Stage::Section(section) => Some(section),
            other => {
                self.stage = other;
                None
            }
        }
    }
}
