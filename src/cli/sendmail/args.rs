//! The arguments of sendmail(8): options of one letter, clustered, values attached or not.
//!
//! What other sendmails know and has no meaning here is taken and ignored, since programs pass it without
//! asking. As with Postfix and `getopt` of glibc, options may stand behind recipients, up to `--`.

use std::collections::VecDeque;
use std::ffi::OsString;

use crate::cli::error::{CliError, Exit};
use crate::mail::dsn::{EnvelopeId, Notify, Ret};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `-bm`, and nothing said: a message on standard input.
    Submit,
    /// `-bs`: SMTP on standard input and output.
    Dialogue,
    /// `-bv`: only tells whom a message would go to.
    Verify,
    /// `-bp`, `mailq`.
    List,
    /// `-q`.
    Flush,
    /// `-bi`, `-I`, `newaliases`: nothing has to be done.
    RebuildAliases,
    /// `--version`
    Version,
    /// `--help`
    Help,
}

/// What the arguments say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// `-f`, `-r`: the sender as it was given; empty and `<>` are the null path.
    pub(super) sender: Option<String>,
    /// `-F`
    pub(super) full_name: Option<String>,
    /// `-t`
    pub(super) reads_recipients: bool,
    /// Unless `-i` or `-oi` says otherwise.
    pub(super) dot_ends: bool,
    /// `-v`
    pub(super) is_verbose: bool,
    /// `-N`
    pub(super) notify: Option<Notify>,
    /// `-R`
    pub(super) ret: Option<Ret>,
    /// `-V`
    pub(super) envelope_id: Option<EnvelopeId>,
    pub(super) recipients: Vec<String>,
}

/// Of an option, what follows its letter.
enum Value {
    None,
    /// Attached, or the next argument.
    Required,
    /// Attached, or not there.
    Attached,
}

impl Options {
    /// `arguments` without the program's name.
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, CliError> {
        let mut options = Self {
            mode: Mode::Submit,
            sender: None,
            full_name: None,
            reads_recipients: false,
            dot_ends: true,
            is_verbose: false,
            notify: None,
            ret: None,
            envelope_id: None,
            recipients: Vec::new(),
        };
        let arguments = arguments.into_iter();
        let text = |argument: OsString| {
            let lossy = |raw: OsString| format!("{} is not UTF-8", raw.display());
            argument.into_string().map_err(|raw| usage(lossy(raw)))
        };
        let mut arguments: VecDeque<String> = arguments.map(text).collect::<Result<_, _>>()?;
        while let Some(argument) = arguments.pop_front() {
            match argument.as_str() {
                "--" => options.recipients.extend(arguments.drain(..)),
                "--version" => options.mode = Mode::Version,
                "--help" => options.mode = Mode::Help,
                other => match other.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                    Some(cluster) => options.cluster(cluster, &mut arguments)?,
                    None => options.recipients.push(argument),
                },
            }
        }
        Ok(options)
    }

    /// `ti` is `-t -i`; the first that takes a value takes the rest.
    fn cluster(&mut self, cluster: &str, arguments: &mut VecDeque<String>) -> Result<(), CliError> {
        let mut letters = cluster.chars();
        while let Some(letter) = letters.next() {
            let Some(value) = value_of(letter) else {
                return Err(usage(format!("there is no option -{letter}")));
            };
            let value = match value {
                Value::None => {
                    self.flag(letter);
                    continue;
                }
                Value::Required if letters.as_str().is_empty() => arguments
                    .pop_front()
                    .ok_or_else(|| usage(format!("-{letter} needs a value")))?,
                Value::Required | Value::Attached => letters.as_str().to_owned(),
            };
            return self.option(letter, value);
        }
        Ok(())
    }

    fn flag(&mut self, letter: char) {
        match letter {
            't' => self.reads_recipients = true,
            'i' => self.dot_ends = false,
            'v' => self.is_verbose = true,
            'I' => self.mode = Mode::RebuildAliases,
            _ => {}
        }
    }

    fn option(&mut self, letter: char, value: String) -> Result<(), CliError> {
        let bad = |what: &str| usage(format!("-{letter} {value}: is not {what}"));
        match letter {
            'f' | 'r' => self.sender = Some(value),
            'F' => self.full_name = Some(value),
            'b' => {
                self.mode = match value.as_str() {
                    "m" => Mode::Submit,
                    "s" => Mode::Dialogue,
                    "v" => Mode::Verify,
                    "p" => Mode::List,
                    "i" => Mode::RebuildAliases,
                    "d" | "D" | "l" => {
                        return Err(usage("the daemon is started with exorelay run"));
                    }
                    _ => return Err(bad("a mode; known are -bm, -bs, -bv, -bp and -bi")),
                }
            }
            // In a sendmail of old, `-oi`, `-ot` and `-ov` are the same options by another name.
            'o' => match value.as_str() {
                "i" => self.dot_ends = false,
                "t" => self.reads_recipients = true,
                "v" => self.is_verbose = true,
                _ => {}
            },
            'O' => {
                // The long names of the same.
                let is = |name: &str| value.eq_ignore_ascii_case(name);
                if is("IgnoreDots") || is("IgnoreDots=true") {
                    self.dot_ends = false;
                }
            }
            'q' => self.mode = Mode::Flush,
            'N' => {
                let notify = Notify::parse(&value);
                let what = "never, or some of success,failure,delay";
                self.notify = Some(notify.ok_or_else(|| bad(what))?);
            }
            'R' => {
                let ret = match value.to_ascii_lowercase().as_str() {
                    "hdrs" | "headers" => Some(Ret::Headers),
                    "full" => Some(Ret::Full),
                    _ => None,
                };
                self.ret = Some(ret.ok_or_else(|| bad("full or hdrs"))?);
            }
            'V' => {
                let id = EnvelopeId::parse(&value);
                self.envelope_id = Some(id.ok_or_else(|| bad("an envelope id (RFC 3461)"))?);
            }
            // Ignored: -A files, -B body type, which is found out, -C, -D, -d, -e and -h, since errors are
            // told to the caller and hops counted by the relay, -L, -p, -X.
            _ => {}
        }
        Ok(())
    }
}

