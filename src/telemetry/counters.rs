//! What has happened since the process began, counted by the functions that log it: what operators read
//! and what they measure cannot disagree.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use super::{Attempted, Distribution, Histogram};

/// Everything that is counted by the whole process. A look costs a few dozen nanoseconds and never waits
/// for a reader.
#[derive(Debug)]
pub struct Counters {
    /// Messages on stable storage, by account and listener.
    pub received: Series<2>,
    /// Messages that the remote has taken over for every recipient, by account and listener.
    pub delivered: Series<2>,
    /// Attempts after which a message waits for another one, by account and listener.
    pub deferred: Series<2>,
    /// Messages that ended with a recipient refused for good, by account and listener.
    pub failed: Series<2>,
    /// Messages that were given up because of their age, by account and listener.
    pub expired: Series<2>,
    /// Messages of the relay's own, by kind.
    pub notices: Series<1>,
    /// Incidents that began, by kind.
    pub incidents: Series<1>,
    /// Requests for an access token that have ended, by account and result.
    pub token_refreshes: Series<2>,
    /// Replies of the submission service, by account and code.
    pub upstream_replies: Series<2>,
    /// Replies to clients.
    pub replies: Codes,
    delivery_milliseconds: Histogram,
}

static COUNTERS: LazyLock<Counters> = LazyLock::new(|| Counters {
    received: Series::new(),
    delivered: Series::new(),
    deferred: Series::new(),
    failed: Series::new(),
    expired: Series::new(),
    notices: Series::new(),
    incidents: Series::new(),
    token_refreshes: Series::new(),
    upstream_replies: Series::new(),
    replies: Codes::new(),
    delivery_milliseconds: Histogram::new(DELIVERY_MILLISECONDS),
});

/// From a connection that is open to `expire_after`; most mail takes seconds, or a minute of pacing.
const DELIVERY_MILLISECONDS: &[u64] = &[
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    900_000,
    1_800_000,
    3_600_000,
    14_400_000,
    43_200_000,
    86_400_000,
    172_800_000,
];

/// The counters of this process.
pub fn counters() -> &'static Counters {
    &COUNTERS
}

impl Counters {
    /// Milliseconds from the acceptance of each delivered message to its last reply.
    pub fn delivery_milliseconds(&self) -> Distribution {
        self.delivery_milliseconds.distribution()
    }
}

/// What an attempt made of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The remote has it, for every recipient.
    Delivered {
        /// Since its acceptance.
        age: Duration,
    },
    /// It waits for another attempt.
    Deferred,
    /// It ended, and a recipient was refused.
    Failed,
    /// It ended because of its age.
    Expired,
}

impl Attempted<'_> {
    /// To be called with each event that is logged: of those of one attempt only one tells a fate.
    pub(super) fn count(&self) {
        let counters = counters();
        let ended = match self.fate {
            None => return,
            Some(Fate::Delivered { age }) => {
                let milliseconds = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                counters.delivery_milliseconds.observe(milliseconds);
                &counters.delivered
            }
            Some(Fate::Deferred) => &counters.deferred,
            Some(Fate::Failed) => &counters.failed,
            Some(Fate::Expired) => &counters.expired,
        };
        ended.add([self.account, self.listener]);
    }
}

/// Labels come from settings, yet reloads may rename without end: what comes after so many different ones
/// is counted together.
const SERIES_MAX: usize = 1_000;

/// The value of every label of what is counted together; no account or listener can have this name.
pub const OTHERS: &str = "(others)";

/// Counts by the values of `N` labels.
#[derive(Debug)]
pub struct Series<const N: usize> {
    /// In the order of the labels.
    counts: RwLock<Vec<Entry<N>>>,
}

type Entry<const N: usize> = ([Box<str>; N], AtomicU64);

impl<const N: usize> Series<N> {
    const fn new() -> Self {
        Self {
            counts: RwLock::new(Vec::new()),
        }
    }

