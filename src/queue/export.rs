//! Messages as others can read them: the content, and what else is known in a sidecar.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::queue::insert::{STORED_FILE, STORED_INLINE};
use crate::queue::query::{COLUMNS, attempts, events, recipients};
use crate::queue::{MessageDetail, QueueId, Reader, Selection, Skip, StorageError, content};

/// All that is known of a message but its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// As the history tells it.
    #[serde(flatten)]
    pub message: MessageDetail,
    /// Whether the content is `BODY=8BITMIME` (RFC 6152).
    pub eight_bit: bool,
    /// Whether the header section needs `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
}

/// An export comes in pieces, for a message may be larger than memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// First of all: how many messages are meant.
    Total(u64),
    /// A message begins; `size_bytes` octets follow, then [`Piece::End`].
    Message(Box<Sidecar>),
    /// Some of its content.
    Octets(&'a [u8]),
    /// The message is complete.
    End,
    /// A message that cannot be had.
    Skipped {
        /// Which.
        id: QueueId,
        /// Why.
        why: String,
    },
}

const BLOCK_BYTES: usize = 64 * 1024;

enum Found {
    Inline(Box<Sidecar>, Vec<u8>),
    File(Box<Sidecar>),
    Nothing(String),
}

impl Reader {
    /// Calls `each` with every message of the selection, oldest first, until it breaks. Ended messages
    /// have no content any more and are skipped.
    pub fn export(
        &self,
        selection: &Selection,
        mut each: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let selected = self.select(selection)?;
        let total = selected.messages.len() + selected.unknown.len();
        if each(Piece::Total(total as u64)).is_break() {
            return Ok(());
        }
        for id in selected.unknown {
            let why = Skip::Unknown.to_string();
            if each(Piece::Skipped { id, why }).is_break() {
                return Ok(());
            }
        }
        let connection = self.open()?;
        let mut block = vec![0; BLOCK_BYTES];
        for (seq, id) in selected.messages {
            let flow = match self.find(&connection, seq, id)? {
                Found::Nothing(why) => each(Piece::Skipped { id, why }),
                Found::Inline(sidecar, octets) => whole(sidecar, &octets, &mut each),
                Found::File(sidecar) => {
                    self.send_file(&connection, sidecar, seq, id, &mut block, &mut each)?
                }
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Row and inline content as of one moment.
    fn find(&self, connection: &Connection, seq: i64, id: QueueId) -> Result<Found, StorageError> {
        let transaction = connection.unchecked_transaction()?;
        let row = connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, stored, eight_bit, smtputf8 FROM message
                 WHERE seq = ?1 AND id = ?2"
            ))?
            .query_row(rusqlite::params![seq, id.as_str()], |row| {
                let sidecar = Sidecar {
                    message: self.detail(row)?,
                    eight_bit: row.get("eight_bit").unwrap_or(true),
                    smtputf8: row.get("smtputf8").unwrap_or(false),
                };
                Ok((sidecar, row.get("stored").unwrap_or(0_i64)))
            })
            .optional()?;
        let Some((mut sidecar, stored)) = row else {
            return Ok(Found::Nothing(Skip::Unknown.to_string()));
        };
        sidecar.message.message.recipients = recipients(connection, seq)?;
        sidecar.message.history = attempts(connection, seq)?;
        sidecar.message.events = events(connection, seq)?;
        let found = match stored {
            STORED_FILE => Found::File(Box::new(sidecar)),
            STORED_INLINE => {
                let octets: Option<Vec<u8>> = connection
                    .prepare_cached("SELECT data FROM content WHERE seq = ?1")?
                    .query_row([seq], |row| row.get(0))
                    .optional()?;
                match octets {
                    Some(octets) if octets.len() as u64 == sidecar.message.message.size_bytes => {
                        Found::Inline(Box::new(sidecar), octets)
                    }
                    Some(_) => Found::Nothing("is damaged: its content has another size".into()),
                    None => Found::Nothing("is damaged: its content is missing".into()),
                }
            }
            _ => Found::Nothing(format!(
                "is {}: its content is gone",
                sidecar.message.message.state.as_str()
            )),
        };
        drop(transaction);
        Ok(found)
    }

    fn send_file(
        &self,
        connection: &Connection,
        sidecar: Box<Sidecar>,
        seq: i64,
        id: QueueId,
        block: &mut [u8],
        each: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        let path = content::path_of(&self.directory, id);
        let size_bytes = sidecar.message.message.size_bytes;
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let mut file = match opened {
            Ok((length, file)) if length == size_bytes => file,
            Ok(_) => {
                let why = "is damaged: its content file has another size".into();
                return Ok(each(Piece::Skipped { id, why }));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(StorageError::content(path, error));
            }
            Err(error) => {
                // Perhaps it was delivered a moment ago.
                let why = match self.find(connection, seq, id)? {
                    Found::File(_) => format!("is damaged: its content file: {error}"),
                    Found::Nothing(why) => why,
                    Found::Inline(..) => "has changed meanwhile".into(),
                };
                return Ok(each(Piece::Skipped { id, why }));
            }
        };
        if each(Piece::Message(sidecar)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut left = size_bytes;
        while left > 0 {
            let wanted = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let part = block.get_mut(..wanted).unwrap_or_default();
            file.read_exact(part)
                .map_err(|error| StorageError::content(path.clone(), error))?;
            left -= wanted as u64;
            if each(Piece::Octets(part)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(each(Piece::End))
    }
}

fn whole(
    sidecar: Box<Sidecar>,
    octets: &[u8],
    each: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    each(Piece::Message(sidecar))?;
    if !octets.is_empty() {
        each(Piece::Octets(octets))?;
    }
    each(Piece::End)
}
