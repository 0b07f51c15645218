//! `queue export`: messages as files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Source;
use super::selection::SelectionArgs;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit, complain, is_permission};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::count;
use crate::config::Settings;
use crate::queue::{Piece, QueueId, Selection, Sidecar};

/// Export messages: the content as ID.eml, what else is known as ID.json
///
/// Into a folder, or one message to standard output. The messages stay in the queue; exorelay queue
/// import is the inverse. Exits 1 when one of them could not be had.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Write files into this folder, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// To standard output: what else is known, instead of the content
    #[arg(long, conflicts_with = "directory")]
    json: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let selection = self.selection.selection()?;
        let is_one = matches!(&selection, Selection::Ids(ids) if ids.len() == 1);
        if self.directory.is_none() && !is_one {
            return Err(CliError::new(
                Exit::Usage,
                "only one message goes to standard output; name its ID, or a folder with --directory",
            ));
        }
        let settings = context.load()?.settings;
        match self.directory {
            Some(directory) => to_folder(&settings, &selection, &directory),
            None => to_output(&settings, &selection, !self.json),
        }
    }
}

/// Longer header sections are shown in part.
const HEADER_MAX_BYTES: usize = 16 * 1024;

/// Hands every piece of the selection to `each`, from the daemon or from its folder.
fn read(
    settings: &Settings,
    selection: &Selection,
    mut each: impl FnMut(Piece<'_>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut result = Ok(());
    let sink = |piece: Piece<'_>| {
        result = each(piece);
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    block_on(async {
        match Source::find(settings).await? {
            Source::Daemon(client) => client.export(selection, sink).await?,
            Source::Folder(reader) => reader.export(selection, sink)?,
        }
        Ok(())
    })?;
    result
}

/// One message, its content or its sidecar.
pub(super) fn to_output(
    settings: &Settings,
    selection: &Selection,
    content: bool,
) -> Result<(), CliError> {
    let mut output = Output::new();
    read(settings, selection, |piece| match piece {
        Piece::Message(sidecar) if !content => output.json_pretty(&sidecar),
        Piece::Octets(octets) if content => output.octets(octets),
        Piece::Skipped { id, why } => {
            let line = format!("{id} {why}; exorelay queue list shows what waits");
            Err(CliError::new(Exit::Failed, line))
        }
        Piece::Total(_) | Piece::Message(_) | Piece::Octets(_) | Piece::End => Ok(()),
    })?;
    output.finish()
}

/// The header section of one message, as far as it is to be had.
pub(super) fn header(settings: &Settings, id: QueueId) -> Vec<String> {
    let mut octets = Vec::new();
    let mut end = None;
    // Whatever goes wrong, the page that this belongs to is only a little shorter.
    let _ = read(settings, &Selection::Ids(vec![id]), |piece| {
        let Piece::Octets(part) = piece else {
            return Ok(());
        };
        octets.extend_from_slice(part);
        end = memchr::memmem::find(&octets, b"\r\n\r\n");
        if end.is_some() || octets.len() > HEADER_MAX_BYTES {
            return Err(CliError::quiet(Exit::Done));
        }
        Ok(())
    });
    octets.truncate(end.unwrap_or(HEADER_MAX_BYTES));
    let text = String::from_utf8_lossy(&octets);
    text.lines().map(str::to_owned).collect()
}

fn to_folder(settings: &Settings, selection: &Selection, directory: &Path) -> Result<(), CliError> {
    let mut folder = Folder::open(directory)?;
    let mut progress = Progress::new("exporting");
    let mut total = 0;
    read(settings, selection, |piece| {
        match piece {
            Piece::Total(messages) => total = messages,
            Piece::Message(sidecar) => folder.begin(sidecar)?,
            Piece::Octets(octets) => folder.write(octets)?,
            Piece::End => folder.end()?,
            Piece::Skipped { id, why } => {
                folder.skipped += 1;
                complain(format!("{id} {why}"));
            }
        }
        progress.show(folder.messages + folder.skipped, total);
        Ok(())
    })?;
    drop(progress);
    folder.sync()?;
    let mut output = Output::new();
    let messages = count(folder.messages, "message");
    output.line(format!("{messages} exported to {}", directory.display()))?;
    output.finish()?;
    if folder.skipped > 0 {
        return Err(CliError::quiet(Exit::Failed));
    }
    Ok(())
}

/// A file that has its name is whole; the sidecar comes last.
struct Folder {
    path: PathBuf,
    current: Option<Current>,
    messages: u64,
    skipped: u64,
}

struct Current {
    sidecar: Box<Sidecar>,
    file: BufWriter<File>,
    part: PathBuf,
}

impl Folder {
    fn open(path: &Path) -> Result<Self, CliError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            current: None,
            messages: 0,
            skipped: 0,
        })
    }

    fn begin(&mut self, sidecar: Box<Sidecar>) -> Result<(), CliError> {
        let (file, part) = self.create(&sidecar.message.message.id)?;
        self.current = Some(Current {
            sidecar,
            file,
            part,
        });
        Ok(())
    }

    /// Mail is nobody else's to read, and a name that is taken must not lead elsewhere.
    fn create(&self, id: &str) -> Result<(BufWriter<File>, PathBuf), CliError> {
        let part = self.path.join(format!(".{id}.part"));
        match std::fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&part, &error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&part);
        let file = opened.map_err(|error| failed(&part, &error))?;
        Ok((BufWriter::with_capacity(64 * 1024, file), part))
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), CliError> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let written = current.file.write_all(octets);
        written.map_err(|error| failed(&current.part, &error))
    }

    fn end(&mut self) -> Result<(), CliError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        let id = &current.sidecar.message.message.id;
        self.name(current.file, &current.part, &format!("{id}.eml"))?;
        let (mut file, part) = self.create(id)?;
        let written = serde_json::to_writer_pretty(&mut file, &current.sidecar);
        written.map_err(|error| failed(&part, &error.into()))?;
        self.name(file, &part, &format!("{id}.json"))?;
        self.messages += 1;
        Ok(())
    }

    fn name(&self, mut file: BufWriter<File>, part: &Path, name: &str) -> Result<(), CliError> {
        let path = self.path.join(name);
        file.flush().map_err(|error| failed(part, &error))?;
        std::fs::rename(part, &path).map_err(|error| failed(&path, &error))
    }

    /// Once for all: a queue that is moved elsewhere must not be lost with the next power cut.
    fn sync(&self) -> Result<(), CliError> {
        let folder = File::open(&self.path).map_err(|error| failed(&self.path, &error))?;
        rustix::fs::syncfs(&folder).map_err(|error| failed(&self.path, &error.into()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(current) = self.current.take() {
            let _ = std::fs::remove_file(&current.part);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    let exit = if is_permission(error) {
        Exit::NotPermitted
    } else {
        Exit::Failed
    };
    CliError::new(exit, format!("cannot write {}: {error}", path.display()))
}
