//! What operators read in the log about tokens.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::aadsts::{self, Entry};
use super::error::TokenError;
use super::token::AccessToken;
use crate::telemetry::counters;

/// Says everything once; the same failure again only every ten minutes.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Under whose name requests are counted; none: they are not.
    account: Option<Arc<str>>,
    last: Option<Said>,
}

#[derive(Debug)]
struct Said {
    error: TokenError,
    at: Instant,
    /// How often it has happened since, unsaid.
    repeated: u32,
}

impl Journal {
    pub(super) fn of(account: Option<Arc<str>>) -> Self {
        Self {
            account,
            last: None,
        }
    }

    pub(super) fn obtained(&mut self, token: &AccessToken, now: Instant) {
        self.count("ok");
        self.last = None;
        info!(
            expires_in_s = token.expires_at().duration_since(now).as_secs(),
            elapsed_ms = now.duration_since(token.obtained_at()).as_millis() as u64,
            "access token obtained"
        );
    }

    pub(super) fn failed(&mut self, error: &TokenError, now: Instant, wait: Duration) {
        self.count(match error {
            TokenError::Retry(_) => "retry",
            TokenError::Operator(_) => "operator",
            TokenError::Fault(_) => "fault",
        });
        let retry_in_s = wait.as_secs();
        let mut repeated = 0;
        if let Some(last) = &mut self.last
            && last.error.is_like(error)
        {
            if now < last.at + SILENCE {
                last.repeated = last.repeated.saturating_add(1);
                debug!(
                    error = error.words(),
                    retry_in_s, "access token still not obtained"
                );
                return;
            }
            repeated = last.repeated;
        }
        self.last = Some(Said {
            error: error.clone(),
            at: now,
            repeated: 0,
        });
        let cause = error.words();
        let known = error.known();
        let why = known.map(|known| known.meaning);
        let remedy = error.remedy();
        let link = known.and_then(Entry::number).map(aadsts::link);
        match error {
            TokenError::Retry(_) => {
                warn!(
                    error = cause,
                    retry_in_s, repeated, why, remedy, link, "access token not obtained"
                );
            }
            TokenError::Operator(_) | TokenError::Fault(_) => {
                error!(
                    error = cause,
                    retry_in_s, repeated, why, remedy, link, "access token not obtained"
                );
            }
        }
    }

    fn count(&self, result: &str) {
        if let Some(account) = &self.account {
            counters().token_refreshes.add([account, result]);
        }
    }
}

const SILENCE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::super::error::RetryError;
    use super::*;
    use crate::secret::Secret;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// The lines since the last call.
        fn lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    fn answers(status: u16) -> TokenError {
        TokenError::Retry(RetryError::Busy {
            host: "login.example".into(),
            status,
            retry_after: None,
            response: None,
        })
    }

    #[test]
    fn same_failure_is_said_again_only_after_ten_minutes() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);

        let mut journal = Journal::default();
        let start = Instant::now();
        let wait = Duration::from_secs(2);
        let mut failed = |status, after_s| {
            journal.failed(&answers(status), start + Duration::from_secs(after_s), wait);
            log.lines().len()
        };
        assert_eq!(failed(500, 0), 1);
        assert_eq!(failed(500, 2), 0);
        assert_eq!(failed(500, 599), 0);
        assert_eq!(failed(429, 599), 1);
        assert_eq!(failed(500, 600), 1);
        assert_eq!(failed(500, 700), 0);
        assert_eq!(failed(500, 1_200), 1);

        journal.failed(&answers(500), start + Duration::from_mins(30), wait);
        let line = log.lines().pop().unwrap();
        assert!(line.contains("WARN") && line.contains("login.example answers 500"));
        assert!(line.contains("retry_in_s=2 repeated=0"), "{line}");

        // After a success everything is news again.
        let token = AccessToken::new(Secret::new("t"), start, Duration::from_hours(1));
        journal.obtained(&token, start);
        journal.failed(&answers(500), start, wait);
        let lines = log.lines();
        assert!(lines[0].contains("INFO") && lines[0].contains("expires_in_s=3600"));
        assert_eq!(lines.len(), 2);
    }
}
