//! A machine's clocks, turned by the test.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;
use crate::queue::clock::Time;

#[derive(Clone, Debug)]
pub(crate) struct TestTime(Arc<Mutex<(Instant, i64)>>);

impl Time for TestTime {
    fn instant(&self) -> Instant {
        self.0.lock().unwrap().0
    }

    fn wall_ms(&self) -> i64 {
        self.0.lock().unwrap().1
    }
}

impl TestTime {
    pub(crate) fn at(wall_ms: i64) -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), wall_ms))))
    }

    /// Time passes, as it should.
    pub(crate) fn pass(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
        self.step(time.as_millis() as i64);
    }

    /// Only the wall clock moves: it was set, or the machine was suspended, or no daemon ran.
    pub(super) fn step(&self, by_ms: i64) {
        self.0.lock().unwrap().1 += by_ms;
    }

    pub(super) fn set(&self, wall_ms: i64) {
        self.0.lock().unwrap().1 = wall_ms;
    }

    pub(crate) fn open(&self, settings: Settings) -> Queue {
        Queue::open_at(settings, Arc::new(self.clone())).unwrap()
    }
}
