//! Who shares a mailbox: whose turn it is, and who may have a connection.
//!
//! Several accounts may name one mailbox, and while settings change an old dispatcher ends its attempts
//! beside the new one. The service knows only the mailbox. So messages go in turn, the connections are
//! shared out among those who have something to send, and the strictest settings hold for all.

use std::time::Duration;

use tokio::time::Instant;

/// How long a connection fewer is used after the service has asked for it.
const LOWERED: Duration = Duration::from_mins(10);

/// Connections that are refused together are refused once.
const TOGETHER: Duration = Duration::from_secs(10);

/// What the settings of one dispatcher allow; 0: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// At least one.
    pub(crate) connections: usize,
    pub(crate) messages_per_minute: u32,
    pub(crate) recipients_per_day: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Members {
    list: Vec<Member>,
    next_number: u64,
    /// Grows with each message.
    turns: u64,
    /// Waiting for a connection to be closed so that they may open one.
    waiting: usize,
    /// Idle connections that are being closed for them.
    closing: usize,
    lowered: Option<Lowered>,
}

#[derive(Debug)]
struct Member {
    number: u64,
    limits: Limits,
    /// Gone are those that start nothing any more.
    is_gone: bool,
    /// Has something to send at this moment.
    wants: bool,
    last_turn: u64,
    /// Attempts and probes under way.
    busy: usize,
    /// Connections open, or just being opened.
    open: usize,
}

/// The service has asked for fewer connections.
#[derive(Clone, Copy, Debug)]
struct Lowered {
    by: usize,
    at: Instant,
}

impl Members {
    /// A dispatcher begins; returns its number.
    pub(crate) fn join(&mut self, limits: Limits) -> u64 {
        self.next_number += 1;
        self.list.push(Member {
            number: self.next_number,
            limits,
            is_gone: false,
            wants: false,
            last_turn: self.turns,
            busy: 0,
            open: 0,
        });
        self.next_number
    }

    /// It starts nothing any more; what it has under way counts on.
    pub(crate) fn leave(&mut self, number: u64) {
        self.change(number, |member| {
            member.is_gone = true;
            member.wants = false;
        });
        self.bury();
    }

    /// The strictest of those who are here, or of those who were.
    pub(crate) fn limits(&self) -> Limits {
        let here = self.list.iter().any(|member| !member.is_gone);
        let counts = self.list.iter().filter(|member| here != member.is_gone);
        let none = Limits {
            connections: usize::MAX,
            messages_per_minute: 0,
            recipients_per_day: 0,
        };
        let stricter = |one: u32, other: u32| match (one, other) {
            (0, limit) | (limit, 0) => limit,
            _ => one.min(other),
        };
        counts.fold(none, |all, member| Limits {
            connections: all.connections.min(member.limits.connections.max(1)),
            messages_per_minute: stricter(
                all.messages_per_minute,
                member.limits.messages_per_minute,
            ),
            recipients_per_day: stricter(all.recipients_per_day, member.limits.recipients_per_day),
        })
    }

    /// How many connections there may be, all members together.
    pub(crate) fn connections_max(&self, now: Instant) -> usize {
        let lowered = self.lowered.filter(|lowered| lowered.until() > now);
        let by = lowered.map_or(0, |lowered| lowered.by);
        self.limits().connections.saturating_sub(by).max(1)
    }

    /// The service has refused a connection: one fewer than now for a while, but one at least.
    pub(crate) fn lower(&mut self, now: Instant) {
        let allowed = self.connections_max(now);
        let lowered = self.lowered.filter(|lowered| lowered.until() > now);
        if lowered.is_some_and(|lowered| now.saturating_duration_since(lowered.at) < TOGETHER) {
            return;
        }
        let by = lowered.map_or(0, |lowered| lowered.by);
        let by = if allowed > 1 { by + 1 } else { by };
        self.lowered = Some(Lowered { by, at: now });
    }

    /// When there may be more connections again.
    pub(crate) fn raised_at(&self, now: Instant) -> Option<Instant> {
        let until = self.lowered.map(|lowered| lowered.until());
        until.filter(|until| *until > now)
    }

