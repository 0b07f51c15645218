//! Turns in a database whose rows are the test's.

use proptest::prelude::*;
use rusqlite::{StatementStatus, named_params};
use tempfile::TempDir;

use super::*;
use crate::queue::{lease, schema};

const NOW_MS: i64 = 1_000_000;

struct Bench {
    connection: Connection,
    turns: Turns,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let connection = schema::open_writer(&folder.path().join("queue.db")).unwrap();
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        Self {
            connection,
            turns: Turns::default(),
            _folder: folder,
        }
    }

    /// `count` messages of as many clients in turn as `clients` says; the last is due at `due_ms`.
    fn fill(&self, count: i64, clients: i64, state: MessageState, due_ms: i64) {
        self.connection
            .execute(
                "WITH RECURSIVE n (i) AS
                     (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
                 INSERT INTO message (id, state, account, due_ms, born_ms, received_wall_ms,
                     attempts, size_bytes, stored, reverse_path, eight_bit, smtputf8, listener,
                     client, helo)
                 SELECT hex(randomblob(8)), :state, 'default', :due_ms - :count + i, 0, 0, 0, 0, 0,
                     '', 0, 0, '', printf('10.0.0.%05d', i % :clients), '' FROM n",
                named_params! {
                    ":count": count,
                    ":clients": clients,
                    ":state": state.number(),
                    ":due_ms": due_ms,
                },
            )
            .unwrap();
    }

    /// One message of a client that is one character.
    fn add(&self, client: char, state: MessageState, due_ms: i64) {
        self.fill(1, 1, state, due_ms);
        let seq = self.connection.last_insert_rowid();
        self.connection
            .execute(
                "UPDATE message SET client = ?2 WHERE seq = ?1",
                params![seq, client.to_string()],
            )
            .unwrap();
    }

    /// What one leasing takes: client, state before, due and number of each message.
    fn lease(&mut self, max: usize) -> Vec<(String, MessageState, i64, i64)> {
        let connection = &self.connection;
        let mut round = self.turns.round(connection, "default", NOW_MS);
        let mut leased = Vec::new();
        while leased.len() < max
            && let Some(pick) = round.next().unwrap()
        {
            let state: i64 = connection
                .prepare_cached("SELECT state FROM message WHERE seq = ?1")
                .unwrap()
                .query_row([pick.seq], |row| row.get(0))
                .unwrap();
            lease::take(connection, pick.seq, "default", 1).unwrap();
            let state = MessageState::from_number(state).unwrap();
            leased.push((pick.client, state, pick.due_ms, pick.seq));
        }
        leased
    }

    fn clients(&mut self, max: usize) -> String {
        let leased = self.lease(max).into_iter();
        leased.map(|(client, ..)| client).collect()
    }

    /// What SQLite has done for the statement since it was asked last.
    fn steps(&self, sql: &str) -> i32 {
        let statement = self.connection.prepare_cached(sql).unwrap();
        assert_eq!(statement.reset_status(StatementStatus::FullscanStep), 0);
        assert_eq!(statement.reset_status(StatementStatus::Sort), 0);
        statement.reset_status(StatementStatus::VmStep)
    }
}

#[test]
fn who_has_little_does_not_wait_for_who_has_much() {
    let mut bench = Bench::new();
    for due_ms in 0..100 {
        bench.add('a', MessageState::Ready, due_ms);
    }
    assert_eq!(bench.clients(3), "aaa");
    for due_ms in 100..103 {
        bench.add('b', MessageState::Ready, due_ms);
        bench.add('0', MessageState::Ready, due_ms);
    }
    // However the leasings are cut.
    assert_eq!(bench.clients(1) + &bench.clients(1), "b0");
    assert_eq!(bench.clients(9), "ab0ab0aaa");
}

#[test]
fn fresh_and_deferred_mail_take_turns() {
    let mut bench = Bench::new();
    for due_ms in 0..10 {
        bench.add('f', MessageState::Ready, 500 + due_ms);
        bench.add('d', MessageState::Deferred, due_ms);
    }
    bench.add('e', MessageState::Deferred, 900);
    bench.add('n', MessageState::Deferred, NOW_MS + 1);
    bench.add('h', MessageState::Held, 0);
    assert_eq!(bench.clients(5), "fdfef");
    assert_eq!(bench.clients(100), "dfdfdfdfdfdfdfdd");
    assert_eq!(bench.clients(1), "");
}

