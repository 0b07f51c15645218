//! Where lines end: standard error, or the journal.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::fs::fstat;
use tracing::Level;

use super::Format;
use super::journal::{self, Journal};
use super::json;
use super::record::{Record, Value};
use super::text::{self, Frame};

/// Until a descriptor that somebody made non-blocking is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines are written in pieces of about this length.
const LINES_MAX_BYTES: usize = 64 * 1024;

/// The form of lines from now on, for whoever writes them.
#[derive(Clone, Debug)]
pub(super) struct Form(Arc<AtomicU8>);

impl Form {
    pub(super) fn new(format: Format) -> Self {
        Self(Arc::new(AtomicU8::new(format as u8)))
    }

    pub(super) fn set(&self, format: Format) {
        self.0.store(format as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Format {
        let number = self.0.load(Ordering::Relaxed);
        let formats = [Format::Text, Format::Json, Format::Journald];
        let known = formats.into_iter().find(|format| *format as u8 == number);
        known.unwrap_or_default()
    }
}

/// Writes records.
pub(super) struct Sink {
    form: Form,
    frame: Frame,
    out: Box<dyn Write + Send>,
    journal: Journal,
    /// To be written at once.
    lines: Vec<u8>,
    /// It has been said.
    journal_fails: bool,
}

impl Sink {
    pub(super) fn standard_error(form: Form) -> Self {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let frame = if is_stream(&stream, io::stderr()) {
            Frame::Stream
        } else if io::stderr().is_terminal() {
            Frame::Coloured
        } else {
            Frame::Plain
        };
        // Not through the lock of the standard library: who complains at the end would wait for it.
        let out: Box<dyn Write + Send> = match io::stderr().as_fd().try_clone_to_owned() {
            Ok(own) => Box::new(File::from(own)),
            Err(_) => Box::new(io::stderr()),
        };
        Self::new(form, frame, out, Journal::at(journal::PATH))
    }

    fn new(form: Form, frame: Frame, out: Box<dyn Write + Send>, journal: Journal) -> Self {
        Self {
            form,
            frame,
            out,
            journal,
            lines: Vec::new(),
            journal_fails: false,
        }
    }

    /// Waits for as long as the reader makes it.
    pub(super) fn write<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        for record in records {
            self.add(record);
            if self.lines.len() >= LINES_MAX_BYTES {
                self.put();
            }
        }
        self.put();
    }

    fn add(&mut self, record: &Record) {
        match self.form.get() {
            Format::Text => self.add_text(record),
            Format::Json => {
                if self.frame == Frame::Stream {
                    // The journal takes it off again.
                    self.lines.extend_from_slice(priority(record).as_bytes());
                }
                self.lines.extend_from_slice(&json::line(record));
            }
            Format::Journald => match self.journal.send(record) {
                Ok(()) => self.journal_fails = false,
                // A relay is not to stand still for its log, nor to say nothing.
                Err(error) => {
                    if !self.journal_fails {
                        self.journal_fails = true;
                        self.add_text(&absence(&error));
                    }
                    self.add_text(record);
                }
            },
        }
    }

    fn add_text(&mut self, record: &Record) {
        let line = text::line(record, self.frame);
        self.lines.extend_from_slice(line.as_bytes());
    }

    /// There is nobody to tell of a failure.
    fn put(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let mut octets = lines.as_slice();
        while !octets.is_empty() {
            match self.out.write(octets) {
                Ok(0) => return,
                Ok(written) => octets = octets.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                Err(_) => return,
            }
        }
    }
}

fn priority(record: &Record) -> String {
    format!("<{}>", text::priority(record.level))
}

fn absence(error: &io::Error) -> Record {
    let message = "log.format is \"journald\", and the journal does not take it: lines are written to standard \
                   error as text until it does";
    let mut record = Record::new(Level::WARN, message.to_owned());
    record
        .fields
        .set("path", Value::Text(journal::PATH.to_owned()));
    record.fields.set("error", Value::Text(error.to_string()));
    record
}

/// Whether `out` is the socket that `$JOURNAL_STREAM` names as `DEVICE:INODE` (`systemd.exec`(5)); it is inherited
/// also where the output goes elsewhere.
fn is_stream(named: &str, out: impl AsFd) -> bool {
    let Some((device, inode)) = named.split_once(':') else {
        return false;
    };
    let Ok(status) = fstat(out) else {
        return false;
    };
    device.parse() == Ok(status.st_dev) && inode.parse() == Ok(status.st_ino)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        /// Slowly, as a pipe may take it.
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let part = &octets[..octets.len().min(7)];
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.extend_from_slice(part);
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn take(&self) -> String {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8(std::mem::take(&mut *written)).unwrap()
        }
    }

    fn sink(frame: Frame, path: &std::path::Path) -> (Sink, Form, Written) {
        let (form, written) = (Form::new(Format::Text), Written::default());
        let sink = Sink::new(
            form.clone(),
            frame,
            Box::new(written.clone()),
            Journal::at(path),
        );
        (sink, form, written)
    }

    fn record(message: &str) -> Record {
        let mut record = Record::new(Level::ERROR, message.to_owned());
        record.at = "2026-10-12T09:08:07Z".parse().unwrap();
        record
    }

    #[test]
    fn the_form_changes_between_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let (mut sink, form, written) = sink(Frame::Stream, &path);
        sink.write([&record("one")]);
        assert_eq!(written.take(), "<3>one\n");
        form.set(Format::Json);
        sink.write([&record("two")]);
        let line = written.take();
        assert!(line.starts_with("<3>{\"timestamp\":\"2026-10-12T09:08:07.000000Z\","));
        assert!(line.contains("\"message\":\"two\"") && line.ends_with("}\n"));
        form.set(Format::Journald);
        sink.write([&record("three")]);
        assert_eq!(written.take(), "");
        assert!(journal.recv(&mut [0; 4096]).unwrap() > 0);
    }

    #[test]
    fn without_a_journal_text_is_written_and_that_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (mut sink, form, written) = sink(Frame::Plain, &path);
        form.set(Format::Journald);
        sink.write([&record("one")]);
        sink.write([&record("two")]);
        let text = written.take();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains(" WARN log.format is \"journald\", and the journal does not"));
        assert_eq!(lines[1], "2026-10-12T09:08:07.000000Z ERROR one");

        let journal = UnixDatagram::bind(&path).unwrap();
        sink.write([&record("three")]);
        assert_eq!(written.take(), "");
        drop(journal);
        std::fs::remove_file(&path).unwrap();
        sink.write([&record("four")]);
        assert_eq!(written.take().lines().count(), 2);
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let (one, other) = UnixStream::pair().unwrap();
        let status = fstat(&one).unwrap();
        let named = format!("{}:{}", status.st_dev, status.st_ino);
        assert!(is_stream(&named, &one));
        assert!(!is_stream(&named, &other));
        for nonsense in ["", ":", "1", "1:2:3", &format!("{}:", status.st_dev)] {
            assert!(!is_stream(nonsense, &one), "{nonsense}");
        }
    }
}
