//! A message from standard input, taken in to its end before anybody is asked to take it over.
//!
//! cron begins to pipe with the first octet of a job's output and may go on for hours: a connection that
//! waits for it meanwhile would be cut.

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read, Seek as _, Write as _};

use tempfile::{SpooledData, SpooledTempFile};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::cli::error::{CliError, Exit};
use crate::mail::BodyType;
use crate::mail::rewrite::{Gathered, Meaning, Section};
use crate::queue::Newlines;

/// Header section and body, every line ended by CRLF.
#[derive(Debug)]
pub(super) struct Message {
    /// Whole fields only, without the empty line.
    header: Vec<u8>,
    body: Body,
    body_bytes: u64,
    is_ascii: bool,
}

#[derive(Debug)]
enum Body {
    Memory(Vec<u8>),
    /// Without a name.
    File(File),
}

/// Header section, empty line and body as one.
pub(super) type Content = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// A body in memory.
const BODY_IN_MEMORY_MAX_BYTES: usize = 1024 * 1024;
const HEADER_MAX_BYTES: usize = 1024 * 1024;
/// No listener can be told to take more.
const MESSAGE_MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// A longer line is read in pieces.
const PIECE_MAX_BYTES: u64 = 64 * 1024;

impl Message {
    /// Reads to the end of `input`, or to a line with nothing but a dot where `dot_ends`.
    pub(super) fn read(mut input: impl BufRead, dot_ends: bool) -> Result<Self, CliError> {
        let mut intake = Intake::new();
        let mut piece = Vec::new();
        let mut is_line_start = true;
        let mut is_first_line = true;
        loop {
            piece.clear();
            let mut limited = input.by_ref().take(PIECE_MAX_BYTES);
            let read = limited.read_until(b'\n', &mut piece);
            let length = read.map_err(|error| {
                let line = format!("cannot read the message: {error}");
                CliError::new(Exit::InputOutput, line)
            })?;
            let is_lone_dot = || matches!(&piece[..], b".\n" | b".\r\n" | b".");
            if length == 0 || (dot_ends && is_line_start && is_lone_dot()) {
                return intake.finish();
            }
            let ended = piece.ends_with(b"\n");
            // The line that parts messages in an mbox file, which some programs pass on.
            let is_mark =
                is_first_line && (piece.starts_with(b"From ") || piece.starts_with(b">From "));
            if !is_mark {
                intake.take(&piece)?;
            }
            is_line_start = ended;
            is_first_line &= !ended;
        }
    }

    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    /// With another header section, of whole fields too.
    pub(super) fn with_header(self, header: Vec<u8>) -> Self {
        let is_ascii = self.is_ascii && header.is_ascii();
        Self {
            header,
            is_ascii,
            ..self
        }
    }

    pub(super) fn body_type(&self) -> BodyType {
        if self.is_ascii {
            BodyType::SevenBit
        } else {
            BodyType::EightBitMime
        }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        (self.head().len() as u64) + self.body_bytes
    }

    /// From its beginning; one reader at a time.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        let head = Cursor::new(self.head());
        Ok(match &self.body {
            Body::Memory(octets) => Box::new(Read::chain(head, &octets[..])),
            Body::File(file) => {
                let mut file = file;
                file.rewind()?;
                Box::new(Read::chain(head, file))
            }
        })
    }

    /// As [`Message::reader`], for a runtime.
    pub(super) fn content(&self) -> io::Result<Content> {
        let head = Cursor::new(self.head());
        Ok(match &self.body {
            Body::Memory(octets) => {
                Box::new(AsyncReadExt::chain(head, Cursor::new(octets.clone())))
            }
            Body::File(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Box::new(AsyncReadExt::chain(head, tokio::fs::File::from_std(file)))
            }
        })
    }

    fn head(&self) -> Vec<u8> {
        [&self.header[..], b"\r\n"].concat()
    }
}

/// A message as far as it has been read.
struct Intake {
    /// None once its end has come.
    section: Option<Section>,
    header: Vec<u8>,
    newlines: Newlines,
    whole: Vec<u8>,
    /// In memory while it is small.
    body: SpooledTempFile,
    body_bytes: u64,
    is_ascii: bool,
}

