//! How values are distributed: counts between fixed bounds, as Prometheus wants them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Counts what it is shown by upper bounds that are fixed at the start: two relaxed additions a value.
///
/// Values are whole numbers of a unit that the owner chooses, so that sums stay exact.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and the last for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a [`Histogram`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// In rising order; every value is in one of them.
    pub buckets: Vec<Bucket>,
}

/// The values between the bound of the bucket before and this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The bound, included; none: no bound.
    pub at_most: Option<u64>,
    /// How many values.
    pub count: u64,
}

impl Histogram {
    /// `bounds` must rise.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts `value`.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// What has been counted so far. A value that is shown at this moment may be in a bucket and not in
    /// the sum yet; the buckets and `count` always agree.
    pub fn distribution(&self) -> Distribution {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let buckets: Vec<Bucket> = bounds
            .zip(&self.counts)
            .map(|(at_most, count)| Bucket {
                at_most,
                count: count.load(Ordering::Relaxed),
            })
            .collect();
        Distribution {
            count: buckets.iter().map(|bucket| bucket.count).sum(),
            sum: self.sum.load(Ordering::Relaxed),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = Histogram::new(&[0, 1, 10]);
        for value in [0, 1, 1, 2, 10, 11, 1_000] {
            histogram.observe(value);
        }
        let Distribution {
            count,
            sum,
            buckets,
        } = histogram.distribution();
        let buckets: Vec<_> = buckets.iter().map(|b| (b.at_most, b.count)).collect();
        assert_eq!(
            buckets,
            [(Some(0), 1), (Some(1), 2), (Some(10), 2), (None, 2)]
        );
        assert_eq!((count, sum), (7, 1_025));
    }

    #[test]
    fn nothing_seen_is_nothing_counted() {
        let Distribution { count, sum, .. } = Histogram::new(&[]).distribution();
        assert_eq!((count, sum), (0, 0));
    }
}
