//! What protects a message, and so what may not change in it.
//!
//! - A DKIM signature covers From, which must be in its `h=` (RFC 6376 section 5.4), the body, and
//!   what else `h=` names; a name in `h=` that stands there once more than in the message covers the
//!   absence of a field. A rewritten From breaks it, and with it DMARC for its domain. The seal of
//!   RFC 8617 (ARC-Message-Signature) works in the same way and is treated alike.
//! - S/MIME (RFC 8551) and PGP (RFC 3156) protect what is within the body. The outer header fields
//!   are not part of it, so rewriting From breaks nothing; only readers may be told that the signer's
//!   address is not that of From. Nothing within the body may change.

use super::parser;
use super::section::{Field, fields};

/// What a header section says of signatures and encryption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The names in `h=` of all DKIM signatures, in lower case; empty: there is none.
    signed_fields: Vec<String>,
    has_dkim: bool,
    seal: Option<Seal>,
}

/// How the body is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// S/MIME or PGP, with a signer whose address readers compare with From.
    Signed,
    /// S/MIME or PGP. Whether it is signed within cannot be seen.
    Encrypted,
}

/// Why From cannot be rewritten. The message must not be sent with the old one instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RFC 6376 section 5.4.
    #[error("From cannot be rewritten: the message has a DKIM signature, which that would break")]
    SignedByDkim,
    /// It is not known what it contains.
    #[error("From cannot be rewritten: the header section is longer than 256 KiB")]
    HeaderTooLong,
}

impl Inspection {
    /// Reads a header section; what follows its empty line is not looked at.
    pub fn of(section: &[u8]) -> Self {
        let mut inspection = Self::default();
        for field in fields(section) {
            if field.is("DKIM-Signature") || field.is("ARC-Message-Signature") {
                inspection.has_dkim = true;
                inspection.signed_fields.extend(signed_fields(field.value));
            } else if field.is("Content-Type") {
                inspection.seal = inspection.seal.or_else(|| seal(field));
            }
        }
        inspection
    }

    /// Whether there is a DKIM signature, which covers the body.
    pub fn has_dkim(&self) -> bool {
        self.has_dkim
    }

    /// Whether a DKIM signature covers this field, or its absence.
    pub fn dkim_covers(&self, field_name: &str) -> bool {
        self.signed_fields
            .iter()
            .any(|name| name.eq_ignore_ascii_case(field_name))
    }

    /// Whether the body is signed or encrypted as a whole.
    pub fn seal(&self) -> Option<Seal> {
        self.seal
    }

    /// Whether From may be rewritten.
    pub fn from_rewrite(&self) -> Result<(), Refusal> {
        if self.dkim_covers("From") {
            return Err(Refusal::SignedByDkim);
        }
        Ok(())
    }
}

/// `sig-h-tag = "h" [FWS] "=" [FWS] hdr-name *( [FWS] ":" [FWS] hdr-name )` (RFC 6376 section 3.5).
fn signed_fields(value: &[u8]) -> Vec<String> {
    let value = String::from_utf8_lossy(value);
    let mut tags = value.split(';').filter_map(|tag| tag.split_once('='));
    let names = tags
        .find(|(tag, _)| tag.trim() == "h")
        .map_or("", |(_, names)| names);
    let names = names
        .split(':')
        .map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

fn seal(field: Field<'_>) -> Option<Seal> {
    let media = parser::media(field.value)?;
    match (media.ctype(), media.subtype()?) {
        ("multipart", "signed") => Some(Seal::Signed),
        ("multipart", "encrypted") | ("application", "pgp" | "pgp-encrypted") => {
            Some(Seal::Encrypted)
        }
        ("application", "pkcs7-mime" | "x-pkcs7-mime") => match media.attribute("smime-type") {
            Some(kind) if kind.eq_ignore_ascii_case("signed-data") => Some(Seal::Signed),
            _ => Some(Seal::Encrypted),
        },
        // Some gateways rename the type and keep the file's name.
        ("application", "octet-stream") => {
            let name = media.attribute("name")?;
            name.eq_ignore_ascii_case("smime.p7m")
                .then_some(Seal::Encrypted)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dkim_signatures_are_read() {
        let signed = Inspection::of(
            b"From: a@b\r\nDKIM-Signature: v=1; a=rsa-sha256; d=b;\r\n\th = From:Subject :\r\n\t reply-to;\r\n\
              \tbh=h=; b=x\r\n\r\nContent-Type: multipart/signed\r\n",
        );
        assert!(signed.has_dkim());
        assert!(signed.dkim_covers("Reply-To") && signed.dkim_covers("subject"));
        assert!(!signed.dkim_covers("Sender"));
        assert_eq!(signed.from_rewrite(), Err(Refusal::SignedByDkim));
        assert_eq!(signed.seal(), None);
        let arc = Inspection::of(b"ARC-Message-Signature: i=1; h=from:to; b=x\r\n\r\n");
        assert_eq!(arc.from_rewrite(), Err(Refusal::SignedByDkim));
        // Such a signature is invalid anyway.
        let odd = Inspection::of(b"DKIM-Signature: v=1; h=to\r\n\r\n");
        assert!(odd.has_dkim());
        assert_eq!(odd.from_rewrite(), Ok(()));
        assert_eq!(Inspection::of(b"From: a@b\r\n\r\n"), Inspection::default());
    }

    #[test]
    fn seals_are_recognised() {
        for (value, seal) in [
            (
                "multipart/signed; protocol=\"application/pkcs7-signature\"",
                Some(Seal::Signed),
            ),
            (
                "multipart/signed; protocol=\"application/pgp-signature\"",
                Some(Seal::Signed),
            ),
            (
                "multipart/encrypted; protocol=\"application/pgp-encrypted\"",
                Some(Seal::Encrypted),
            ),
            (
                "application/pkcs7-mime; smime-type=signed-data",
                Some(Seal::Signed),
            ),
            (
                "application/x-pkcs7-mime; smime-type=enveloped-data",
                Some(Seal::Encrypted),
            ),
            (
                "application/octet-stream; name=smime.p7m",
                Some(Seal::Encrypted),
            ),
            ("application/octet-stream; name=a.bin", None),
            ("multipart/mixed; boundary=a", None),
            ("text/plain", None),
        ] {
            let section = format!("Content-Type: {value}\r\n\r\n");
            assert_eq!(Inspection::of(section.as_bytes()).seal(), seal, "{value}");
        }
    }
}
