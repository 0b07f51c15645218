//! One command as a page of section 1: what its arguments say, and what [`prose`] adds.

use std::io::Write;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::prose::{self, Entry};
use crate::cli::sendmail;

/// Such as `exorelay-queue-list`.
pub(super) fn name(command: &Command) -> &str {
    let short = command.get_name();
    command.get_display_name().unwrap_or(short)
}

/// Such as `exorelay-queue-list.1`.
pub(super) fn file_name(command: &Command) -> String {
    format!("{}.1", name(command))
}

/// The commands below one that are for people.
pub(super) fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    let is_shown = |below: &&Command| !below.is_hide_set();
    command.get_subcommands().filter(is_shown)
}

/// The page as roff. `command` is built: it knows the options of those above it.
pub(super) fn page(command: &Command, related: &[String]) -> String {
    let own = name(command);
    let man = Man::new(for_pages(command))
        .title(own.to_uppercase())
        .date(prose::DATE)
        .source(concat!("exorelay ", env!("CARGO_PKG_VERSION")))
        .manual("exorelay manual");
    let (environment, files) = prose::surroundings(own);
    let mut page = Page::default();
    page.part(|out| man.render_title(out));
    page.part(|out| man.render_name_section(out));
    page.section("SYNOPSIS", |roff| synopsis(roff, command));
    page.section("DESCRIPTION", |roff| description(roff, command));
    if own == "exorelay-sendmail" {
        page.section("OPTIONS", |roff| entries(roff, sendmail::options()));
    } else {
        page.part(|out| man.render_options_section(out));
    }
    if commands(command).next().is_some() {
        page.part(|out| man.render_subcommands_section(out));
    }
    page.entries("ENVIRONMENT", environment);
    page.entries("FILES", files);
    page.entries("EXIT STATUS", prose::exits(own));
    page.entries("EXAMPLES", prose::examples(own));
    page.section("SEE ALSO", |roff| see_also(roff, own, related));
    filled(&page.text)
}

/// As the page shows it: what every command takes is last or not told again, possible values stand in a row.
fn for_pages(command: &Command) -> Command {
    let is_program = command.get_version().is_some();
    let command = command.clone().subcommand_help_heading("COMMANDS");
    command.mut_args(|arg| match arg.get_id().as_str() {
        "config" => arg.display_order(usize::MAX),
        "help" => arg.hide(!is_program),
        _ => with_values(arg),
    })
}

fn with_values(arg: Arg) -> Arg {
    let values = arg.get_possible_values();
    let help = arg.get_help().map(ToString::to_string);
    let (true, Some(help)) = (arg.get_action().takes_values() && !values.is_empty(), help) else {
        return arg;
    };
    let values: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
    let values = values.join(", ");
    arg.hide_possible_values(true)
        .help(format!("{help} ({values})"))
}

/// What is written so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Writing to memory does not fail.
    fn part(&mut self, render: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        let mut part = Vec::new();
        if render(&mut part).is_err() {
            return;
        }
        let part = String::from_utf8_lossy(&part);
        // Each part comes with the definitions that one page needs once.
        let preamble = Roff::new().render();
        let text = match part.strip_prefix(&preamble) {
            Some(rest) if !self.text.is_empty() => rest,
            _ => &part,
        };
        self.text.push_str(text);
    }

    fn section(&mut self, heading: &str, fill: impl FnOnce(&mut Roff)) {
        let mut roff = Roff::new();
        roff.control("SH", [heading]);
        fill(&mut roff);
        self.part(|out| roff.to_writer(out));
    }

    fn entries(&mut self, heading: &str, list: &[Entry]) {
        if !list.is_empty() {
            self.section(heading, |roff| entries(roff, list.iter().copied()));
        }
    }
}

