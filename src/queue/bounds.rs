//! Room in the queue: reserved before content is taken in, so that sessions cannot overshoot together.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::queue::near::{self, Alarm};
use crate::queue::shares::{Holder, Shares};
use crate::queue::{IncidentKind, Incidents};

/// How much the queue may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that are not yet delivered, failed or removed, drafts included.
    pub messages_max: u64,
    /// Their content.
    pub bytes_max: u64,
    /// What the queue leaves free on its filesystem; at least what it needs itself to drain.
    pub disk_free_min_bytes: u64,
}

impl Limits {
    fn disk_floor_bytes(&self) -> u64 {
        self.disk_free_min_bytes.max(DISK_RESERVE_BYTES)
    }
}

/// Never taken by new mail: leasing and settling write too, and folding the log back lets the
/// database grow. Without it a disk that the queue itself has filled could not be drained any more.
const DISK_RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// Which bound has been reached; each is a 452 4.3.1 to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// `queue.max_messages`.
    #[error("the queue holds its maximum number of messages")]
    Messages,
    /// `queue.max_bytes`.
    #[error("the queue holds its maximum of bytes")]
    Bytes,
    /// `queue.min_free_disk`.
    #[error("the disk that holds the queue is nearly full")]
    Disk,
    /// One of the first two is near, and others need what is left.
    #[error("the client holds more than its share of a queue that is nearly full")]
    Share,
}

#[derive(Debug)]
pub(super) struct Room {
    limits: Mutex<Limits>,
    directory: PathBuf,
    messages: AtomicU64,
    bytes: AtomicU64,
    shares: Shares,
    /// Bytes promised to drafts whose content may not be on disk yet.
    promised: AtomicU64,
    disk: Mutex<Option<DiskReading>>,
    messages_alarm: Alarm,
    bytes_alarm: Alarm,
    disk_alarm: Alarm,
    /// None yet while the queue is being opened.
    incidents: OnceLock<Incidents>,
}

#[derive(Clone, Copy, Debug)]
struct DiskReading {
    at: Instant,
    free_bytes: u64,
}

/// How long a reading of the free space is believed; what is promised meanwhile is subtracted.
const DISK_READING_LIFE: Duration = Duration::from_millis(500);

impl Room {
    /// `held`: clients with the messages and bytes that wait of theirs.
    pub(super) fn new(
        limits: Limits,
        directory: &Path,
        held: impl IntoIterator<Item = (String, u64, u64)>,
    ) -> Arc<Self> {
        let shares = Shares::default();
        let (mut messages, mut bytes) = (0_u64, 0_u64);
        for (client, its_messages, its_bytes) in held {
            shares.add(shares.holder(&client), its_messages, its_bytes);
            messages = messages.saturating_add(its_messages);
            bytes = bytes.saturating_add(its_bytes);
        }
        Arc::new(Self {
            limits: Mutex::new(limits),
            directory: directory.to_owned(),
            messages: AtomicU64::new(messages),
            bytes: AtomicU64::new(bytes),
            shares,
            promised: AtomicU64::new(0),
            disk: Mutex::new(None),
            messages_alarm: Alarm::default(),
            bytes_alarm: Alarm::default(),
            disk_alarm: Alarm::default(),
            incidents: OnceLock::new(),
        })
    }

    /// Messages and bytes in use, drafts included.
    pub(super) fn used(&self) -> (u64, u64) {
        (
            self.messages.load(Ordering::Acquire),
            self.bytes.load(Ordering::Acquire),
        )
    }

