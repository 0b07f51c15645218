//! The key that was probably meant.

/// The candidate closest to `key`, if any is close enough to be a slip of the finger, after the number of
/// characters in which they differ.
pub(super) fn nearest<'c>(
    key: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<(usize, &'c str)> {
    candidates
        .into_iter()
        .filter_map(|candidate| Some((likeness(key, candidate)?, candidate)))
        .min()
}

/// Smaller is closer; none when the two have nothing to do with each other.
fn likeness(key: &str, candidate: &str) -> Option<usize> {
    let distance = edit_distance(key, candidate);
    let contained = key.len() >= 4 && (candidate.contains(key) || key.contains(candidate));
    (contained || distance <= 1 + candidate.len() / 4).then_some(distance)
}

/// How many single characters must be inserted, deleted or replaced (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    // Bounds the work on a key that is no key at all.
    let right: Vec<char> = right.chars().take(LENGTH_MAX).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().take(LENGTH_MAX).enumerate() {
        let mut next = vec![i + 1];
        for ((r, above_left), above) in right.iter().zip(&row).zip(row.iter().skip(1)) {
            let replaced = above_left + usize::from(l != *r);
            let inserted = next.last().copied().unwrap_or(i) + 1;
            next.push(replaced.min(inserted).min(above + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

const LENGTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_insertions_deletions_and_replacements() {
        for (left, right, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("clientid", "client_id", 1),
        ] {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
        }
    }

    #[test]
    fn names_the_slip_and_nothing_far_fetched() {
        let keys = ["max_bytes", "max_messages", "directory", "client_secret"];
        assert_eq!(nearest("max_byte", keys), Some((1, "max_bytes")));
        assert_eq!(nearest("secret", keys), Some((7, "client_secret")));
        assert_eq!(nearest("colour", keys), None);
    }
}