/// All that may be given. An option and its value stay on one line.
fn synopsis(roff: &mut Roff, command: &Command) {
    let mut line = vec![bold(
        command.get_bin_name().unwrap_or_else(|| command.get_name()),
    )];
    let is_usual =
        |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let (options, values): (Vec<&Arg>, Vec<&Arg>) = command
        .get_arguments()
        .filter(is_usual)
        .partition(|arg| !arg.is_positional());
    for arg in options.into_iter().chain(values) {
        let (before, after) = if arg.is_required_set() {
            (" ", "")
        } else {
            (" [", "]")
        };
        line.push(roman(before));
        let takes_values = arg.get_num_args().is_some_and(|range| range.takes_values());
        match arg.get_long() {
            Some(long) if takes_values => {
                line.extend([
                    bold(format!("--{long}")),
                    roman(UNBREAKABLE),
                    italic(value(arg)),
                ]);
            }
            Some(long) => line.push(bold(format!("--{long}"))),
            None => line.push(italic(value(arg))),
        }
        if is_repeated(arg) {
            line.extend([roman(UNBREAKABLE), roman("...")]);
        }
        line.push(roman(after));
    }
    if commands(command).next().is_some() {
        line.extend([roman(" "), italic("command"), roman(" [...]")]);
    }
    roff.text(line);
}

fn value(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

fn is_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// The help that stands before and after the options.
fn description(roff: &mut Roff, command: &Command) {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string);
    let long = long.unwrap_or(about);
    let (first, rest) = long.split_once("\n\n").unwrap_or((&long, ""));
    paragraph(roff, &format!("{first}."));
    blocks(roff, rest);
    blocks(roff, prose::more(name(command)));
    let after = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    let after = after.map(ToString::to_string);
    // The exit codes have a section of their own.
    if let Some(after) = after.filter(|after| !after.starts_with("Exit codes")) {
        blocks(roff, &after);
    }
}

/// Paragraphs, and lines that are to stay as they are: those that begin with a space.
fn blocks(roff: &mut Roff, text: &str) {
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        roff.control("PP", []);
        if block.starts_with(' ') {
            roff.control("nf", []);
            for line in block.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        } else {
            paragraph(roff, block);
        }
    }
}

/// One paragraph; what stands between backticks is bold.
fn paragraph(roff: &mut Roff, text: &str) {
    for line in text.lines() {
        let inlines: Vec<Inline> = line
            .split('`')
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
            .map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) })
            .collect();
        roff.text(inlines);
    }
}

fn entries<'e>(roff: &mut Roff, entries: impl IntoIterator<Item = (&'e str, &'e str)>) {
    for (what, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(what)]);
        paragraph(roff, meaning);
    }
}

/// The related commands, and the settings.
fn see_also(roff: &mut Roff, own: &str, related: &[String]) {
    let mut line = Vec::new();
    for other in related.iter().filter(|other| *other != own) {
        line.extend([bold(other.as_str()), roman("(1), ")]);
    }
    line.extend([bold("exorelay.toml"), roman("(5)")]);
    roff.text(line);
}

/// A space that no line is broken at.
const UNBREAKABLE: &str = "\u{a0}";

/// What mandoc(1) wants of an input line.
const LINE_MAX_OCTETS: usize = 80;

/// The same in lines that are not too long. Those after `.TP` are tags, those after `.nf` stand as they are.
fn filled(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut is_tag = false;
    let mut is_filling = true;
    for line in page.lines() {
        let is_control = line.starts_with('.');
        match line {
            ".nf" => is_filling = false,
            ".fi" => is_filling = true,
            _ => {}
        }
        if is_control || is_tag || !is_filling {
            text.push_str(line);
        } else {
            fill(&mut text, line);
        }
        text.push('\n');
        is_tag = line == ".TP";
    }
    text.replace(UNBREAKABLE, "\\ ")
}

fn fill(text: &mut String, line: &str) {
    let mut column = 0;
    for word in line.split(' ') {
        let length = word.len();
        let is_request = word.starts_with(['.', '\'']);
        if column == 0 {
        } else if column + 1 + length > LINE_MAX_OCTETS && !is_request {
            text.push('\n');
            column = 0;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
}
