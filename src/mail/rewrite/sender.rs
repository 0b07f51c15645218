//! From, Reply-To and Sender of a header section, rewritten.

use super::inspection::{Inspection, Refusal};
use super::parser::{Author, authors};
use super::phrase::{address_field, harmless};
use super::remark::Remark;
use super::section::{Field, fields};
use super::{FromChange, FromRewrite, Original, Spec};
use crate::mail::Mailbox;

/// What the fields written here may add to a section: a From, and a Reply-To of up to
/// [`super::parser::AUTHORS_MAX`] mailboxes, each with a name that is encoded and folded.
pub(super) const GROWTH_MAX_BYTES: u64 = 24 * 1024;

/// A section after the rewriting.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) section: Vec<u8>,
    pub(super) from: Option<FromChange>,
    pub(super) reply_to: Option<String>,
    pub(super) is_sender_removed: bool,
    pub(super) remarks: Vec<Remark>,
}

/// What a section says of its senders.
struct Senders {
    from_fields: usize,
    /// Of the first From that names anybody.
    authors: Vec<Author>,
    has_reply_to: bool,
    /// Names somebody else than the mailbox to send from.
    has_foreign_sender: bool,
}

/// Rewrites what `spec` asks for; every other field stays as it is, octet by octet.
///
/// # Errors
/// When From should be rewritten and must not be.
pub(super) fn rewrite(
    section: &[u8],
    spec: &Spec,
    inspection: &Inspection,
) -> Result<Rewritten, Refusal> {
    let mailbox = spec.from.as_ref().map(|rewrite| &rewrite.mailbox);
    let senders = Senders::read(section, mailbox);
    let mut rewritten = Rewritten::default();

    let from = match &spec.from {
        Some(rewrite) if !senders.are(&rewrite.mailbox) => {
            inspection.from_rewrite()?;
            rewritten.from = Some(FromChange {
                old: listed(&senders.authors),
                new: rewrite.mailbox.to_string(),
            });
            let original = senders
                .authors
                .iter()
                .find_map(|author| author.name.as_deref());
            let name = spec.display_name.as_deref().or(original).and_then(harmless);
            Some(address_field(
                "From",
                [(name.as_deref(), rewrite.mailbox.as_str())],
            ))
        }
        _ => named(&senders, spec, inspection, &mut rewritten.remarks),
    };
    let reply_to = reply_to(&senders, spec, rewritten.from.is_some());
    let reply_to = reply_to.filter(|_| {
        let is_covered = inspection.dkim_covers("Reply-To");
        if is_covered {
            remark_once(&mut rewritten.remarks);
        }
        !is_covered
    });
    rewritten.is_sender_removed = senders.has_foreign_sender
        && (rewritten.from.is_some() || !inspection.dkim_covers("Sender"));

    let mut replacement = from;
    let is_replaced = replacement.is_some();
    let mut length = 0;
    for field in fields(section) {
        length += field.octets.len();
        if is_replaced && field.is("From") {
            rewritten
                .section
                .extend(replacement.take().unwrap_or_default());
        } else if !is_dropped(&field, &rewritten, reply_to.is_some()) {
            rewritten.section.extend_from_slice(field.octets);
        }
    }
    let end = section.get(length..).unwrap_or_default();
    let mut added = replacement.unwrap_or_default();
    if let Some(mailboxes) = reply_to {
        let mailboxes: Vec<_> = mailboxes
            .iter()
            .map(|(name, mailbox)| (name.as_deref(), mailbox.as_str()))
            .collect();
        let addresses: Vec<_> = mailboxes.iter().map(|(_, address)| *address).collect();
        rewritten.reply_to = Some(addresses.join(", "));
        added.extend(address_field("Reply-To", mailboxes));
    }
    if added.is_empty() {
        rewritten.section.extend_from_slice(end);
        return Ok(rewritten);
    }
    if !rewritten.section.is_empty() && !rewritten.section.ends_with(b"\n") {
        rewritten.section.extend_from_slice(b"\r\n");
    }
    // At the end, where they disturb neither trace fields nor signatures.
    rewritten.section.append(&mut added);
    let end = if end.is_empty() { b"\r\n" } else { end };
    rewritten.section.extend_from_slice(end);
    Ok(rewritten)
}

/// A From of this mailbox alone, with the name that `value`, that of the From whose place it takes, has for its
/// author: a device is known by it. A name that is but the address says nothing any more.
pub(in crate::mail) fn from_in_place_of(value: Option<&[u8]>, mailbox: &str) -> Vec<u8> {
    let name = value
        .map(authors)
        .unwrap_or_default()
        .into_iter()
        .find_map(|author| {
            let Author { name, address } = author;
            match (name, address) {
                (Some(name), Some(address)) => Some(name).filter(|name| *name != address),
                // Where a mailbox should be: `From: Scanner`, `From: <root>`.
                (None, Some(address)) => Some(address).filter(|address| !address.contains('@')),
                (name, None) => name,
            }
        });
    let name = name.as_deref().and_then(harmless);
    address_field("From", [(name.as_deref(), mailbox)])
}

