//! Reads content in blocks, dot-stuffed for the wire.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::queue::Content;
use crate::smtp::ContentEncoder;

/// Read at once.
const BLOCK_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct ContentReader {
    source: Source,
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

impl ContentReader {
    pub(super) async fn open(content: &Content) -> io::Result<Self> {
        let source = match content {
            Content::Inline(octets) => Source::Memory(octets.clone()),
            Content::File { path, size_bytes } => Source::File {
                file: File::open(path).await?,
                left: *size_bytes,
                block: BytesMut::with_capacity(BLOCK_BYTES),
            },
        };
        Ok(Self {
            source,
            encoder: ContentEncoder::new(),
        })
    }

    /// Appends the next block to `output`; false when there is none left.
    ///
    /// # Errors
    /// Also when a file is shorter than it was: half a message must not be ended with a dot.
    pub(super) async fn next(&mut self, output: &mut BytesMut) -> io::Result<bool> {
        match &mut self.source {
            Source::Memory(octets) => {
                let block = octets.split_to(octets.len().min(BLOCK_BYTES));
                self.encoder.encode(&block, output);
                Ok(!block.is_empty())
            }
            Source::File { left: 0, .. } => Ok(false),
            Source::File { file, left, block } => {
                block.clear();
                block.reserve(BLOCK_BYTES);
                let read = file.read_buf(block).await? as u64;
                if read == 0 || read > *left {
                    return Err(io::Error::other("the content file has changed its size"));
                }
                *left -= read;
                self.encoder.encode(block, output);
                Ok(true)
            }
        }
    }

    /// Appends the end of data.
    pub(super) fn finish(self, output: &mut BytesMut) {
        self.encoder.finish(output);
    }
}
