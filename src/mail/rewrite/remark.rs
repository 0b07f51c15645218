//! What was left undone in a message, or should be known of it.

use std::fmt;

/// A sentence for the log and the history; the message goes out all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remark {
    /// The signature, for a DKIM signature covers the body (RFC 6376 section 3.7).
    SignedByDkim,
    /// A field that would have been supplied, for a DKIM signature covers its absence.
    FieldSignedByDkim,
    /// The signature, because of S/MIME or PGP.
    Sealed,
    /// From differs now from the address in the signer's certificate or key.
    SignerDiffers,
    /// The part's character set cannot express the signature.
    Charset,
    /// The part's transfer encoding or header is malformed or unknown.
    Malformed,
    /// Room for the signature would have to be made in a text that is too long for it.
    TextTooLong,
    /// There is no text that people read.
    NoText,
    /// The header section is too long to be understood.
    HeaderTooLong,
}

impl Remark {
    /// One plain sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedByDkim => {
                "no signature appended: the message has a DKIM signature, which that would break"
            }
            Self::FieldSignedByDkim => {
                "From and Reply-To not supplied: the message has a DKIM signature that covers them"
            }
            Self::Sealed => "no signature appended: the message is signed or encrypted",
            Self::SignerDiffers => {
                "From was rewritten in a signed message: the signature stays valid, and readers may \
                 be told that the signer is somebody else"
            }
            Self::Charset => {
                "no signature appended to one text: its character set cannot express the signature"
            }
            Self::Malformed => "no signature appended to one text: its encoding is not well formed",
            Self::TextTooLong => {
                "no signature appended to one text: it is too long to be encoded anew"
            }
            Self::NoText => "no signature appended: the message has no text for it",
            Self::HeaderTooLong => "nothing changed: the header section is longer than 256 KiB",
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
