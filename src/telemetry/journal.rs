//! systemd's journal, in its own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};

use super::record::{Record, Value};
use super::text;

/// Where the journal listens.
pub(super) const PATH: &str = "/run/systemd/journal/socket";

/// Before the names of our fields, so that nobody else's mean something else.
const PREFIX: &str = "EXORELAY_";

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// None: not made yet. It is bound to nothing, so a journal that starts anew is found again.
    socket: Option<UnixDatagram>,
}

impl Journal {
    pub(super) fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            socket: None,
        }
    }

    /// Hands the record over; waits where the journal has no room.
    pub(super) fn send(&mut self, record: &Record) -> io::Result<()> {
        let octets = entry(record);
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(UnixDatagram::unbound()?),
        };
        match socket.send_to(&octets, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                send_file(socket, &self.path, &octets)
            }
            Err(error) => Err(error),
        }
    }
}

/// What is too long for a datagram goes as memory that nobody can change any more.
fn send_file(socket: &UnixDatagram, path: &Path, octets: &[u8]) -> io::Result<()> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("exorelay-log", flags)?);
    file.write_all(octets)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let address = SocketAddrUnix::new(path)?;
    let nothing = [IoSlice::new(&[])];
    sendmsg_addr(
        socket,
        &address,
        &nothing,
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// `NAME\n`, the length of the value in 64 bits, the value, `\n`: no value can pass for a field.
fn entry(record: &Record) -> Vec<u8> {
    let mut octets = Vec::with_capacity(1024);
    let mut message = String::with_capacity(256);
    text::body(record, &mut message);
    push("MESSAGE", message.as_bytes(), &mut octets);
    let priority = text::priority(record.level).to_string();
    push("PRIORITY", priority.as_bytes(), &mut octets);
    push("SYSLOG_IDENTIFIER", b"exorelay", &mut octets);
    // LOG_MAIL: a syslog daemon that reads the journal puts it where mail servers log.
    push("SYSLOG_FACILITY", b"2", &mut octets);
    let name = |name: &str| PREFIX.to_owned() + &name.to_ascii_uppercase().replace('.', "_");
    push(&name("target"), record.target.as_bytes(), &mut octets);
    for (field, value) in record.fields.iter() {
        let value = match value {
            Value::Text(text) => text.clone(),
            Value::Unsigned(number) => number.to_string(),
            Value::Signed(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Truth(truth) => truth.to_string(),
        };
        push(&name(field), value.as_bytes(), &mut octets);
    }
    octets
}

fn push(name: &str, value: &[u8], octets: &mut Vec<u8>) {
    octets.extend_from_slice(name.as_bytes());
    octets.push(b'\n');
    octets.extend_from_slice(&(value.len() as u64).to_le_bytes());
    octets.extend_from_slice(value);
    octets.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{IoSliceMut, Read, Seek};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use tempfile::TempDir;
    use tracing::Level;

    use super::*;

    fn bench() -> (TempDir, UnixDatagram, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let heard = UnixDatagram::bind(&path).unwrap();
        (folder, heard, Journal::at(path))
    }

    fn record() -> Record {
        let mut record = Record::new(Level::WARN, "deferred".to_owned());
        let text = |text: &str| Value::Text(text.to_owned());
        record.fields.set("event", text("deferred"));
        record.fields.set("queue_id", text("01K9Z3X4T5ABCDEF"));
        record.fields.set("retry_in_s", Value::Unsigned(30));
        record
            .fields
            .set("reply", text("451 busy\nPRIORITY=0\n\x1b[2J"));
        record
    }

    /// As the journal reads it.
    fn fields(mut octets: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !octets.is_empty() {
            let end = octets.iter().position(|octet| *octet == b'\n').unwrap();
            let (name, rest) = octets.split_at(end);
            let (length, rest) = rest[1..].split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (value, rest) = rest.split_at(length);
            assert_eq!(rest[0], b'\n');
            octets = &rest[1..];
            let name = String::from_utf8(name.to_vec()).unwrap();
            let is_known = fields.insert(name, String::from_utf8(value.to_vec()).unwrap());
            assert_eq!(is_known, None);
        }
        fields
    }

    #[test]
    fn fields_are_those_of_the_record_and_no_value_makes_another() {
        let (_folder, heard, mut journal) = bench();
        journal.send(&record()).unwrap();
        let mut octets = [0; 4096];
        let length = heard.recv(&mut octets).unwrap();
        let fields = fields(&octets[..length]);
        let fields: Vec<_> = fields
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            fields,
            [
                ("EXORELAY_EVENT", "deferred"),
                ("EXORELAY_QUEUE_ID", "01K9Z3X4T5ABCDEF"),
                ("EXORELAY_REPLY", "451 busy\nPRIORITY=0\n\x1b[2J"),
                ("EXORELAY_RETRY_IN_S", "30"),
                ("EXORELAY_TARGET", "exorelay"),
                (
                    "MESSAGE",
                    "deferred queue_id=01K9Z3X4T5ABCDEF retry_in_s=30 \
                     reply=\"451 busy\\nPRIORITY=0\\n\\u{1b}[2J\""
                ),
                ("PRIORITY", "4"),
                ("SYSLOG_FACILITY", "2"),
                ("SYSLOG_IDENTIFIER", "exorelay"),
            ]
        );
    }

    #[test]
    fn a_journal_that_starts_anew_is_found_again() {
        let (folder, heard, mut journal) = bench();
        journal.send(&record()).unwrap();
        drop(heard);
        let path = folder.path().join("socket");
        std::fs::remove_file(&path).unwrap();
        let error = journal.send(&record()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let heard = UnixDatagram::bind(&path).unwrap();
        journal.send(&record()).unwrap();
        assert!(heard.recv(&mut [0; 4096]).unwrap() > 0);
    }

    #[test]
    fn a_long_entry_comes_as_a_sealed_file() {
        let (_folder, heard, mut journal) = bench();
        let mut long = record();
        long.message = "x".repeat(16 * 1024 * 1024);
        journal.send(&long).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut octets = [0; 8];
        let mut slices = [IoSliceMut::new(&mut octets)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&heard, &mut slices, &mut ancillary, flags).unwrap();
        assert_eq!(received.bytes, 0);
        let Some(RecvAncillaryMessage::ScmRights(mut descriptors)) = ancillary.drain().next()
        else {
            panic!("no descriptor came");
        };
        let mut file = File::from(descriptors.next().unwrap());
        let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
        assert!(seals.contains(SealFlags::WRITE | SealFlags::SEAL | SealFlags::SHRINK));
        let mut octets = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut octets).unwrap();
        let message = &fields(&octets)["MESSAGE"];
        assert!(message.starts_with(&long.message) && message.ends_with("[2J\""));
    }
}
