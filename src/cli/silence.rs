//! A terminal that does not show what is typed.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal at standard input behaves otherwise until this is dropped.
#[derive(Debug)]
pub(super) struct Silence {
    before: Termios,
    back: OptionalActions,
}

impl Silence {
    /// `change` says what is different, from `when` on; what was before comes back as `back` says.
    pub(super) fn begin(
        when: OptionalActions,
        back: OptionalActions,
        change: impl FnOnce(&mut Termios),
    ) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        change(&mut silent);
        tcsetattr(io::stdin(), when, &silent)?;
        Ok(Self { before, back })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), self.back, &self.before);
    }
}