impl Intake {
    fn new() -> Self {
        Self {
            section: Some(Section::new(HEADER_MAX_BYTES)),
            header: Vec::new(),
            newlines: Newlines::default(),
            whole: Vec::new(),
            body: SpooledTempFile::new(BODY_IN_MEMORY_MAX_BYTES),
            body_bytes: 0,
            is_ascii: true,
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), CliError> {
        let mut whole = std::mem::take(&mut self.whole);
        self.newlines.push(piece, &mut whole);
        let taken = self.sort(&whole);
        whole.clear();
        self.whole = whole;
        taken
    }

    fn finish(mut self) -> Result<Message, CliError> {
        let mut last = Vec::new();
        self.newlines.finish(&mut last);
        self.sort(&last)?;
        if let Some(section) = self.section.take() {
            self.header = section.into_octets();
        }
        let body = match self.body.into_inner() {
            SpooledData::InMemory(octets) => Body::Memory(octets.into_inner()),
            SpooledData::OnDisk(file) => Body::File(file),
        };
        Ok(Message {
            header: self.header,
            body,
            body_bytes: self.body_bytes,
            is_ascii: self.is_ascii,
        })
    }

    /// Whole lines, or parts of them, to where they belong.
    fn sort(&mut self, mut octets: &[u8]) -> Result<(), CliError> {
        self.is_ascii &= octets.is_ascii();
        while let Some(mut section) = self.section.take() {
            if octets.is_empty() {
                self.section = Some(section);
                return Ok(());
            }
            let (length, gathered) = section.gather(octets);
            octets = octets.get(length..).unwrap_or_default();
            match gathered {
                Gathered::TooLong => {
                    let line =
                        format!("the header section is longer than {HEADER_MAX_BYTES} bytes");
                    return Err(CliError::new(Exit::BadData, line));
                }
                Gathered::Part => self.section = Some(section),
                Gathered::Line => match section.judge() {
                    Meaning::Field => self.section = Some(section),
                    Meaning::End => (self.header, _) = section.split_line(),
                    // The body has begun without an empty line.
                    Meaning::Text => {
                        let (header, line) = section.split_line();
                        self.header = header;
                        self.keep(&line)?;
                    }
                },
            }
        }
        self.keep(octets)
    }

    fn keep(&mut self, octets: &[u8]) -> Result<(), CliError> {
        self.body_bytes += octets.len() as u64;
        if self.body_bytes > MESSAGE_MAX_BYTES {
            let line = format!("the message is longer than {MESSAGE_MAX_BYTES} bytes");
            return Err(CliError::new(Exit::Unavailable, line));
        }
        self.body.write_all(octets).map_err(|error| {
            let folder = std::env::temp_dir();
            let line = format!("cannot keep the message in {}: {error}", folder.display());
            CliError::new(Exit::CannotCreate, line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], dot_ends: bool) -> Message {
        // Small blocks, so that lines lie across their edges.
        let input = io::BufReader::with_capacity(3, input);
        Message::read(input, dot_ends).unwrap()
    }

    fn whole(message: &Message) -> String {
        let mut octets = Vec::new();
        message.reader().unwrap().read_to_end(&mut octets).unwrap();
        assert_eq!(octets.len() as u64, message.size_bytes());
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn header_and_body_are_told_apart() {
        for (input, header, all) in [
            ("", "", "\r\n"),
            ("test\n", "", "\r\ntest\r\n"),
            ("test", "", "\r\ntest\r\n"),
            ("\ntest\n", "", "\r\ntest\r\n"),
            ("To: a\n\nb\n", "To: a\r\n", "To: a\r\n\r\nb\r\n"),
            ("To: a\r\n\r\nb\r\n", "To: a\r\n", "To: a\r\n\r\nb\r\n"),
            ("To: a\n b\n", "To: a\r\n b\r\n", "To: a\r\n b\r\n\r\n"),
            (
                "To: a\nno field\nX: y\n",
                "To: a\r\n",
                "To: a\r\n\r\nno field\r\nX: y\r\n",
            ),
            ("To: a", "To: a\r\n", "To: a\r\n\r\n"),
            (
                "From a@b Mon Jan  1 00:00:00 2026\nTo: a\n\n",
                "To: a\r\n",
                "To: a\r\n\r\n",
            ),
            (
                "X: 1\n\na\rb\r\r\nc",
                "X: 1\r\n",
                "X: 1\r\n\r\na\r\nb\r\n\r\nc\r\n",
            ),
        ] {
            let message = read(input.as_bytes(), true);
            assert_eq!(message.header(), header.as_bytes(), "{input:?}");
            assert_eq!(whole(&message), all, "{input:?}");
            assert_eq!(message.body_type(), BodyType::SevenBit);
        }
        assert_eq!(
            read("ü".as_bytes(), true).body_type(),
            BodyType::EightBitMime
        );
    }

    #[test]
    fn a_lone_dot_ends_the_message_where_it_may() {
        for (input, with_dot, without) in [
            ("a\n.\nb\n", "\r\na\r\n", "\r\na\r\n.\r\nb\r\n"),
            ("a\r\n.\r\nb", "\r\na\r\n", "\r\na\r\n.\r\nb\r\n"),
            ("a\n.", "\r\na\r\n", "\r\na\r\n.\r\n"),
            (
                "a\n..\n.b\n",
                "\r\na\r\n..\r\n.b\r\n",
                "\r\na\r\n..\r\n.b\r\n",
            ),
        ] {
            assert_eq!(whole(&read(input.as_bytes(), true)), with_dot, "{input:?}");
            assert_eq!(whole(&read(input.as_bytes(), false)), without, "{input:?}");
        }
        // A dot that only begins a piece of a long line.
        let long = [&b"x".repeat(PIECE_MAX_BYTES as usize)[..], b".\ny"].concat();
        assert!(whole(&read(&long, true)).ends_with("x.\r\ny\r\n"));
    }

    #[test]
    fn a_long_message_is_read_as_often_as_needed() {
        let line = "0123456789\n".repeat(200_000);
        let message = read(format!("X: 1\n\n{line}").as_bytes(), true);
        assert!(matches!(message.body, Body::File(_)));
        let first = whole(&message);
        assert_eq!(first.len(), 12 * 200_000 + "X: 1\r\n\r\n".len());
        assert_eq!(whole(&message), first);
    }

    #[test]
    fn a_header_section_without_end_is_refused() {
        let input = format!("X: {}\n", "y".repeat(HEADER_MAX_BYTES));
        let error = Message::read(input.as_bytes(), true).unwrap_err();
        assert_eq!(error.exit(), Exit::BadData);
    }
}
