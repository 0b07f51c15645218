//! `exorelay man`: manual pages, made from the arguments, so that they cannot tell of others.

mod page;
mod prose;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Command;

use super::context::Context;
use super::error::{CliError, Exit, is_permission};
use super::output::say;
use super::text::count;

/// Print the manual page exorelay(1), or write all pages into a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write exorelay.1, a page for each command, and exorelay.toml.5 into this folder, which is made if it is not
    /// there
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The one page that is written by hand.
const SETTINGS: &str = include_str!("../../../packaging/man/exorelay.toml.5");

impl Args {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        let commands = super::arguments();
        let Some(directory) = self.directory else {
            return say(&page::page(&commands, &names_below(&commands)));
        };
        let mut pages = Vec::new();
        add_pages(&commands, &[], &mut pages);
        pages.push(("exorelay.toml.5".to_owned(), SETTINGS.to_owned()));
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&directory)
            .map_err(|error| cannot("make", &directory, &error))?;
        for (name, text) in &pages {
            let file = directory.join(name);
            std::fs::write(&file, text).map_err(|error| cannot("write", &file, &error))?;
        }
        say(&format!(
            "{} in {}\n",
            count(pages.len() as u64, "page"),
            directory.display()
        ))
    }
}

/// The pages of a command and of all below it, each with its file name. `above` is what its reader may want to
/// go on with: the commands above it, and those beside it where they have something in common.
fn add_pages(command: &Command, above: &[String], pages: &mut Vec<(String, String)>) {
    let own = [page::name(command).to_owned()];
    let below = names_below(command);
    let related = [above, &below].concat();
    pages.push((page::file_name(command), page::page(command, &related)));
    // Beside `queue list` there is the rest of `queue`; beside `queue`, every command there is.
    let above = if above.is_empty() {
        own.to_vec()
    } else {
        [above, &own, &below].concat()
    };
    for below in page::commands(command) {
        add_pages(below, &above, pages);
    }
}

fn names_below(command: &Command) -> Vec<String> {
    page::commands(command)
        .map(|below| page::name(below).to_owned())
        .collect()
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    let exit = if is_permission(error) {
        Exit::NotPermitted
    } else {
        Exit::Failed
    };
    CliError::new(exit, format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that stand in an example, such as the first of `exorelay man | man -l -`.
    fn commands_of(example: &str) -> impl Iterator<Item = Vec<String>> {
        example.split(['|', '>', '<', ';']).filter_map(|part| {
            let words = part
                .split_whitespace()
                .map(|word| word.trim_matches('\'').to_owned());
            let words: Vec<String> = words.collect();
            (words.first()? == "exorelay").then_some(words)
        })
    }

    #[test]
    fn examples_parse_and_have_a_page() {
        let commands = super::super::arguments();
        let mut pages = Vec::new();
        add_pages(&commands, &[], &mut pages);
        let mut seen = 0;
        for (file, text) in &pages {
            let page = file.trim_end_matches(".1");
            for (example, _) in prose::examples(page) {
                let own = page.replacen('-', " ", 1);
                assert!(example.contains("exorelay"), "{example}");
                for words in commands_of(example) {
                    let parsed = commands.clone().try_get_matches_from(&words);
                    assert!(parsed.is_ok(), "{own}: {example}: {parsed:?}");
                    seen += 1;
                }
            }
            assert_eq!(text.matches(".SH NAME").count(), 1, "{file}");
            assert_eq!(text.matches(".TH ").count(), 1, "{file}");
            assert!(text.contains(".SH \"EXIT STATUS\""), "{file}");
        }
        assert!(seen >= 20, "{seen} examples");
    }
}
