//! Whether the daemon lives: for a service manager that restarts it, and for whoever asks over HTTP.
//!
//! It does while the runtime's timers run, the relay's main loop turns, and the queue's writer answers or waits for
//! the disk. Everything else may be away or full: killing the daemon would mend none of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::queue::Queue;

/// What the main loop may take to turn.
const TURN_MAX: Duration = Duration::from_secs(5);

/// A start or a reload reads files, and gives up dispatchers that wait for the disk.
const CHANGE_MAX: Duration = Duration::from_mins(10);

/// A drain has its grace period; then the log of the queue is folded back.
const END_MAX: Duration = Duration::from_mins(5);

/// Asks a relay whether it lives; clones ask the same one.
#[derive(Clone, Debug)]
pub struct Pulse {
    loop_: mpsc::Sender<oneshot::Sender<()>>,
    phase: Arc<Mutex<Phase>>,
    queue: Queue,
}

/// What the main loop answers.
pub(super) type Asks = mpsc::Receiver<oneshot::Sender<()>>;

/// What the main loop does, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It goes over to other settings, or to the first.
    Changing(Instant),
    /// It turns.
    Serving,
    /// It drains and closes.
    Ending(Instant),
}

impl Pulse {
    pub(super) fn new(queue: Queue) -> (Self, Asks) {
        // Many may ask at once, and each gets its answer at the next turn.
        let (loop_, asks) = mpsc::channel(16);
        let pulse = Self {
            loop_,
            phase: Arc::new(Mutex::new(Phase::Changing(Instant::now()))),
            queue,
        };
        (pulse, asks)
    }

    /// Answers within seconds: what does not live, if something does not.
    pub async fn check(&self) -> Result<(), String> {
        // Where timers do not run this never ends, which is an answer too.
        sleep(Duration::from_millis(1)).await;
        match self.phase() {
            Phase::Serving => {
                self.turn().await?;
                self.queue.pulse().await
            }
            Phase::Changing(since) => {
                in_time(since, CHANGE_MAX, "going over to other settings")?;
                self.queue.pulse().await
            }
            // The queue is closed in its course.
            Phase::Ending(since) => in_time(since, END_MAX, "the end"),
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        !matches!(self.phase(), Phase::Ending(_))
    }

    async fn turn(&self) -> Result<(), String> {
        let turned = async {
            let (answer, answered) = oneshot::channel();
            self.loop_.send(answer).await.is_ok() && answered.await.is_ok()
        };
        if timeout(TURN_MAX, turned).await == Ok(true) || self.phase() != Phase::Serving {
            return Ok(());
        }
        Err("the relay's main loop does not turn".to_owned())
    }

    pub(super) fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_time(since: Instant, max: Duration, what: &str) -> Result<(), String> {
    let elapsed = since.elapsed();
    if elapsed < max {
        return Ok(());
    }
    Err(format!("{what} takes {}s already", elapsed.as_secs()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::queue::tests::settings;

    async fn close(queue: Queue) {
        let closed = tokio::task::spawn_blocking(move || queue.close()).await;
        closed.unwrap();
    }

    #[tokio::test]
    async fn a_loop_that_turns_is_alive_and_one_that_does_not_is_dead() {
        let folder = TempDir::new().unwrap();
        let queue = Queue::open(settings(folder.path())).unwrap();
        let (pulse, mut asks) = Pulse::new(queue.clone());
        pulse.enter(Phase::Serving);
        let answering = async {
            let answer = asks.recv().await.unwrap();
            answer.send(()).unwrap();
        };
        let (checked, ()) = tokio::join!(pulse.check(), answering);
        assert_eq!(checked, Ok(()));

        // Nobody answers; the clock runs ahead while everybody waits.
        tokio::time::pause();
        let dead = Err("the relay's main loop does not turn".to_owned());
        assert_eq!(pulse.check().await, dead);
        // As many as like may ask.
        let (one, other) = tokio::join!(pulse.check(), pulse.check());
        assert_eq!((one, other), (dead.clone(), dead.clone()));
        drop(asks);
        assert_eq!(pulse.check().await, dead, "it is gone");
        tokio::time::resume();
        close(queue).await;
    }

    #[tokio::test]
    async fn starts_reloads_and_ends_have_time_and_not_for_ever() {
        let folder = TempDir::new().unwrap();
        let queue = Queue::open(settings(folder.path())).unwrap();
        let (pulse, _asks) = Pulse::new(queue.clone());
        assert_eq!(pulse.check().await, Ok(()));
        let begun = Instant::now();
        tokio::time::pause();
        tokio::time::advance(CHANGE_MAX).await;
        pulse.enter(Phase::Changing(begun));
        assert_eq!(
            pulse.check().await,
            Err("going over to other settings takes 600s already".to_owned())
        );
        pulse.enter(Phase::Ending(Instant::now()));
        assert_eq!(pulse.check().await, Ok(()));
        tokio::time::resume();
        close(queue).await;
        assert_eq!(pulse.check().await, Ok(()), "it is closed in its course");
        pulse.enter(Phase::Ending(begun));
        tokio::time::pause();
        assert!(pulse.check().await.is_err());
        pulse.enter(Phase::Changing(Instant::now()));
        assert_eq!(
            pulse.check().await,
            Err("the queue's writer has ended".to_owned())
        );
    }
}