#[test]
fn clients_without_anything_due_are_passed_over_for_a_while_only() {
    let mut bench = Bench::new();
    bench.fill(1_000, 1_000, MessageState::Deferred, NOW_MS + 1_000);
    for due_ms in 0..100 {
        bench.add('x', MessageState::Deferred, due_ms);
    }
    bench.add('y', MessageState::Deferred, 200);
    let leasings = 1_000 / PASSED_MAX + 2;
    let leased: String = (0..leasings).map(|_| bench.clients(2)).collect();
    assert_eq!(leased.len(), 2 * leasings, "none goes away empty");
    assert_eq!(leased.matches('y').count(), 1, "{leased}");
}

#[test]
fn however_much_waits_the_next_message_costs_the_same() {
    let costs = |count, clients| {
        let mut bench = Bench::new();
        bench.fill(count, clients, MessageState::Ready, NOW_MS);
        bench.fill(count, clients, MessageState::Deferred, NOW_MS);
        for sql in [NEXT_CLIENT, OLDEST_DEFERRED, NEXT_DUE] {
            bench.steps(sql);
        }
        assert_eq!(bench.lease(32).len(), 32);
        let round = bench.turns.round(&bench.connection, "default", NOW_MS);
        assert!(round.next_due_ms().unwrap().is_some());
        [NEXT_CLIENT, OLDEST_DEFERRED, NEXT_DUE].map(|sql| bench.steps(sql))
    };
    assert_eq!(costs(100, 1), costs(20_000, 1));
    assert_eq!(costs(100, 50), costs(20_000, 5_000));
}

#[test]
fn the_statements_are_looks_into_an_index() {
    let bench = Bench::new();
    for (sql, expected) in [
        (
            NEXT_CLIENT,
            "SEARCH message USING INDEX message_waiting (account=? AND state=? AND client>?)",
        ),
        (
            OLDEST_DEFERRED,
            "SEARCH message USING INDEX message_deferred (account=? AND due_ms<?)",
        ),
        (
            NEXT_DUE,
            "SEARCH message USING COVERING INDEX message_deferred (account=?)",
        ),
    ] {
        let mut statement = bench
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
        let plan = statement
            .query_map(rusqlite::params_from_iter(nothing), |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<Vec<String>>>()
            .unwrap();
        assert_eq!(plan, [expected]);
    }
}

/// Whether nobody is served twice while another one waits that is served later.
fn take_turns(clients: &[&str]) -> bool {
    clients.iter().enumerate().all(|(at, client)| {
        let rest = clients.get(at + 1..).unwrap_or_default();
        let Some(again) = rest.iter().position(|other| other == client) else {
            return true;
        };
        let (between, later) = rest.split_at(again);
        later
            .iter()
            .all(|other| other == client || between.contains(other))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_due_is_leased_once_in_order_and_by_turns(
        rows in prop::collection::vec((0_u8..6, 0_u8..4, 0_i64..40), 0..120),
        sizes in prop::collection::vec(1_usize..20, 1..10),
    ) {
        let mut bench = Bench::new();
        let mut expected = Vec::new();
        for (client, kind, due_ms) in rows {
            let client = char::from(b'a' + client);
            let (state, due_ms) = match kind {
                0 | 1 => (MessageState::Ready, due_ms),
                2 => (MessageState::Deferred, due_ms),
                _ => (MessageState::Deferred, NOW_MS + 1 + due_ms),
            };
            bench.add(client, state, due_ms);
            if due_ms <= NOW_MS {
                expected.push(bench.connection.last_insert_rowid());
            }
        }
        let mut leased = Vec::new();
        for max in sizes.iter().cycle() {
            let some = bench.lease(*max);
            let is_last = some.is_empty();
            leased.extend(some);
            if is_last {
                break;
            }
        }
        for state in [MessageState::Ready, MessageState::Deferred] {
            let those: Vec<_> = leased.iter().filter(|one| one.1 == state).collect();
            let clients: Vec<_> = those.iter().map(|one| one.0.as_str()).collect();
            prop_assert!(take_turns(&clients), "{state:?}: {clients:?}");
            for client in &clients {
                let own = those.iter().filter(|one| one.0 == *client);
                prop_assert!(own.map(|one| (one.2, one.3)).is_sorted());
            }
        }
        let states: Vec<_> = leased.iter().map(|one| one.1.as_str()).collect();
        let both = states.iter().rposition(|state| *state != *states.last().unwrap());
        let mixed = states.get(..both.map_or(0, |at| at + 1)).unwrap();
        prop_assert!(mixed.windows(2).all(|two| two[0] != two[1]), "{states:?}");
        let mut numbers: Vec<_> = leased.into_iter().map(|one| one.3).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, expected, "each of them, and once");
    }
}