    /// Whether the member has something to send; true if that is news.
    pub(crate) fn want(&mut self, number: u64, wants: bool) -> bool {
        let known = self.member(number).is_some_and(|member| member.wants);
        self.change(number, |member| member.wants = wants);
        known != wants
    }

    /// Whether the member may begin an attempt or a probe, as far as connections go.
    pub(crate) fn may_work(&self, number: u64, now: Instant) -> bool {
        let max = self.connections_max(now);
        let Some(member) = self.member(number) else {
            return false;
        };
        // Over a connection of its own; a new one; or somebody else's that is idle, up to a fair share:
        // beyond it two members would close each other's connections all the time.
        self.busy() < max
            && (member.open > member.busy || self.open() < max || member.open < self.share(max))
    }

    /// Whether nobody who could go waits for longer.
    pub(crate) fn is_turn(&self, number: u64, now: Instant) -> bool {
        let Some(member) = self.member(number) else {
            return false;
        };
        let mut others = self.list.iter().filter(|other| other.wants);
        !others.any(|other| {
            other.last_turn < member.last_turn
                && other.number != number
                && self.may_work(other.number, now)
        })
    }

    /// A message of the member begins.
    pub(crate) fn take_turn(&mut self, number: u64) {
        self.turns += 1;
        let turn = self.turns;
        self.change(number, |member| member.last_turn = turn);
    }

    /// An attempt or a probe of the member begins.
    pub(crate) fn begin(&mut self, number: u64) {
        self.change(number, |member| member.busy += 1);
    }

    /// It has ended.
    pub(crate) fn end(&mut self, number: u64) {
        self.change(number, |member| member.busy = member.busy.saturating_sub(1));
        self.bury();
    }

    /// A connection for the member, if there may be one more.
    pub(crate) fn open_one(&mut self, number: u64, now: Instant) -> bool {
        let is_room = self.open() < self.connections_max(now);
        if is_room {
            self.change(number, |member| member.open += 1);
        }
        is_room
    }

    /// A connection of the member is closed.
    pub(crate) fn close_one(&mut self, number: u64) {
        self.change(number, |member| member.open = member.open.saturating_sub(1));
        self.closing = self.closing.saturating_sub(1);
        self.bury();
    }

    /// Somebody waits for a connection, or no longer does.
    pub(crate) fn wait(&mut self, waits: bool) {
        self.waiting = if waits {
            self.waiting + 1
        } else {
            self.waiting.saturating_sub(1)
        };
    }

    /// Whether one more idle connection is to be closed, whoever's: there are too many, or somebody who
    /// may work waits for it.
    pub(crate) fn gives_way(&mut self, now: Instant) -> bool {
        let excess = (self.open() + self.waiting).saturating_sub(self.connections_max(now));
        let gives_way = excess > self.closing;
        if gives_way {
            self.closing += 1;
        }
        gives_way
    }

    /// All connections of the mailbox.
    pub(crate) fn open(&self) -> usize {
        self.list.iter().map(|member| member.open).sum()
    }

    /// Whether nobody holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether anybody may wait for what another one does.
    pub(crate) fn are_awaiting(&self) -> bool {
        self.list.len() > 1 || self.waiting > 0
    }

    fn busy(&self) -> usize {
        self.list.iter().map(|member| member.busy).sum()
    }

    fn wanting(&self) -> usize {
        self.list.iter().filter(|member| member.wants).count()
    }

    fn share(&self, max: usize) -> usize {
        (max / self.wanting().max(1)).max(1)
    }

    fn member(&self, number: u64) -> Option<&Member> {
        self.list.iter().find(|member| member.number == number)
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Member)) {
        let mut members = self.list.iter_mut();
        if let Some(member) = members.find(|member| member.number == number) {
            change(member);
        }
    }

    fn bury(&mut self) {
        self.list
            .retain(|member| !member.is_gone || member.busy + member.open > 0);
    }
}

impl Lowered {
    fn until(&self) -> Instant {
        self.at + LOWERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize) -> Limits {
        Limits {
            connections,
            messages_per_minute: 30,
            recipients_per_day: 10_000,
        }
    }