/// The addresses that a section names as its authors.
pub(super) fn authors_of(section: &[u8]) -> Vec<String> {
    let authors = Senders::read(section, None).authors.into_iter();
    authors.filter_map(|author| author.address).collect()
}

/// A Reply-To without any address makes room for the one that is written; a Sender that is the
/// author should not be there at all (RFC 5322 section 3.6.2).
fn is_dropped(field: &Field<'_>, rewritten: &Rewritten, has_new_reply_to: bool) -> bool {
    (rewritten.is_sender_removed && field.is("Sender"))
        || (has_new_reply_to && field.is("Reply-To"))
}

/// A From that stays and has no name gets the configured one.
fn named(
    senders: &Senders,
    spec: &Spec,
    inspection: &Inspection,
    remarks: &mut Vec<Remark>,
) -> Option<Vec<u8>> {
    let name = spec.display_name.as_deref().and_then(harmless)?;
    let [
        Author {
            name: None,
            address: Some(address),
        },
    ] = senders.authors.as_slice()
    else {
        return None;
    };
    let mailbox = Mailbox::parse(address)
        .ok()
        .filter(|_| senders.from_fields == 1)?;
    if inspection.dkim_covers("From") {
        remark_once(remarks);
        return None;
    }
    Some(address_field(
        "From",
        [(Some(name.as_str()), mailbox.as_str())],
    ))
}

/// Where answers are to go, if the message does not say so itself.
fn reply_to(
    senders: &Senders,
    spec: &Spec,
    is_rewritten: bool,
) -> Option<Vec<(Option<String>, Mailbox)>> {
    if senders.has_reply_to {
        return None;
    }
    if let Some(configured) = &spec.reply_to {
        return Some(vec![(None, configured.clone())]);
    }
    let is_kept = is_rewritten
        && matches!(
            &spec.from,
            Some(FromRewrite {
                original: Original::ReplyTo,
                ..
            })
        );
    if !is_kept {
        return None;
    }
    let originals = senders.authors.iter().filter_map(|author| {
        let mailbox = Mailbox::parse(author.address.as_deref()?).ok()?;
        Some((author.name.as_deref().and_then(harmless), mailbox))
    });
    Some(originals.collect::<Vec<_>>()).filter(|originals| !originals.is_empty())
}

fn remark_once(remarks: &mut Vec<Remark>) {
    if !remarks.contains(&Remark::FieldSignedByDkim) {
        remarks.push(Remark::FieldSignedByDkim);
    }
}

impl Senders {
    fn read(section: &[u8], mailbox: Option<&Mailbox>) -> Self {
        let mut senders = Self {
            from_fields: 0,
            authors: Vec::new(),
            has_reply_to: false,
            has_foreign_sender: false,
        };
        for field in fields(section) {
            if field.is("From") {
                senders.from_fields += 1;
                if senders
                    .authors
                    .iter()
                    .all(|author| author.address.is_none())
                {
                    let found = authors(field.value);
                    if !found.is_empty() {
                        senders.authors = found;
                    }
                }
            } else if field.is("Reply-To") {
                let found = authors(field.value);
                senders.has_reply_to |= found.iter().any(|author| author.address.is_some());
            } else if let Some(mailbox) = mailbox.filter(|_| field.is("Sender")) {
                let found = authors(field.value);
                senders.has_foreign_sender |= !found.iter().any(|author| author.is(mailbox));
            }
        }
        senders
    }

    /// Whether the message is from this mailbox and nobody else.
    fn are(&self, mailbox: &Mailbox) -> bool {
        self.from_fields == 1 && matches!(self.authors.as_slice(), [only] if only.is(mailbox))
    }
}

impl Author {
    /// Exchange does not tell upper from lower case, in the local-part neither.
    fn is(&self, mailbox: &Mailbox) -> bool {
        let address = self.address.as_deref();
        address.is_some_and(|address| address.eq_ignore_ascii_case(mailbox.as_str()))
    }
}

/// For people: the addresses, or the name where there is none; on one line.
fn listed(authors: &[Author]) -> String {
    let shown = |author: &Author| {
        let text = author
            .address
            .as_deref()
            .or(author.name.as_deref())
            .unwrap_or_default();
        text.chars()
            .filter(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'))
            .take(254)
            .collect::<String>()
    };
    authors.iter().map(shown).collect::<Vec<_>>().join(", ")
}
