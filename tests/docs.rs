//! What the documentation shows is what the program takes and says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use exorelay::config::{self, ConfigError, Problem};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folder` that end with `.EXTENSION`.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn pages() -> Vec<(String, String)> {
    let mut found = vec![root().join("README.md")];
    files(&root().join("docs"), "md", &mut found);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(read).collect()
}

/// The fenced blocks of one language, without the indent of a list, each with its line.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut open: Option<(usize, usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match &mut open {
            None if line.trim() == fence => {
                open = Some((number, line.len() - line.trim_start().len(), String::new()));
            }
            None => {}
            Some(_) if line.trim() == "```" => {
                let (number, _, text) = open.take().unwrap();
                blocks.push((number, text));
            }
            Some((_, indent, text)) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block that does not end");
    blocks
}

#[test]
fn settings_shown_are_settings_taken() {
    let mut seen = 0;
    for (name, page) in pages() {
        for (line, text) in blocks(&page, "toml") {
            seen += 1;
            // An excerpt without an account is one of a whole.
            let excerpt = !text.contains("[account.");
            let whole = if excerpt {
                format!("{text}\n{ACCOUNTS}")
            } else {
                text.clone()
            };
            let loaded = config::load_text(Path::new("page"), &whole, std::iter::empty(), &[]);
            let problems = match loaded {
                Ok(_) => Vec::new(),
                Err(ConfigError::Invalid(problems)) => problems,
                Err(error) => panic!("{name}:{line}: {error}\n{text}"),
            };
            let wrong: Vec<&Problem> = problems
                .iter()
                .filter(|problem| !(excerpt && names_another(problem)))
                .collect();
            assert!(wrong.is_empty(), "{name}:{line}: {wrong:#?}\n{text}");
        }
    }
    assert!(seen >= 15, "{seen} blocks");
}

/// The accounts that excerpts speak of.
const ACCOUNTS: &str = "
[account.default]
mailbox = 'relay@contoso.com'
tenant_id = 'contoso.com'
client_id = 'bbbbbbbb-0000-4000-8000-000000000002'
client_secret = { env = 'SECRET' }
";

/// Accounts and listeners that stand elsewhere in the same file.
fn names_another(problem: &Problem) -> bool {
    problem.text.starts_with("there is no [")
}

#[test]
fn links_lead_somewhere() {
    for (name, page) in pages() {
        for (at, _) in page.match_indices("](") {
            let target = page[at + 2..].split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let here = root().join(&name);
            let there = match file {
                "" => here,
                _ => here.parent().unwrap().join(file),
            };
            assert!(there.exists(), "{name}: {target}");
            let heading = anchor.replace('-', " ");
            let text = std::fs::read_to_string(&there)
                .unwrap_or_default()
                .to_lowercase();
            assert!(
                anchor.is_empty() || text.contains(&format!("# {heading}\n")),
                "{name}: {target}"
            );
        }
    }
}

/// Commands of the program in blocks and between backticks are commands it knows, with options it knows.
#[test]
fn commands_shown_are_commands_taken() {
    let commands = exorelay::cli::arguments();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (name, page) in pages() {
        for shown in commands_of(&page) {
            seen += 1;
            if let Err(error) = parse(&commands, &shown) {
                wrong.push(format!("{name}: {shown}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 150, "{seen} commands");
}

/// Whole command lines stand in blocks, behind a prompt or not; between backticks there may be the command's name
/// alone.
fn commands_of(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut in_block = false;
    // What stands between backticks may go over a line's end, and never over that of a paragraph.
    let mut paragraph = String::new();
    for line in page.lines().chain([""]) {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        if is_fence || line.is_empty() {
            let quoted = paragraph.split('`').skip(1).step_by(2);
            commands.extend(quoted.map(str::to_owned));
            paragraph.clear();
            in_block ^= is_fence;
        } else if in_block {
            let line = line.trim_start_matches(['$', '#', ' ']);
            commands.push(line.strip_prefix("sudo ").unwrap_or(line).to_owned());
        } else {
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    commands.retain(|text| text.starts_with("exorelay "));
    commands
}

/// Without what the shell takes, with something in the place of what the page leaves out.
fn parse(commands: &clap::Command, shown: &str) -> Result<(), String> {
    let end = shown
        .find([';', '|', '>', '<', '&', '#'])
        .unwrap_or(shown.len());
    let words = shown[..end].split_whitespace();
    let words: Vec<String> = words
        .map(|word| word.trim_matches(['\'', '"', '[', ']', ',', '\\']))
        .filter(|word| !word.is_empty() && *word != "...")
        .map(|word| example(word).to_owned())
        .collect();
    // Prose may name a command or an option of it, without what it needs.
    let kinds = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    match commands.clone().try_get_matches_from(&words) {
        Err(error) if !kinds.contains(&error.kind()) && !lacks_a_value(&error) => {
            Err(error.to_string())
        }
        _ => Ok(()),
    }
}

/// As `history --id`, where a sentence is about the option.
fn lacks_a_value(error: &clap::Error) -> bool {
    let value = error.get(ContextKind::InvalidValue);
    matches!(value, Some(ContextValue::String(text)) if text.is_empty())
}

/// What a reader puts in the place of a word in capitals.
fn example(word: &str) -> &str {
    match word {
        "ID" => "1M7ZX1QTP0ASPMYT",
        "AGE" | "DURATION" => "2h",
        "ADDRESS" | "YOU" => "you@contoso.com",
        other => other,
    }
}

/// What stands in quotes under "exorelay says" stands so in the program.
#[test]
fn sentences_shown_are_sentences_said() {
    let said = program();
    let mut seen = 0;
    let mut unsaid = Vec::new();
    for (name, page) in pages() {
        let table = page.split("| exorelay says |\n").nth(1).unwrap_or_default();
        for row in table.lines().take_while(|line| line.starts_with('|')) {
            let sentences: Vec<&str> = row.split('"').skip(1).step_by(2).collect();
            seen += sentences.len();
            let others = sentences
                .into_iter()
                .filter(|sentence| !said.contains(sentence));
            unsaid.extend(others.map(|sentence| format!("{name}: {sentence}")));
        }
    }
    assert!(unsaid.is_empty(), "{unsaid:#?}");
    assert!(seen >= 60, "{seen} sentences");
}

/// Its text, with strings of several lines as they are printed.
fn program() -> String {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    let mut said = String::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.to_owned();
            while let Some(start) = line.strip_suffix('\\') {
                line = format!("{start}{}", lines.next().unwrap_or_default().trim_start());
            }
            said.push_str(&line.replace("\\\"", "\""));
            said.push('\n');
        }
    }
    said
}
