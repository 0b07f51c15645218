//! `messages_per_hour` of single clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Counts the messages that each `[client.NAME]` has sent in the last hour, by its name: sessions, listeners
/// and reloads come and go meanwhile.
#[derive(Debug)]
pub struct Hours {
    origin: Instant,
    /// As many as there are sections.
    clients: Mutex<HashMap<String, Hour>>,
}

/// Messages by minute, at the minute's place in the ring. The minute in progress and the sixty before it are
/// never less than an hour.
#[derive(Debug)]
struct Hour {
    minutes: [Minute; RING],
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    number: u64,
    messages: u32,
}

const RING: usize = 61;

/// A message's place in its client's hour; dropped before it is kept, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    hours: Arc<Hours>,
    client: String,
    minute: u64,
    kept: bool,
}

impl Default for Hours {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            clients: Mutex::default(),
        }
    }
}

/// The same counters.
impl PartialEq for Hours {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Hours {
    /// A place for one more message of `client`, unless there are `max` of them.
    pub(super) fn take(self: &Arc<Self>, client: &str, max: u32) -> Option<Place> {
        let minute = self.origin.elapsed().as_secs() / 60;
        let mut clients = self.lock();
        let hour = clients.entry(client.to_owned()).or_insert_with(|| Hour {
            minutes: [Minute::default(); RING],
        });
        if hour.messages(minute) >= u64::from(max) {
            return None;
        }
        let slot = hour.slot(minute)?;
        if slot.number != minute {
            *slot = Minute {
                number: minute,
                messages: 0,
            };
        }
        slot.messages = slot.messages.saturating_add(1);
        drop(clients);
        Some(Place {
            hours: Arc::clone(self),
            client: client.to_owned(),
            minute,
            kept: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Hour>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hour {
    fn messages(&self, now: u64) -> u64 {
        let recent = |minute: &&Minute| now.saturating_sub(minute.number) < RING as u64;
        let minutes = self.minutes.iter().filter(recent);
        minutes.map(|minute| u64::from(minute.messages)).sum()
    }

    fn slot(&mut self, minute: u64) -> Option<&mut Minute> {
        self.minutes.get_mut((minute % RING as u64) as usize)
    }
}

impl Place {
    /// The message was accepted.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let mut clients = self.hours.lock();
        let slot = clients
            .get_mut(&self.client)
            .and_then(|hour| hour.slot(self.minute));
        if let Some(slot) = slot.filter(|slot| slot.number == self.minute) {
            slot.messages = slot.messages.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_hour_slides() {
        let hours = Arc::new(Hours::default());
        let minute = Duration::from_mins(1);
        advance(Duration::from_secs(59)).await;
        hours.take("printer", 3).unwrap().keep();
        advance(minute * 30).await;
        hours.take("printer", 3).unwrap().keep();
        hours.take("printer", 3).unwrap().keep();
        assert!(hours.take("printer", 3).is_none());
        assert!(hours.take("other", 3).is_some());
        advance(Duration::from_secs(30 * 60 - 1)).await;
        assert!(hours.take("printer", 3).is_none(), "the first still counts");
        advance(minute + Duration::from_secs(1)).await;
        hours.take("printer", 3).unwrap().keep();
        assert!(hours.take("printer", 3).is_none());
        advance(minute * 200).await;
        for _ in 0..3 {
            hours.take("printer", 3).unwrap().keep();
        }
        assert!(hours.take("printer", 3).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_was_not_accepted_does_not_count() {
        let hours = Arc::new(Hours::default());
        for _ in 0..10 {
            let place = hours.take("printer", 1).unwrap();
            assert!(hours.take("printer", 1).is_none());
            drop(place);
        }
        // Its minute is forgotten, and its place in the ring another's.
        let early = hours.take("printer", 1).unwrap();
        advance(Duration::from_mins(RING as u64)).await;
        hours.take("printer", 1).unwrap().keep();
        drop(early);
        assert!(hours.take("printer", 1).is_none());
    }
}
