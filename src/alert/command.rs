//! A program of the operator's, run without a shell.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lane::Carrier;

/// It is killed after this long, with all that it has started.
const TIME_MAX: Duration = Duration::from_mins(1);

/// What it leaves running may hold its output open for ever.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Of what it says; the rest is read and forgotten.
const OUTPUT_MAX: usize = 1024;

/// All it gets of our environment. Any other variable may hold a secret, whatever it is called; those of
/// proxies are its only way out on many machines.
const VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// `alert.command`.
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
    time_max: Duration,
}

/// The program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("{program} cannot be run: {source}")]
    Start { program: String, source: io::Error },
    #[error("{program} ends with {status}: {output}")]
    Failed {
        program: String,
        status: ExitStatus,
        output: String,
    },
    #[error("{program} was killed after {}s", limit.as_secs())]
    TooLong { program: String, limit: Duration },
}

/// Arguments may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Command {
    /// None without a program.
    pub(super) fn new(command: Vec<String>) -> Option<Self> {
        let mut words = command.into_iter();
        Some(Self {
            program: words.next()?,
            arguments: words.collect(),
            time_max: TIME_MAX,
        })
    }

    fn start(&self) -> Result<Child, CommandError> {
        let variables = VARIABLES.into_iter();
        let variables = variables.filter_map(|name| Some((name, std::env::var_os(name)?)));
        tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Of its own, so that all of it can be killed, and a Ctrl-C for us does not reach it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| CommandError::Start {
                program: self.program.clone(),
                source,
            })
    }
}

impl Carrier for Command {
    type Error = CommandError;

    async fn carry(&self, notice: Vec<u8>) -> Result<(), CommandError> {
        let mut child = self.start()?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let exited = CancellationToken::new();
        let wait = async {
            let status = child.wait().await;
            // Its number may be another's from now on, and what it left running is meant to.
            group.0 = None;
            exited.cancel();
            status
        };
        let talk = async {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // It need not listen.
                    let _ = stdin.write_all(&notice).await;
                    let _ = stdin.write_all(b"\n").await;
                }
            };
            tokio::join!(feed, keep(stdout, &mut said), keep(stderr, &mut complained));
        };
        let talk = async {
            tokio::select! {
                () = talk => {}
                () = async { exited.cancelled().await; sleep(OUTPUT_GRACE).await } => {}
            }
        };
        let ended = timeout(self.time_max, async { tokio::join!(wait, talk).0 }).await;
        let program = self.program.clone();
        let status = match ended {
            Ok(Ok(status)) => status,
            Ok(Err(source)) => return Err(CommandError::Start { program, source }),
            Err(_) => {
                let limit = self.time_max;
                return Err(CommandError::TooLong { program, limit });
            }
        };
        let output = line(if complained.is_empty() {
            &said
        } else {
            &complained
        });
        if !status.success() {
            return Err(CommandError::Failed {
                program,
                status,
                output,
            });
        }
        tracing::debug!(program, output, "the alert command has run");
        Ok(())
    }
}

/// A program and what it has started; killed when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may just have gone.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads to the end, so that the program need not wait, and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut block = [0; 1024];
    while let Ok(read @ 1..) = from.read(&mut block).await {
        let room = OUTPUT_MAX - kept.len();
        kept.extend_from_slice(block.get(..read.min(room)).unwrap_or_default());
    }
}

/// For the log: one line without control characters.
fn line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(harmless).collect()
}

#[cfg(test)]
mod tests;
