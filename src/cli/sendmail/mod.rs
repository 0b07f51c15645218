//! `exorelay sendmail`: a drop-in for sendmail(8), also under the names `sendmail`, `mailq` and
//! `newaliases`.
//!
//! ```text
//! args -> message (standard input, to its end) -> recipients -> submit (the daemon's listener)
//!                                                            -> spool  (the queue, when no daemon runs)
//! ```
//!
//! Programs know nothing of it but its arguments and the codes of sysexits.h. Any user may call it, so it
//! gets by without the settings; see [`crate::relay::LocalMail`].

mod args;
mod dialogue;
mod header;
mod message;
mod recipients;
mod server;
mod spool;
mod submit;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;

use super::Cli;
use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use super::output::say;
use crate::admin::login_name;
use crate::mail::{
    Envelope, EnvelopeError, ListedAddress, Recipient, ReversePath, listed_addresses,
};
use args::{Mode, Options};
use message::Message;
use recipients::Directory;
use server::Surroundings;

/// Hand in a message as with sendmail(8)
///
/// Reads a message from standard input and queues it for the recipients named, or with -t for those in its
/// header. Also works under the names sendmail, mailq and newaliases; see docs/sendmail.md.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Args {
    /// As sendmail(8) takes them
    #[arg(
        value_name = "OPTION|RECIPIENT",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

const HELP: &str = "\
Usage: exorelay sendmail [OPTIONS] [RECIPIENT]...

Reads a message from standard input and queues it.

  -t            Recipients are also those in To, Cc and Bcc; Bcc is removed
  -i, -oi       A line with a dot alone does not end the message
  -f, -r ADDR   The sender; <> for none [default: the user at the local domain]
  -F NAME       The name of the sender, for a message without From
  -N WHEN       When to send notices: never, or some of success,failure,delay
  -R full|hdrs  How much of the message a notice returns
  -V ID         The envelope id (RFC 3461)
  -v            Show what is said to the relay
  -bs           SMTP on standard input and output
  -bv           Only show whom a message would go to
  -bp           List the queue (mailq)
  -q            Try everything that is deferred now
  -bi, -I       Nothing: aliases need not be rebuilt (newaliases)

Other options of sendmail(8) are ignored.

Exit codes: 0 queued, 64 wrong usage, 65 malformed address or message, 67 no such user, 69 refused, 73 and 74 \
files, 75 try again, 77 not permitted, 78 bad configuration.
";

/// The options of its help and what they do, for the manual page.
pub(super) fn options() -> impl Iterator<Item = (&'static str, &'static str)> {
    let options = HELP.lines().filter_map(|line| line.strip_prefix("  "));
    options
        .filter_map(|line| line.split_once("  "))
        .map(|(option, text)| (option, text.trim()))
}

/// How long somebody else may have the queue, before its turn or a new daemon comes.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        run(self.arguments, context).map_err(|error| error.at("sendmail"))
    }
}

/// When the program is called by one of sendmail's names: what it does under that name.
pub(super) fn by_name(arguments: &[OsString]) -> Option<Result<(), CliError>> {
    let (program, rest) = arguments.split_first()?;
    let name = Path::new(program).file_name()?;
    let mode: &[&str] = match name.to_str()? {
        "sendmail" => &[],
        "mailq" => &["-bp"],
        "newaliases" => &["-bi"],
        _ => return None,
    };
    let config = std::env::var_os("EXORELAY_CONFIG").filter(|file| !file.is_empty());
    let context = Context::new(config.map(Into::into));
    // Behind the others, as the name counts for more.
    let arguments = rest.iter().map(OsString::as_os_str);
    let own = mode.iter().map(OsStr::new);
    let arguments = own.chain(arguments).map(OsStr::to_owned);
    let done = run(arguments.collect(), &context);
    Some(done.map_err(|error| error.at(name.display())))
}

/// `exorelay sendmail -- -x@contoso.com` as it was meant: clap takes a `--` in that place for itself, and an
/// address that a stranger chose would become an option.
pub(super) fn with_dashes(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let command = arguments.iter().position(|word| word == "sendmail");
    if let Some(next) = command.map(|at| at + 1)
        && arguments.get(next).is_some_and(|word| word == "--")
    {
        arguments.insert(next, "--".into());
    }
    arguments
}

fn run(arguments: Vec<OsString>, context: &Context) -> Result<(), CliError> {
    let options = Options::parse(arguments)?;
    match options.mode {
        Mode::Help => say(HELP),
        Mode::Version => say(concat!("exorelay ", env!("CARGO_PKG_VERSION"), "\n")),
        Mode::RebuildAliases => Ok(()),
        Mode::List => command(&["queue", "list"], context),
        Mode::Flush => command(&["queue", "flush"], context),
        Mode::Dialogue => dialogue::run(&Surroundings::find(context)),
        Mode::Verify => verify(&options, &Surroundings::find(context)),
        Mode::Submit => submit(&options, context),
    }
}

