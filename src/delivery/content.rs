//! Reads content in blocks, changed where the sender policy wants it, dot-stuffed for the wire.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::mail::rewrite::{Changes, Refusal, Rewriter, Spec};
use crate::queue::Content;
use crate::smtp::ContentEncoder;

/// Read at once.
const BLOCK_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct ContentReader {
    source: Source,
    /// `None`: nothing changes, and no octet is copied once more.
    rewriting: Option<Box<Rewriting>>,
    encoder: ContentEncoder,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File {
        file: File,
        left: u64,
        block: BytesMut,
    },
}

/// Content on its way through a [`Rewriter`].
#[derive(Debug)]
struct Rewriting {
    /// `None`: the content has ended.
    rewriter: Option<Rewriter>,
    /// What has come out of it and is not sent yet.
    out: Vec<u8>,
    changes: Changes,
    growth_max: u64,
    refusal: Option<Refusal>,
}

impl ContentReader {
    /// Opens it, and reads as far as must be known before a transaction begins: with changes to make, to
    /// the end of the header section.
    pub(super) async fn open(content: &Content, spec: &Spec) -> io::Result<Self> {
        let mut source = Source::open(content).await?;
        let rewriting = if spec.is_empty() {
            None
        } else {
            let rewriter = Rewriter::new(spec.clone());
            Some(Box::new(Rewriting::begin(rewriter, &mut source).await?))
        };
        Ok(Self {
            source,
            rewriting,
            encoder: ContentEncoder::new(),
        })
    }

    /// The addresses in From; none where the header section is too long to be looked into.
    pub(super) async fn authors(content: &Content) -> io::Result<Vec<String>> {
        let mut source = Source::open(content).await?;
        // One that changes nothing looks all the same.
        let mut rewriter = Rewriter::new(Spec::default());
        let mut out = Vec::new();
        while !rewriter.is_decided() {
            let block = source.next().await?;
            // A section that is all there is ends here.
            let octets = block.as_deref().unwrap_or(b"\r\n\r\n");
            let passed = rewriter.push(octets, &mut out);
            if passed.is_err() || block.is_none() {
                break;
            }
        }
        Ok(rewriter.authors().to_vec())
    }

    /// Why the message must not be sent with these changes.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.rewriting.as_ref()?.refusal
    }

    /// Whether it names another sender.
    pub(super) fn changes_sender(&self) -> bool {
        let rewriting = self.rewriting.as_ref();
        rewriting.is_some_and(|rewriting| {
            let changes = rewriting.changes();
            changes.from.is_some() || changes.is_sender_removed
        })
    }

    /// By how many octets the content may grow.
    pub(super) fn growth_max(&self) -> u64 {
        let rewriting = self.rewriting.as_ref();
        rewriting.map_or(0, |rewriting| rewriting.growth_max)
    }

    /// Appends the next block to `output`; false when there is none left.
    ///
    /// # Errors
    /// Also when a file is shorter than it was, and when the message must not be changed: half a message
    /// must not be ended with a dot.
    pub(super) async fn next(&mut self, output: &mut BytesMut) -> io::Result<bool> {
        let Some(rewriting) = &mut self.rewriting else {
            let block = self.source.next().await?;
            if let Some(block) = &block {
                self.encoder.encode(block, output);
            }
            return Ok(block.is_some());
        };
        while rewriting.out.is_empty() {
            if !rewriting.advance(&mut self.source).await? {
                return Ok(false);
            }
        }
        self.encoder.encode(&rewriting.out, output);
        rewriting.out.clear();
        Ok(true)
    }

    /// Appends the end of data; what has changed, if anything was to.
    pub(super) fn finish(self, output: &mut BytesMut) -> Option<Changes> {
        self.encoder.finish(output);
        self.rewriting.map(|rewriting| rewriting.changes)
    }
}

impl Source {
    async fn open(content: &Content) -> io::Result<Self> {
        Ok(match content {
            Content::Inline(octets) => Self::Memory(octets.clone()),
            Content::File { path, size_bytes } => Self::File {
                file: File::open(path).await?,
                left: *size_bytes,
                block: BytesMut::with_capacity(BLOCK_BYTES),
            },
        })
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Memory(octets) => {
                let block = octets.split_to(octets.len().min(BLOCK_BYTES));
                Ok(Some(block).filter(|block| !block.is_empty()))
            }
            Self::File { left: 0, .. } => Ok(None),
            Self::File { file, left, block } => {
                // The block before has gone: its memory serves again.
                block.reserve(BLOCK_BYTES);
                let read = file.read_buf(block).await? as u64;
                if read == 0 || read > *left {
                    return Err(io::Error::other("the content file has changed its size"));
                }
                *left -= read;
                Ok(Some(block.split().freeze()))
            }
        }
    }
}

