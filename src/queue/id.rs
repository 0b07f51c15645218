//! Queue ids: short, time-ordered, unique across relays.

use std::fmt;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The name of one message for as long as anybody remembers it.
///
/// Sixteen characters of Crockford's base 32, 80 bits from the most significant down:
///
/// ```text
/// 45 bits  milliseconds since 1970-01-01 UTC, the first nine characters
///  6 bits  counter within the millisecond
/// 29 bits  node: drawn once for each queue folder
/// ```
///
/// Ids of one relay sort in the order of their making. They are not consecutive and not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct QueueId([u8; 16]);

/// A text is not a queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id: sixteen letters and digits are expected")]
pub struct QueueIdError;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NODE_BITS: u32 = 29;
const COUNTER_BITS: u32 = 6;

impl QueueId {
    /// Decodes an id as people type it: any case, `O` for zero, `I` and `L` for one.
    pub fn parse(text: &str) -> Result<Self, QueueIdError> {
        let mut id = [0; 16];
        if text.len() != id.len() {
            return Err(QueueIdError);
        }
        for (slot, byte) in id.iter_mut().zip(text.bytes()) {
            let byte = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                byte => byte,
            };
            if !ALPHABET.contains(&byte) {
                return Err(QueueIdError);
            }
            *slot = byte;
        }
        Ok(Self(id))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        // Only characters of `ALPHABET` are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn encode(tick: u64, node: u32) -> Self {
        let mut bits = (u128::from(tick) << NODE_BITS) | u128::from(node & ((1 << NODE_BITS) - 1));
        let mut id = [0; 16];
        for slot in id.iter_mut().rev() {
            *slot = ALPHABET.get((bits & 31) as usize).copied().unwrap_or(b'0');
            bits >>= 5;
        }
        Self(id)
    }

    /// The lowest id that any relay can have made at `wall_ms`, milliseconds since 1970.
    pub(super) fn first_at(wall_ms: i64) -> Self {
        let wall_ms = u64::try_from(wall_ms).unwrap_or(0).min((1 << 45) - 1);
        Self::encode(wall_ms << COUNTER_BITS, 0)
    }

    fn tick(self) -> u64 {
        let bits = self.0.iter().fold(0_u128, |bits, byte| {
            let value = ALPHABET.iter().position(|c| c == byte).unwrap_or_default();
            (bits << 5) | value as u128
        });
        (bits >> NODE_BITS) as u64
    }
}

impl From<QueueId> for String {
    fn from(id: QueueId) -> Self {
        id.as_str().to_owned()
    }
}

impl TryFrom<String> for QueueId {
    type Error = QueueIdError;

    fn try_from(text: String) -> Result<Self, QueueIdError> {
        Self::parse(&text)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes ids that never repeat and never go backwards, whatever the wall clock does.
#[derive(Debug)]
pub(super) struct QueueIdGenerator {
    node: u32,
    /// Milliseconds and counter of the last id, as one number.
    last_tick: Mutex<u64>,
}

impl QueueIdGenerator {
    /// `newest` is the highest id on disk: after a restart with the clock set back, ids still rise.
    pub(super) fn new(node: u32, newest: Option<QueueId>) -> Self {
        Self {
            node,
            last_tick: Mutex::new(newest.map_or(0, QueueId::tick)),
        }
    }

    pub(super) fn generate(&self) -> QueueId {
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        self.generate_at(now_ms)
    }

    fn generate_at(&self, now_ms: u64) -> QueueId {
        let mut last = self
            .last_tick
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // More than 64 ids in a millisecond borrow from the next one.
        *last = (now_ms << COUNTER_BITS).max(*last + 1);
        QueueId::encode(*last, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond_and_when_the_clock_steps_back() {
        let generator = QueueIdGenerator::new(7, None);
        let mut last = generator.generate_at(1_800_000_000_000);
        for now_ms in std::iter::repeat_n(1_800_000_000_000, 1000).chain([5, 1_800_000_000_001]) {
            let next = generator.generate_at(now_ms);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        let restarted = QueueIdGenerator::new(7, Some(last));
        assert!(restarted.generate_at(3) > last);
    }

    #[test]
    fn ids_are_read_as_people_type_them() {
        let id = QueueIdGenerator::new(12345, None).generate();
        assert_eq!(QueueId::parse(id.as_str()), Ok(id));
        assert_eq!(QueueId::parse(&id.as_str().to_lowercase()), Ok(id));
        assert_eq!(
            QueueId::parse("oil0000000000000").map(|id| id.to_string()),
            Ok("0110000000000000".into())
        );
        for bad in [
            "",
            "short",
            "01JD0000000000000",
            "0000000000000U00",
            "00000000000000é",
        ] {
            assert_eq!(QueueId::parse(bad), Err(QueueIdError), "{bad}");
        }
    }

    #[test]
    fn relays_with_different_nodes_never_share_an_id() {
        let (one, two) = (
            QueueIdGenerator::new(1, None),
            QueueIdGenerator::new(2, None),
        );
        assert_ne!(one.generate_at(9), two.generate_at(9));
    }
}
