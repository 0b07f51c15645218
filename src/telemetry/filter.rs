//! What of all that could be logged is.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// What is logged.
#[derive(Clone, Debug)]
pub struct Filter(pub(super) Targets);

impl Filter {
    /// `LEVEL`, or `LEVEL,PART=LEVEL` for more, or less, of some parts. What is neither is left out: the
    /// settings have been checked.
    pub fn parse(text: &str) -> Self {
        let (mut own, mut parts) = (LevelFilter::INFO, Vec::new());
        for directive in text.split(',') {
            match directive.split_once('=') {
                Some((part, level)) => {
                    let level = level.trim().parse::<LevelFilter>();
                    parts.extend(level.map(|level| (part.trim().to_owned(), level)));
                }
                None => own = directive.trim().parse().unwrap_or(own),
            }
        }
        // Chatter of the libraries is of use only to those who ask for it.
        let others = if own >= LevelFilter::DEBUG {
            own
        } else {
            own.min(LevelFilter::WARN)
        };
        let targets = Targets::new()
            .with_default(others)
            .with_target("exorelay", own);
        Self(targets.with_targets(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn one_part_is_shown_more_closely_and_another_less() {
        let Filter(targets) = Filter::parse("info, exorelay::smtp=debug,exorelay::queue=off");
        for (target, level, enabled) in [
            ("exorelay::relay", Level::INFO, true),
            ("exorelay::relay", Level::DEBUG, false),
            ("exorelay::smtp::server", Level::DEBUG, true),
            ("exorelay::queue", Level::ERROR, false),
            ("rustls", Level::WARN, true),
            ("rustls", Level::INFO, false),
        ] {
            assert_eq!(targets.would_enable(target, &level), enabled, "{target}");
        }
        let Filter(silent) = Filter::parse("off");
        assert!(!silent.would_enable("exorelay", &Level::ERROR));
        assert!(!silent.would_enable("rustls", &Level::ERROR));
    }
}