impl Rewriting {
    async fn begin(rewriter: Rewriter, source: &mut Source) -> io::Result<Self> {
        let mut rewriting = Self {
            growth_max: rewriter.growth_max(),
            rewriter: Some(rewriter),
            out: Vec::new(),
            changes: Changes::default(),
            refusal: None,
        };
        // Content that ends with its header section leaves no rewriter behind.
        while let Some(rewriter) = &rewriting.rewriter {
            rewriting.growth_max = rewriter.growth_max();
            if rewriter.is_decided() {
                break;
            }
            match rewriting.advance(source).await {
                Ok(_) => {}
                Err(_) if rewriting.refusal.is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(rewriting)
    }

    fn changes(&self) -> &Changes {
        let rewriter = self.rewriter.as_ref();
        rewriter.map_or(&self.changes, Rewriter::changes)
    }

    /// Passes a block on; false after the last.
    async fn advance(&mut self, source: &mut Source) -> io::Result<bool> {
        let Some(rewriter) = &mut self.rewriter else {
            return Ok(false);
        };
        let passed = match source.next().await? {
            Some(block) => rewriter.push(&block, &mut self.out),
            None => match self.rewriter.take() {
                Some(rewriter) => {
                    let finished = rewriter.finish(&mut self.out);
                    finished.map(|changes| self.changes = changes)
                }
                None => Ok(()),
            },
        };
        passed.map_err(|refusal| {
            self.refusal = Some(refusal);
            io::Error::other(refusal)
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Mailbox;
    use crate::mail::rewrite::{FromRewrite, Original, Signature};

    fn spec() -> Spec {
        Spec {
            from: Some(FromRewrite {
                mailbox: Mailbox::parse("relay@b.c").unwrap(),
                original: Original::Drop,
            }),
            signature: Signature {
                text: "signed".into(),
                html: String::new(),
            },
            ..Spec::default()
        }
    }

    async fn sent(content: &Content, spec: &Spec) -> (String, Option<Changes>, u64) {
        let mut reader = ContentReader::open(content, spec).await.unwrap();
        let growth_max = reader.growth_max();
        let mut output = BytesMut::new();
        while reader.next(&mut output).await.unwrap() {}
        let changes = reader.finish(&mut output);
        let sent = String::from_utf8(output.to_vec()).unwrap();
        (sent, changes, growth_max)
    }

    #[tokio::test]
    async fn content_in_memory_and_in_a_file_comes_out_alike() {
        let folder = tempfile::TempDir::new().unwrap();
        let header = "From: x@b.c\r\n\r\n";
        for content in [
            String::new(),
            "From: x@b.c\r\n".to_owned(),
            header.to_owned(),
            format!("{header}.dot\r\n"),
            format!("{header}{}", ".line\r\n".repeat(50_000)),
        ] {
            let path = folder.path().join("content");
            std::fs::write(&path, &content).unwrap();
            let file = Content::File {
                path,
                size_bytes: content.len() as u64,
            };
            let memory = Content::Inline(content.clone().into());
            let (plain, changes, growth_max) = sent(&memory, &Spec::default()).await;
            let stuffed = content.replace("\r\n.", "\r\n..");
            assert_eq!(plain, format!("{stuffed}.\r\n"));
            assert_eq!((changes, growth_max), (None, 0));
            assert_eq!(sent(&file, &Spec::default()).await.0, plain);

            let (rewritten, changes, growth_max) = sent(&memory, &spec()).await;
            assert!(
                rewritten.starts_with("From: <relay@b.c>\r\n"),
                "{rewritten}"
            );
            assert!(changes.unwrap().from.is_some());
            let grown = rewritten.len() as u64 - plain.len() as u64;
            assert!(grown <= growth_max, "{grown} of {growth_max}");
            assert_eq!(sent(&file, &spec()).await.0, rewritten);
        }
    }

    #[tokio::test]
    async fn authors_are_found_also_where_the_header_section_is_all_there_is() {
        for (content, expected) in [
            ("", vec![]),
            ("From: x@b.c", vec!["x@b.c"]),
            ("From: X <x@b.c>, y@b.c\r\n", vec!["x@b.c", "y@b.c"]),
            ("Subject: a\r\n\r\nFrom: x@b.c\r\n", vec![]),
        ] {
            let content = Content::Inline(content.into());
            let found = ContentReader::authors(&content).await.unwrap();
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_not_sent_as_if_it_were_whole() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("content");
        std::fs::write(&path, "From: x@b.c\r\n\r\nbo").unwrap();
        let content = Content::File {
            path,
            size_bytes: 30,
        };
        for spec in [Spec::default(), spec()] {
            let mut reader = ContentReader::open(&content, &spec).await.unwrap();
            let mut output = BytesMut::new();
            let mut next = Ok(true);
            while matches!(next, Ok(true)) {
                next = reader.next(&mut output).await;
            }
            assert!(next.is_err());
        }
    }
}