    pub(super) fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        self.watch(limits);
    }

    /// The client, as one who holds a part of the queue.
    pub(super) fn holder(&self, client: &str) -> Holder {
        self.shares.holder(client)
    }

    /// Room for one message of `bytes`, or why there is none. Nobody's is an operator's, which needs
    /// no share.
    pub(super) fn reserve(
        self: &Arc<Self>,
        holder: Option<Holder>,
        bytes: u64,
    ) -> Result<Reservation, Full> {
        let limits = self.limits();
        let used = self.messages.load(Ordering::Acquire);
        let max = limits.messages_max;
        if holder.is_some_and(|holder| !self.shares.allow_message(holder, used, max)) {
            return Err(Full::Share);
        }
        let reserved = self.reserve_within(limits, holder, bytes);
        if let (Some(holder), Err(Full::Messages | Full::Bytes)) = (holder, &reserved) {
            self.shares.turned_away(holder);
        }
        reserved
    }

    fn reserve_within(
        self: &Arc<Self>,
        limits: Limits,
        holder: Option<Holder>,
        bytes: u64,
    ) -> Result<Reservation, Full> {
        take(&self.messages, 1, limits.messages_max).ok_or(Full::Messages)?;
        self.watch(limits);
        if let Some(holder) = holder {
            self.shares.add(holder, 1, 0);
        }
        let mut reservation = Reservation {
            room: Arc::clone(self),
            holder,
            bytes: 0,
            is_kept: false,
        };
        // The bytes: when they are refused, dropping the reservation gives the message back.
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// A stored message has ended.
    pub(super) fn release(&self, holder: Holder, bytes: u64) {
        self.give_back(Some(holder), bytes);
    }

    fn give_back(&self, holder: Option<Holder>, bytes: u64) {
        if let Some(holder) = holder {
            self.shares.remove(holder, 1, bytes);
        }
        give_back(&self.messages, 1);
        give_back(&self.bytes, bytes);
        self.watch(self.limits());
    }

    /// Has crossings of the bounds told as incidents, and goes on with those that are open.
    pub(super) fn report_to(&self, incidents: Incidents) {
        for incident in incidents.open() {
            if let Some(alarm) = self.alarm(incident.finding.kind) {
                alarm.raised.store(true, Ordering::Relaxed);
            }
        }
        // Set once, before anybody else has the room.
        let _ = self.incidents.set(incidents);
        self.watch(self.limits());
    }

    fn alarm(&self, kind: IncidentKind) -> Option<&Alarm> {
        match kind {
            IncidentKind::Account | IncidentKind::Credential | IncidentKind::Client => None,
            IncidentKind::QueueMessages => Some(&self.messages_alarm),
            IncidentKind::QueueBytes => Some(&self.bytes_alarm),
            IncidentKind::QueueDisk => Some(&self.disk_alarm),
        }
    }

    /// Somebody should know before mail is refused.
    fn watch(&self, limits: Limits) {
        let (messages, bytes) = self.used();
        for (kind, used, max) in [
            (IncidentKind::QueueMessages, messages, limits.messages_max),
            (IncidentKind::QueueBytes, bytes, limits.bytes_max),
        ] {
            self.compare(kind, used, max);
        }
    }

    fn watch_disk(&self, free_bytes: u64, limits: Limits) {
        self.compare(
            IncidentKind::QueueDisk,
            limits.disk_floor_bytes(),
            free_bytes,
        );
    }

    fn compare(&self, kind: IncidentKind, used: u64, max: u64) {
        let crossing = self.alarm(kind).and_then(|alarm| alarm.cross(used, max));
        if let (Some(crossing), Some(incidents)) = (crossing, self.incidents.get()) {
            near::tell(incidents, kind, crossing, used, max);
        }
    }

    fn disk_has(&self, bytes: u64, limits: Limits) -> bool {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let free_bytes = match *disk {
            Some(reading) if reading.at.elapsed() < DISK_READING_LIFE => reading.free_bytes,
            _ => match rustix::fs::statvfs(&self.directory) {
                Ok(vfs) => {
                    let free_bytes = vfs.f_bavail.saturating_mul(vfs.f_frsize);
                    *disk = Some(DiskReading {
                        at: Instant::now(),
                        free_bytes,
                    });
                    self.watch_disk(free_bytes, limits);
                    free_bytes
                }
                // The write itself will tell what is wrong with this disk.
                Err(_) => return true,
            },
        };
        let promised = self.promised.load(Ordering::Acquire);
        free_bytes.saturating_sub(promised) >= limits.disk_floor_bytes().saturating_add(bytes)
    }

    /// What was promised is on the disk, and the last reading does not know of it.
    fn disk_took(&self, bytes: u64) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = disk.as_mut() {
            reading.free_bytes = reading.free_bytes.saturating_sub(bytes);
        }
    }
}

/// Room held for a draft; dropped, it is free again, and committed, it belongs to the message.
#[derive(Debug)]
pub(super) struct Reservation {
    room: Arc<Room>,
    holder: Option<Holder>,
    bytes: u64,
    is_kept: bool,
}

