//! A grant that answers what it is told, and a source at work on it.

use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::super::super::grant::{Granted, ObtainFuture};
use super::*;
use crate::secret::Secret;

type Answer = Result<Duration, TokenError>;

/// Gives `token-1`, `token-2`, ... with the lives or errors it was told, then tokens of an hour.
pub(super) struct FakeGrant {
    answers: StdMutex<VecDeque<Answer>>,
    asked_at: StdMutex<Vec<Instant>>,
    gate: Semaphore,
}

impl Obtain for Arc<FakeGrant> {
    fn obtain(&self) -> ObtainFuture<'_> {
        let number = {
            let mut asked_at = self.asked_at.lock().unwrap();
            asked_at.push(Instant::now());
            asked_at.len()
        };
        Box::pin(async move {
            self.gate.acquire().await.unwrap().forget();
            let answer = self.answers.lock().unwrap().pop_front();
            answer
                .unwrap_or(Ok(Duration::from_hours(1)))
                .map(|lifetime| Granted {
                    token: Secret::new(format!("token-{number}")),
                    lifetime,
                })
        })
    }
}

impl FakeGrant {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            answers: StdMutex::default(),
            asked_at: StdMutex::default(),
            gate: Semaphore::new(0),
        })
    }

    pub(super) fn requests(&self) -> usize {
        self.asked_at.lock().unwrap().len()
    }

    pub(super) fn pauses(&self) -> Vec<Duration> {
        let asked_at = self.asked_at.lock().unwrap();
        asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    pub(super) fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(super) fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    pub(super) fn close(&self) {
        self.gate.forget_permits(usize::MAX);
    }
}

pub(super) struct Bench {
    pub(super) grant: Arc<FakeGrant>,
    pub(super) source: TokenSource,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

/// The gate is closed: the first request waits in flight.
pub(super) fn bench() -> Bench {
    bench_watching(Vec::new())
}

/// The same, for a grant that reads `files`.
pub(super) fn bench_watching(files: Vec<PathBuf>) -> Bench {
    let grant = FakeGrant::new();
    let source = TokenSource::watching(Box::new(Arc::clone(&grant)), files);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn({
        let (source, shutdown) = (source.clone(), shutdown.clone());
        async move { source.run(shutdown).await }
    });
    Bench {
        grant,
        source,
        shutdown,
        task,
    }
}

/// With the first token obtained.
pub(super) async fn bench_with_token(answers: impl IntoIterator<Item = Answer>) -> Bench {
    let bench = bench();
    bench.grant.will(answers);
    bench.grant.open();
    bench.source.token().await.unwrap();
    bench
}