/// `None`: no such option.
fn value_of(letter: char) -> Option<Value> {
    match letter {
        'G' | 'I' | 'U' | 'c' | 'i' | 'm' | 'n' | 's' | 't' | 'v' | 'w' | 'x' => Some(Value::None),
        'A' | 'B' | 'C' | 'D' | 'F' | 'L' | 'N' | 'O' | 'R' | 'V' | 'X' | 'b' | 'e' | 'f' | 'h'
        | 'o' | 'p' | 'r' => Some(Value::Required),
        'd' | 'q' => Some(Value::Attached),
        _ => None,
    }
}

fn usage(line: impl std::fmt::Display) -> CliError {
    CliError::new(
        Exit::MailUsage,
        format!("{line}; see exorelay sendmail --help"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, CliError> {
        Options::parse(line.iter().map(OsString::from))
    }

    fn options(line: &[&str]) -> Options {
        parse(line).unwrap()
    }

    #[test]
    fn what_programs_pass_is_understood() {
        // PHP, the same with a sender, cron, mail(1) for smartd, unattended-upgrades, git send-email.
        for (line, reads, sender, name, recipients) in [
            (&["-t", "-i"][..], true, None, None, &[][..]),
            (&["-ti", "-fphp@x"], true, Some("php@x"), None, &[]),
            (
                &[
                    "-FCronDaemon",
                    "-i",
                    "-odi",
                    "-oem",
                    "-oi",
                    "-t",
                    "-f<root>",
                ],
                true,
                Some("<root>"),
                Some("CronDaemon"),
                &[],
            ),
            (
                &["-i", "-B8BITMIME", "-oem", "root"],
                false,
                None,
                None,
                &["root"],
            ),
            (&["-i", "--", "root"], false, None, None, &["root"]),
            (&["-oi", "-t"], true, None, None, &[]),
            (
                &["-f", "a@b", "-i", "c@d", "e@f"],
                false,
                Some("a@b"),
                None,
                &["c@d", "e@f"],
            ),
        ] {
            let options = options(line);
            assert_eq!(options.mode, Mode::Submit);
            assert!(!options.dot_ends, "{line:?}");
            assert_eq!(options.reads_recipients, reads, "{line:?}");
            assert_eq!(options.sender.as_deref(), sender, "{line:?}");
            assert_eq!(options.full_name.as_deref(), name, "{line:?}");
            assert_eq!(options.recipients, recipients, "{line:?}");
        }
    }

    #[test]
    fn values_are_attached_or_follow_and_options_may_come_late() {
        let found = options(&["c@d", "-F", "A B", "-r", "", "-v", "--", "-odd@x"]);
        assert_eq!(found.full_name.as_deref(), Some("A B"));
        assert_eq!(found.sender.as_deref(), Some(""));
        assert!(found.is_verbose && found.dot_ends);
        assert_eq!(found.recipients, ["c@d", "-odd@x"]);
        let found = options(&["-Nsuccess,delay", "-R", "hdrs", "-V", "a+2Bb", "x@y"]);
        let notify = Notify::parse("SUCCESS,DELAY");
        assert_eq!((found.notify, found.ret), (notify, Some(Ret::Headers)));
        assert_eq!(found.envelope_id.unwrap().as_str(), "a+b");
    }

    #[test]
    fn modes_are_known_and_what_has_no_meaning_is_ignored() {
        for (line, mode) in [
            (&["-bm"][..], Mode::Submit),
            (&["-b", "s"], Mode::Dialogue),
            (&["-bv", "root"], Mode::Verify),
            (&["-bp", "-v"], Mode::List),
            (&["-q"], Mode::Flush),
            (&["-q30m"], Mode::Flush),
            (&["-bi"], Mode::RebuildAliases),
            (&["-I"], Mode::RebuildAliases),
            (&["--help"], Mode::Help),
            (
                &[
                    "-oQ/var/spool",
                    "-o7",
                    "-oee",
                    "-odb",
                    "-OTimeout.queuereturn=1d",
                    "-h",
                    "5",
                    "-L",
                    "tag",
                    "-X",
                    "/dev/null",
                    "-Ac",
                    "-d0.1",
                    "-em",
                    "-G",
                    "-U",
                    "-n",
                    "-p",
                    "ESMTP:host",
                    "-C/x",
                ],
                Mode::Submit,
            ),
        ] {
            assert_eq!(options(line).mode, mode, "{line:?}");
        }
        assert!(!options(&["-OIgnoreDots"]).dot_ends);
    }

    #[test]
    fn mistakes_are_told() {
        for (line, word) in [
            (&["-Z"][..], "-Z"),
            (&["-tZ"], "-Z"),
            (&["-f"], "-f needs a value"),
            (&["-bd"], "exorelay run"),
            (&["-bt"], "-bm"),
            (&["-Nalways"], "never"),
            (&["-R", "some"], "hdrs"),
            (&["-V", "ü"], "envelope id"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit(), Exit::MailUsage);
            let told: Vec<_> = error.lines().collect();
            assert!(told[0].contains(word), "{told:?}");
        }
    }
}