    /// One more.
    pub fn add(&self, labels: [&str; N]) {
        {
            let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
            if let Ok(at) = find(&counts, labels) {
                increment(&counts, at);
                return;
            }
        }
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have been faster.
        let at = match find(&counts, labels) {
            Err(_) if counts.len() >= SERIES_MAX => place(&mut counts, [OTHERS; N]),
            Err(_) => place(&mut counts, labels),
            Ok(at) => at,
        };
        increment(&counts, at);
    }

    /// Everything that was counted, in the order of the labels.
    pub fn counts(&self) -> Vec<([String; N], u64)> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        let owned = |labels: &[Box<str>; N]| labels.each_ref().map(|label| String::from(&**label));
        counts
            .iter()
            .map(|(labels, count)| (owned(labels), count.load(Ordering::Relaxed)))
            .collect()
    }
}

fn find<const N: usize>(counts: &[Entry<N>], labels: [&str; N]) -> Result<usize, usize> {
    counts.binary_search_by(|(known, _)| known.iter().map(|label| &**label).cmp(labels))
}

/// Where it is, now at the latest.
fn place<const N: usize>(counts: &mut Vec<Entry<N>>, labels: [&str; N]) -> usize {
    find(counts, labels).unwrap_or_else(|at| {
        counts.insert(at, (labels.map(Box::from), AtomicU64::new(0)));
        at
    })
}

fn increment<const N: usize>(counts: &[Entry<N>], at: usize) {
    if let Some((_, count)) = counts.get(at) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts by SMTP reply code.
#[derive(Debug)]
pub struct Codes([AtomicU64; CODES]);

const FIRST_CODE: usize = 200;
/// 200 to 599, as in [`crate::smtp::Reply`].
const CODES: usize = 400;

impl Codes {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; CODES])
    }

    /// One more.
    pub fn add(&self, code: u16) {
        let at = usize::from(code).checked_sub(FIRST_CODE);
        if let Some(count) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that were seen, in rising order.
    pub fn counts(&self) -> Vec<(u16, u64)> {
        let counts = (FIRST_CODE as u16..).zip(&self.0);
        counts
            .map(|(code, count)| (code, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: [&str; 2]) -> [String; 2] {
        labels.map(str::to_owned)
    }

    #[test]
    fn each_set_of_labels_is_counted_by_itself() {
        let series = Series::new();
        for labels in [["b", "x"], ["a", "y"], ["b", "x"], ["a", ""], ["ab", ""]] {
            series.add(labels);
        }
        let expected = [
            (["a", ""], 1),
            (["a", "y"], 1),
            (["ab", ""], 1),
            (["b", "x"], 2),
        ];
        let expected = expected.map(|(labels, count)| (owned(labels), count));
        assert_eq!(series.counts(), expected);
    }

    #[test]
    fn nothing_is_lost_among_many_at_once() {
        let series = Series::new();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let series = &series;
                scope.spawn(move || {
                    for n in 0..1_000 {
                        series.add([["a", "b", "c"][(n + thread) % 3]]);
                    }
                });
            }
        });
        let counts = series.counts();
        assert_eq!(counts.len(), 3);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 8_000);
    }

    #[test]
    fn names_without_end_take_no_room_without_end() {
        let series = Series::new();
        for n in 0..SERIES_MAX + 10 {
            series.add([n.to_string().as_str(), "l"]);
        }
        series.add(["0", "l"]);
        let counts = series.counts();
        assert_eq!(counts.len(), SERIES_MAX + 1);
        let count = |labels| {
            let labels = owned(labels);
            let found = counts.iter().find(|(known, _)| *known == labels);
            found.map(|(_, count)| *count)
        };
        assert_eq!(count(["0", "l"]), Some(2), "what is known goes on");
        assert_eq!(count([OTHERS, OTHERS]), Some(10));
    }

    #[test]
    fn codes_that_no_reply_has_are_nobodys() {
        let codes = Codes::new();
        for code in [0, 199, 200, 250, 250, 599, 600, u16::MAX] {
            codes.add(code);
        }
        assert_eq!(codes.counts(), [(200, 1), (250, 2), (599, 1)]);
    }
}
