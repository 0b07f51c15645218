//! A terminal whose whole screen is drawn anew, and that is as it was afterwards.

use std::io::{self, IsTerminal, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetwinsize};

use super::error::CliError;
use super::silence::Silence;
use super::text::{cut, harmless};

/// The alternate screen, without cursor and without the end of a long line on the next one.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Of terminals that do not know theirs.
const SIZE: (usize, usize) = (80, 24);

/// Ours until it is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    /// What is typed is not shown, and not left for the shell.
    _silence: Option<Silence>,
}

impl Screen {
    /// Whether there is one to be had.
    pub(super) fn is_there() -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        io::stdout().is_terminal() && !is_dumb
    }

    pub(super) fn enter() -> Result<Self, CliError> {
        let hide = |modes: &mut rustix::termios::Termios| modes.local_modes -= LocalModes::ECHO;
        let silence = if io::stdin().is_terminal() {
            let begun = Silence::begin(OptionalActions::Now, OptionalActions::Flush, hide);
            Some(begun.map_err(|error| CliError::output(&error))?)
        } else {
            None
        };
        let screen = Self { _silence: silence };
        write(ENTER).map_err(|error| CliError::output(&error))?;
        Ok(screen)
    }

    /// As much of `lines` as there is room for. Whatever they hold, it does not steer the terminal.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<(), CliError> {
        let size = tcgetwinsize(io::stdout()).ok();
        let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let size = size.filter(|(columns, rows)| *columns > 0 && *rows > 0);
        let frame = frame(lines, size.unwrap_or(SIZE));
        write(&frame).map_err(|error| CliError::output(&error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = write(LEAVE);
    }
}

/// At once, so that nothing flickers.
fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Each line in its row, in place of the one that was there; nothing is left of what was below.
fn frame(lines: &[String], (columns, rows): (usize, usize)) -> String {
    let is_whole = lines.len() <= rows;
    let room = if is_whole { rows } else { rows - 1 };
    let more = (!is_whole).then(|| format!("… and {} lines more", lines.len() - room));
    let shown = lines.iter().take(room).chain(more.as_ref());
    let mut frame = String::new();
    // By numbers, as it depends on the terminal's modes what a line end does.
    for (row, line) in (1..).zip(shown) {
        let text = cut(&harmless(line), columns);
        frame.push_str(&format!("\x1b[{row};1H\x1b[2K{text}"));
    }
    if lines.len() < rows {
        frame.push_str(&format!("\x1b[{};1H\x1b[J", lines.len() + 1));
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_was_below_is_gone() {
        assert_eq!(
            frame(&lines(&["one", "two"]), (80, 24)),
            "\x1b[1;1H\x1b[2Kone\x1b[2;1H\x1b[2Ktwo\x1b[3;1H\x1b[J"
        );
        assert_eq!(frame(&[], (80, 24)), "\x1b[1;1H\x1b[J");
    }

    #[test]
    fn what_has_no_room_is_clipped() {
        assert_eq!(
            frame(&lines(&["größer", "two"]), (4, 2)),
            "\x1b[1;1H\x1b[2Kgrö…\x1b[2;1H\x1b[2Ktwo"
        );
        assert_eq!(
            frame(&lines(&["one", "two", "three"]), (20, 2)),
            "\x1b[1;1H\x1b[2Kone\x1b[2;1H\x1b[2K… and 2 lines more"
        );
        assert_eq!(
            frame(&lines(&["one", "two"]), (20, 1)),
            "\x1b[1;1H\x1b[2K… and 2 lines more"
        );
    }

    #[test]
    fn foreign_text_draws_nothing() {
        let evil = lines(&["550 \x1b[2J\x1b]0;x\x07\u{9b}31m\r\nevil"]);
        assert_eq!(
            frame(&evil, (80, 1)),
            "\x1b[1;1H\x1b[2K550 \u{fffd}[2J\u{fffd}]0;x\u{fffd}\u{fffd}31m evil"
        );
    }
}
