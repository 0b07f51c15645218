//! How much a client may talk without a message being accepted.

/// Commands that lead nowhere by themselves. Connection pools send a NOOP or RSET each time they look after an
/// idle connection; a thousand of them are no pool any more.
const IDLE_COMMANDS_MAX: u32 = 1000;

/// What has been borne so far.
#[derive(Debug, Default)]
pub(super) struct Patience {
    errors: u32,
    idle_commands: u32,
}

impl Patience {
    /// Whether one error more, of `max`, is borne.
    pub(super) fn bears_error(&mut self, max: u32) -> bool {
        self.errors = self.errors.saturating_add(1);
        self.errors <= max
    }

    /// Whether one more command that leads nowhere is borne.
    pub(super) fn bears_idle_command(&mut self) -> bool {
        self.idle_commands = self.idle_commands.saturating_add(1);
        self.idle_commands <= IDLE_COMMANDS_MAX
    }

    /// A message was accepted: the client means well.
    pub(super) fn renew(&mut self) {
        *self = Self::default();
    }
}