    #[test]
    fn the_strictest_settings_hold_for_all_who_are_here() {
        let now = Instant::now();
        let mut members = Members::default();
        let first = members.join(limits(3));
        members.join(Limits {
            connections: 2,
            messages_per_minute: 0,
            recipients_per_day: 500,
        });
        let both = Limits {
            connections: 2,
            messages_per_minute: 30,
            recipients_per_day: 500,
        };
        assert_eq!(members.limits(), both);
        members.begin(first);
        members.leave(first);
        assert_eq!(members.limits().messages_per_minute, 0);
        assert!(!members.may_work(first + 7, now), "a stranger");
        members.end(first);
        assert!(!members.are_awaiting());
    }

    #[test]
    fn messages_go_in_turn_and_nobody_waits_for_one_who_cannot() {
        let now = Instant::now();
        let mut members = Members::default();
        let (a, b) = (members.join(limits(3)), members.join(limits(3)));
        for member in [a, b] {
            assert!(members.want(member, true));
            assert!(!members.want(member, true), "no news");
        }
        assert!(members.is_turn(a, now) && members.is_turn(b, now));
        members.take_turn(a);
        assert!(!members.is_turn(a, now) && members.is_turn(b, now));
        members.take_turn(b);
        assert!(members.is_turn(a, now) && !members.is_turn(b, now));
        members.want(a, false);
        assert!(members.is_turn(b, now));
    }

    #[test]
    fn connections_are_shared_out_without_taking_them_from_each_other_all_the_time() {
        let now = Instant::now();
        let mut members = Members::default();
        let (a, b) = (members.join(limits(3)), members.join(limits(3)));
        members.want(a, true);
        for _ in 0..3 {
            assert!(members.may_work(a, now));
            members.begin(a);
            assert!(members.open_one(a, now));
        }
        members.want(b, true);
        assert!(!members.may_work(a, now) && !members.may_work(b, now));
        // One of the three is done: the connection is for the one who has none.
        members.end(a);
        assert!(members.may_work(b, now));
        members.begin(b);
        assert!(!members.open_one(b, now));
        assert!(!members.gives_way(now), "nobody waits yet");
        members.wait(true);
        assert!(members.gives_way(now));
        assert!(!members.gives_way(now), "one is enough");
        members.close_one(a);
        assert!(members.open_one(b, now));
        members.wait(false);
        // Two and one, and so it stays: each goes on over its own.
        members.end(a);
        members.end(b);
        assert!(members.may_work(a, now) && members.may_work(b, now));
        members.begin(b);
        assert!(!members.may_work(b, now), "its one connection is busy");
        // Until the other has nothing to send and somebody waits.
        members.want(a, false);
        assert!(members.may_work(b, now), "all three are its share now");
    }

    #[test]
    fn a_refused_connection_means_one_fewer_for_a_while() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut members = Members::default();
        let a = members.join(limits(3));
        for _ in 0..3 {
            members.begin(a);
            assert!(members.open_one(a, now));
        }
        members.lower(now);
        members.lower(now + second);
        assert_eq!(members.connections_max(now + second), 2, "refused together");
        assert!(members.gives_way(now + second), "three are too many");
        members.lower(now + 60 * second);
        members.lower(now + 120 * second);
        let last = now + 120 * second;
        assert_eq!(members.connections_max(last), 1, "but one at least");
        let raised = last + LOWERED;
        assert_eq!(members.raised_at(last), Some(raised));
        assert_eq!(members.connections_max(raised - second), 1);
        assert_eq!(members.connections_max(raised), 3);
        assert_eq!(members.raised_at(raised), None);
    }

    #[test]
    fn what_one_who_left_still_holds_counts() {
        let now = Instant::now();
        let mut members = Members::default();
        let old = members.join(limits(1));
        members.begin(old);
        assert!(members.open_one(old, now));
        members.leave(old);
        let new = members.join(limits(1));
        members.want(new, true);
        assert!(!members.may_work(new, now) && !members.open_one(new, now));
        members.end(old);
        assert!(members.may_work(new, now));
        members.close_one(old);
        assert!(members.open_one(new, now));
        members.leave(new);
        members.close_one(new);
        assert!(members.is_empty());
    }
}
