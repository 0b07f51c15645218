//! Lines on their way out: nobody who has something to say waits for whoever reads it.
//!
//! A pipe whose reader hangs, and a journal that does, stop one thread that does nothing else. What finds no
//! room meanwhile is counted, and the count is said as soon as there is room.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;
use tracing::callsite::Identifier;

use super::record::{Record, Value};
use super::repetition::Repetition;

/// Lines that wait, by their weight: some minutes of a busy relay.
const WAITING_MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long a line that is no trouble waits for others to be written with it: on a busy relay a thread that
/// wakes up for each of them costs more than all of its words.
const GATHERING: Duration = Duration::from_millis(2);

/// What was said and is not written yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// There is something to write, or will be.
    news: Condvar,
    /// Everything is written.
    empty: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Record>,
    /// Of those that wait and those that are being written.
    weight: usize,
    is_writing: bool,
    /// The writer waits for news.
    is_idle: bool,
    /// What waits is trouble, or somebody asked to see every step, or it is the end.
    is_urgent: bool,
    lost: u64,
    repetition: Repetition,
}

impl Outbox {
    /// Never waits for a reader.
    pub(super) fn offer(&self, callsite: Identifier, record: Record) {
        let now = Instant::now();
        let mut state = self.state();
        for summary in state.repetition.over(now) {
            state.push(summary);
        }
        if let Some(theme) = state.repetition.theme(callsite, &record)
            && !state.repetition.may_say(theme, &record, now)
        {
            // The writer has to wake up at the end of the period.
            self.wake(state);
            return;
        }
        state.push(record);
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let was_idle = mem::take(&mut state.is_idle);
        drop(state);
        if was_idle {
            self.news.notify_one();
        }
    }

    /// Writes with `write` what comes, as many at a time as there are, for ever.
    pub(super) fn write_all(&self, mut write: impl FnMut(&VecDeque<Record>)) {
        loop {
            let (mut records, lost) = self.take();
            let weight = records.iter().map(Record::weight).sum();
            if lost > 0 {
                records.push_back(loss(lost));
            }
            write(&records);
            let mut state = self.state();
            state.weight = state.weight.saturating_sub(weight);
            state.is_writing = false;
            if !state.is_busy() {
                self.empty.notify_all();
            }
        }
    }

    /// Waits until everything is written, for `patience` at most.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.state();
        for summary in state.repetition.end() {
            state.push(summary);
        }
        state.is_urgent = true;
        self.wake(state);
        let written = self
            .empty
            .wait_timeout_while(self.state(), patience, |state| state.is_busy());
        drop(written.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for something to write.
    fn take(&self) -> (VecDeque<Record>, u64) {
        let mut state = self.state();
        let mut has_gathered = false;
        loop {
            for summary in state.repetition.over(Instant::now()) {
                state.push(summary);
            }
            let has_news = !state.waiting.is_empty() || state.lost > 0;
            if has_news && (has_gathered || state.is_urgent) {
                state.is_writing = true;
                state.is_urgent = false;
                return (mem::take(&mut state.waiting), mem::take(&mut state.lost));
            }
            if has_news {
                drop(state);
                std::thread::sleep(GATHERING);
                has_gathered = true;
                state = self.state();
                continue;
            }
            state.is_idle = true;
            state = if let Some(due) = state.repetition.due() {
                let wait = due.saturating_duration_since(Instant::now());
                let woken = self.news.wait_timeout(state, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let woken = self.news.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            };
            state.is_idle = false;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.is_writing || !self.waiting.is_empty() || self.lost > 0
    }

    fn push(&mut self, record: Record) {
        let weight = record.weight();
        if self.weight + weight > WAITING_MAX_BYTES {
            self.lost += 1;
            return;
        }
        self.weight += weight;
        self.is_urgent |= record.level != Level::INFO;
        self.waiting.push_back(record);
    }
}

fn loss(lost: u64) -> Record {
    let message = "lines of the log were lost: what reads it was too slow";
    let mut record = Record::new(Level::WARN, message.to_owned());
    record.fields.set("lost", Value::Unsigned(lost));
    record
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::record::callsite;
    use super::*;

    /// Exempt from the limit on repetition.
    fn record(message: &str) -> Record {
        let mut record = Record::new(Level::INFO, message.to_owned());
        let id = Value::Text("01K9Z3X4T5ABCDEF".to_owned());
        record.fields.set("queue_id", id);
        record
    }

    /// Written lines, each of which waits for leave first.
    fn reader(outbox: &Arc<Outbox>) -> (Receiver<Record>, Sender<()>) {
        let (written, lines) = channel();
        let (leave, leaves) = channel();
        let outbox = Arc::clone(outbox);
        std::thread::spawn(move || {
            outbox.write_all(|records| {
                for record in records {
                    // Nobody holds it up any more when the test is over.
                    let _ = leaves.recv();
                    let _ = written.send(record.clone());
                }
            });
        });
        (lines, leave)
    }

    #[test]
    fn a_reader_that_hangs_holds_nobody_up_and_hears_what_it_has_missed() {
        let outbox = Arc::new(Outbox::default());
        let (lines, leave) = reader(&outbox);
        let long = "x".repeat(64 * 1024);
        let fitting = WAITING_MAX_BYTES / record(&long).weight();
        for _ in 0..fitting + 7 {
            outbox.offer(callsite(), record(&long));
        }
        outbox.flush(Duration::from_millis(1));

        drop(leave);
        outbox.flush(Duration::from_mins(1));
        let written: Vec<Record> = lines.try_iter().collect();
        assert_eq!(written.len(), fitting + 1);
        let loss = written
            .iter()
            .find(|record| record.fields.has("lost"))
            .unwrap();
        let told: Vec<_> = loss.fields.iter().collect();
        assert_eq!(told, [("lost", &Value::Unsigned(7))]);
        assert_eq!(loss.level, Level::WARN);

        outbox.offer(callsite(), record("again"));
        outbox.flush(Duration::from_mins(1));
        assert_eq!(lines.try_recv().unwrap().message, "again");
    }

    #[test]
    fn a_flush_also_tells_what_was_held_back() {
        let outbox = Arc::new(Outbox::default());
        let (lines, leave) = reader(&outbox);
        drop(leave);
        for _ in 0..25 {
            let refused = Record::new(Level::WARN, "connection refused".to_owned());
            outbox.offer(callsite(), refused);
        }
        outbox.flush(Duration::from_mins(1));
        let last = lines.try_iter().last().unwrap();
        assert_eq!(
            last.message,
            "connection refused: 15 more like this within a minute"
        );
    }
}