impl Reservation {
    /// Holds at least `bytes` from now on.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 && self.bytes > 0 {
            return Ok(());
        }
        let limits = self.room.limits();
        if !self.room.disk_has(more, limits) {
            return Err(Full::Disk);
        }
        let (used, max) = (self.room.used().1, limits.bytes_max);
        let allow = |holder| (self.room.shares).allow_bytes(holder, self.bytes, used, max);
        if !self.holder.is_none_or(allow) {
            return Err(Full::Share);
        }
        take(&self.room.bytes, more, limits.bytes_max).ok_or(Full::Bytes)?;
        self.room.promised.fetch_add(more, Ordering::AcqRel);
        if let Some(holder) = self.holder {
            self.room.shares.add(holder, 0, more);
        }
        self.room.watch(limits);
        self.bytes += more;
        Ok(())
    }

    /// The message is stored, as `holder`'s: it keeps its place until [`Room::release`], at its true
    /// size.
    pub(super) fn keep(mut self, holder: Holder, size_bytes: u64) {
        self.is_kept = true;
        let room = &self.room;
        room.disk_took(size_bytes);
        give_back(&room.promised, self.bytes);
        room.shares.add(holder, 1, size_bytes);
        if let Some(holder) = self.holder {
            room.shares.remove(holder, 1, self.bytes);
        }
        if size_bytes > self.bytes {
            room.bytes
                .fetch_add(size_bytes - self.bytes, Ordering::AcqRel);
        } else {
            give_back(&room.bytes, self.bytes - size_bytes);
        }
        room.watch(room.limits());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_kept {
            give_back(&self.room.promised, self.bytes);
            self.room.give_back(self.holder, self.bytes);
        }
    }
}

fn take(counter: &AtomicU64, more: u64, max: u64) -> Option<u64> {
    counter
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(more).filter(|sum| *sum <= max)
        })
        .ok()
}

fn give_back(counter: &AtomicU64, less: u64) {
    let _ = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
        Some(used.saturating_sub(less))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(messages_max: u64, bytes_max: u64) -> Arc<Room> {
        let limits = Limits {
            messages_max,
            bytes_max,
            disk_free_min_bytes: 0,
        };
        Room::new(limits, Path::new("/"), [])
    }

    #[test]
    fn threads_together_never_overshoot() {
        let room = room(10, 1_000);
        let held: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50)
                            .filter_map(|_| room.reserve(None, 10).ok())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        assert_eq!(held.len(), 10);
        assert_eq!(room.used(), (10, 100));
        drop(held);
        assert_eq!(room.used(), (0, 0));
    }

    #[test]
    fn a_kept_reservation_counts_its_true_size_until_released() {
        let room = room(10, 1_000);
        let announced_more = room.reserve(None, 500).unwrap();
        let holder = room.holder("10.0.0.1");
        announced_more.keep(holder, 300);
        assert_eq!(room.used(), (1, 300));
        room.release(holder, 300);
        assert_eq!(room.used(), (0, 0));
    }

    #[test]
    fn growth_is_bounded_and_a_refusal_leaves_what_was_held() {
        let room = room(10, 1_000);
        let mut growing = room.reserve(None, 0).unwrap();
        growing.grow_to(900).unwrap();
        assert_eq!(growing.grow_to(1_001), Err(Full::Bytes));
        assert_eq!(room.used(), (1, 900));
        assert_eq!(room.reserve(None, 101).unwrap_err(), Full::Bytes);
        assert_eq!(room.used(), (1, 900));
    }

    #[test]
    fn what_was_kept_is_subtracted_from_the_last_reading_of_the_disk() {
        let room = room(10, u64::MAX);
        let free_bytes = DISK_RESERVE_BYTES + 1_000;
        let reading = DiskReading {
            // Believed for as long as the test takes.
            at: Instant::now() + Duration::from_hours(1),
            free_bytes,
        };
        *room.disk.lock().unwrap() = Some(reading);
        room.reserve(None, 900).unwrap().keep(room.holder(""), 700);
        assert_eq!(room.reserve(None, 301).unwrap_err(), Full::Disk);
        let held = room.reserve(None, 200).unwrap();
        assert_eq!(room.reserve(None, 101).unwrap_err(), Full::Disk);
        drop(held);
        assert!(room.reserve(None, 300).is_ok());
    }

    #[test]
    fn a_disk_below_its_floor_refuses() {
        let limits = Limits {
            messages_max: 10,
            bytes_max: u64::MAX,
            disk_free_min_bytes: u64::MAX,
        };
        let room = Room::new(limits, Path::new("/"), []);
        assert_eq!(room.reserve(None, 0).unwrap_err(), Full::Disk);
        assert_eq!(room.used(), (0, 0));
    }
}
