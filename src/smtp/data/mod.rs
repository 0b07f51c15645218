//! Content on its way through DATA (RFC 5321 section 4.5.2, transparency).

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use decoder::{BareNewline, ContentDecoder, ContentProgress};
pub use encoder::ContentEncoder;
