//! Settings files, with variables in their first lines as in `tests/config/bad`.

use std::path::Path;

use exorelay::config::{ConfigError, Loaded, load_text};
use exorelay::secret::SecretSource;

pub(super) fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let loaded = match load(text) {
        Ok(loaded) => loaded,
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty());
            // The one about a missing account shows the lines to add.
            for problem in error.problems().iter().filter(|p| p.key != "account") {
                let shown = problem.to_string();
                assert_eq!(shown.lines().count(), 1, "{shown:?}");
            }
            return;
        }
    };
    let shown = loaded.provenance.show();
    let debug = format!("{loaded:?}");
    for secret in secrets(&loaded).filter(|secret| secret.len() >= 8) {
        if text.matches(secret).count() != 1 {
            continue;
        }
        // A secret may read like a setting, which is shown whatever the secret is.
        let Ok(other) = load(&text.replace(secret, &"x".repeat(secret.len()))) else {
            continue;
        };
        for (shown, without) in [
            (&shown, other.provenance.show()),
            (&debug, format!("{other:?}")),
        ] {
            let times = shown.matches(secret).count();
            assert!(
                times <= without.matches(secret).count(),
                "a secret in\n{shown}"
            );
        }
    }
    // What is shown can be read again, and means the same.
    let again = load(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}"));
    let settings = |loaded: &Loaded| loaded.provenance.show_json()["settings"].clone();
    assert_eq!(settings(&again), settings(&loaded));
}

fn load(text: &str) -> Result<Loaded, ConfigError> {
    let lines = text.lines().map_while(|line| line.strip_prefix("# env: "));
    let variables = lines.filter_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    load_text(Path::new("exorelay.toml"), text, variables, &[])
}

fn secrets(loaded: &Loaded) -> impl Iterator<Item = &str> {
    let accounts = loaded.settings.accounts.values();
    let sources = accounts.flat_map(|account| &account.client_secrets);
    sources.filter_map(|source| match source {
        SecretSource::Literal(secret) => Some(secret.reveal()),
        _ => None,
    })
}