/// What another command does.
fn command(words: &[&str], context: &Context) -> Result<(), CliError> {
    let words = std::iter::once(&"exorelay").chain(words);
    Cli::try_parse_from(words)?.command.run(context)
}

fn verify(options: &Options, surroundings: &Surroundings) -> Result<(), CliError> {
    let machine = machine_name();
    let directory = Directory::new(&surroundings.local, &machine);
    if options.recipients.is_empty() {
        return Err(nobody());
    }
    for given in &options.recipients {
        for mailbox in directory.recipients(listed_addresses(given.as_bytes()))? {
            say(&format!("{given}: goes to {mailbox}\n"))?;
        }
    }
    Ok(())
}

fn submit(options: &Options, context: &Context) -> Result<(), CliError> {
    if options.recipients.is_empty() && !options.reads_recipients {
        return Err(nobody());
    }
    let surroundings = Surroundings::find(context);
    let machine = machine_name();
    let directory = Directory::new(&surroundings.local, &machine);
    let sender = directory.sender(options.sender.as_deref(), &user_name())?;
    let message = Message::read(io::stdin().lock(), options.dot_ends)?;
    let recipients = directory.recipients(listed(options, &message))?;
    if recipients.is_empty() {
        return Err(nobody());
    }
    let recipients: Vec<Recipient> = recipients
        .into_iter()
        .map(|mailbox| Recipient {
            notify: options.notify,
            ..Recipient::from(mailbox)
        })
        .collect();
    let message = prepared(message, options, &directory, &sender);
    let body_type = message.body_type();
    let envelope = |recipients: Vec<Recipient>| -> Result<Envelope, EnvelopeError> {
        let envelope = Envelope::new(sender.clone(), recipients, body_type, false)?;
        Ok(envelope.with_dsn(options.ret, options.envelope_id.clone()))
    };
    // Several may want the queue at once, and a daemon may be starting: whoever has it answers in a moment.
    let mut waited = Duration::ZERO;
    loop {
        let unreachable = match surroundings.connect() {
            Ok(stream) => {
                let session = submit::Session::new(stream, &machine, options.is_verbose);
                return session.submit(recipients, envelope, &message)?.verdict();
            }
            Err(unreachable) => unreachable,
        };
        let settings = surroundings.settings.as_ref();
        let Some(settings) = settings.filter(|_| !surroundings.is_elsewhere) else {
            let hint = if surroundings.has_mistakes {
                "; its settings have mistakes, see exorelay config check"
            } else {
                ""
            };
            return Err(CliError::new(
                Exit::TryAgain,
                format!("{unreachable}{hint}"),
            ));
        };
        let whole = envelope(recipients.clone());
        let whole = whole.map_err(|error| CliError::new(Exit::Software, error))?;
        let requests = spool::requests(settings, &whole, &machine)?;
        match block_on(spool::spool(settings, requests, &message)) {
            Ok(()) => return Ok(()),
            Err(error) if error.exit() == Exit::TryAgain && waited < PATIENCE => {
                std::thread::sleep(PAUSE);
                waited += PAUSE;
            }
            // The program that calls keeps the message, or tells somebody.
            Err(error) => return Err(error.ending_with(Exit::TryAgain).at(unreachable)),
        }
    }
}

/// Those of the arguments, and with `-t` those of the header: both, as with Postfix.
fn listed(options: &Options, message: &Message) -> Vec<ListedAddress> {
    let arguments = options.recipients.iter();
    let mut listed: Vec<_> = arguments
        .flat_map(|argument| listed_addresses(argument.as_bytes()))
        .collect();
    if options.reads_recipients {
        listed.extend(header::recipients(message.header()));
    }
    listed
}

/// With the header that it leaves with.
fn prepared(
    message: Message,
    options: &Options,
    directory: &Directory<'_>,
    sender: &ReversePath,
) -> Message {
    let mut header = header::with_domains(message.header(), directory.domain());
    if options.reads_recipients {
        header = header::without_blind_recipients(&header);
    }
    if let Some(full_name) = &options.full_name {
        header = header::with_author(header, sender, full_name);
    }
    message.with_header(header)
}

fn nobody() -> CliError {
    let line = "nobody is named to send the message to: name recipients, or take them from its header with -t";
    CliError::new(Exit::MailUsage, line)
}

fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    login_name(uid).unwrap_or_else(|| format!("uid{uid}"))
}

/// As the system calls this machine.
fn machine_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let is_usual = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name: String = name.chars().filter(is_usual).collect();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}
