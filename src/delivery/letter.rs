//! A message as it is presented: its content, and what changes in it on the way.

use std::io;

use crate::delivery::content::ContentReader;
use crate::mail::rewrite::{Changes, Spec};
use crate::queue::{Content, LeasedMessage};

/// What a connection sends.
#[derive(Debug)]
pub(super) struct Letter {
    content: Content,
    size_bytes: u64,
    spec: Spec,
    /// What had changed when it was last sent to its end.
    pub(super) changes: Option<Changes>,
}

impl Letter {
    /// As it came.
    pub(super) fn of(message: &LeasedMessage) -> Self {
        Self::plain(message.content.clone(), message.size_bytes)
    }

    pub(super) fn plain(content: Content, size_bytes: u64) -> Self {
        Self {
            content,
            size_bytes,
            spec: Spec::default(),
            changes: None,
        }
    }

    /// The same content, changed in this way.
    pub(super) fn rewritten(&self, spec: Spec) -> Self {
        Self {
            content: self.content.clone(),
            size_bytes: self.size_bytes,
            spec,
            changes: None,
        }
    }

    /// Reads it from its beginning; its header section has been looked at.
    pub(super) async fn open(&self) -> io::Result<ContentReader> {
        ContentReader::open(&self.content, &self.spec).await
    }

    /// The addresses in its From.
    pub(super) async fn authors(&self) -> io::Result<Vec<String>> {
        ContentReader::authors(&self.content).await
    }

    /// For the SIZE of RFC 1870: room for all it may grow by, but not so much that a server whose limit
    /// is `limit` (0: none is told) would refuse what it may well take.
    pub(super) fn size_to_declare(&self, reader: &ContentReader, limit: Option<u64>) -> u64 {
        let grown = self.size_bytes.saturating_add(reader.growth_max());
        match limit.filter(|limit| *limit > 0) {
            Some(limit) => grown.min(limit.max(self.size_bytes)),
            None => grown,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mail::rewrite::Signature;

    #[tokio::test]
    async fn no_more_is_declared_than_the_server_takes() {
        let content = Bytes::from_static(b"From: a@b.c\r\n\r\nbody\r\n");
        let size_bytes = content.len() as u64;
        let letter = Letter::plain(Content::Inline(content), size_bytes);
        let plain = letter.open().await.unwrap();
        assert_eq!(letter.size_to_declare(&plain, None), size_bytes);
        let text = "signature".to_owned();
        let html = String::new();
        let letter = letter.rewritten(Spec {
            signature: Signature { text, html },
            ..Spec::default()
        });
        let reader = letter.open().await.unwrap();
        let grown = letter.size_to_declare(&reader, Some(0));
        assert!(grown > size_bytes + 9, "{grown}");
        assert_eq!(letter.size_to_declare(&reader, None), grown);
        assert_eq!(letter.size_to_declare(&reader, Some(grown - 1)), grown - 1);
        // Too long as it is: the server may say so.
        assert_eq!(letter.size_to_declare(&reader, Some(5)), size_bytes);
    }
}
