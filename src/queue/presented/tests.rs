//! That nothing the service may have counted is ever forgotten, whenever the process dies.

use proptest::prelude::*;

use super::*;
use crate::queue::schema;

const MINUTE: Duration = Duration::from_mins(1);

/// 2026-11-20, in milliseconds.
const TODAY_MS: i64 = 1_795_132_800_000;

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    schema::migrate(&connection).unwrap();
    connection
}

fn insert(connection: &Connection, seq: i64) {
    connection
        .execute(
            "INSERT INTO message (seq, id, state, account, due_ms, born_ms, received_wall_ms, attempts,
                 size_bytes, stored, reverse_path, eight_bit, smtputf8, listener, client, helo)
             VALUES (?1, ?1, 0, 'default', 0, 0, 0, 0, 0, 0, '', 0, 0, '', '', '')",
            [seq],
        )
        .unwrap();
}

fn lease(connection: &Connection, seq: i64, mailbox: &str, recipients: i64) {
    connection
        .execute(
            "UPDATE message SET state = 1, mailbox = ?2, presenting = ?3 WHERE seq = ?1",
            params![seq, mailbox, recipients],
        )
        .unwrap();
}

fn messages_within(found: &[Presented], window: Duration) -> u32 {
    let within = found.iter().filter(|one| one.age < window);
    within.map(|one| one.messages).sum()
}

fn recipients(found: &[Presented]) -> u64 {
    found.iter().map(|one| one.recipients).sum()
}

#[test]
fn a_lease_that_died_counts_as_presented_when_the_folder_is_opened_again() {
    let connection = database();
    for seq in 1..=3 {
        insert(&connection, seq);
    }
    lease(&connection, 1, "a@contoso.com", 7);
    lease(&connection, 2, "b@contoso.com", 1);
    let before = recall(&connection, "a@contoso.com", TODAY_MS).unwrap();
    assert_eq!(
        messages_within(&before, MINUTE),
        1,
        "as long as it is leased"
    );
    assert!(void_leases(&connection, TODAY_MS).unwrap().is_empty());
    for (mailbox, count) in [("a@contoso.com", 7), ("b@contoso.com", 1)] {
        let found = recall(&connection, mailbox, TODAY_MS).unwrap();
        assert_eq!(messages_within(&found, MINUTE), 1, "{mailbox}");
        assert_eq!(recipients(&found), count, "{mailbox}");
    }
    let waiting: i64 = connection
        .query_row("SELECT count(*) FROM message WHERE state = 0", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(waiting, 3);
}

#[test]
fn times_of_a_clock_that_was_turned_back_are_taken_for_now_and_do_not_stay_in_the_future() {
    let connection = database();
    let future_ms = TODAY_MS + 40 * 365 * 86_400_000;
    for n in 0..3 {
        record(&connection, "a@contoso.com", 1, 10, future_ms + n * 5_000).unwrap();
    }
    let found = recall(&connection, "a@contoso.com", TODAY_MS).unwrap();
    assert_eq!(messages_within(&found, Duration::from_millis(1)), 3);
    void_leases(&connection, TODAY_MS).unwrap();
    let later_ms = TODAY_MS + 2 * 3_600_000;
    let found = recall(&connection, "a@contoso.com", later_ms).unwrap();
    assert_eq!(messages_within(&found, MINUTE), 0);
    assert_eq!(recipients(&found), 30);
    let tomorrow_ms = TODAY_MS + 86_400_000 + 2_000;
    prune(&connection, tomorrow_ms).unwrap();
    assert_eq!(
        recall(&connection, "a@contoso.com", tomorrow_ms).unwrap(),
        []
    );
}

#[test]
fn a_dropped_lease_is_recorded_only_while_it_is_one() {
    let connection = database();
    insert(&connection, 1);
    record_dropped(&connection, 1, TODAY_MS).unwrap();
    record_dropped(&connection, 9, TODAY_MS).unwrap();
    assert_eq!(recall(&connection, "default", TODAY_MS).unwrap(), []);
    lease(&connection, 1, "a@contoso.com", 2);
    record_dropped(&connection, 1, TODAY_MS).unwrap();
    connection
        .execute("UPDATE message SET state = 0", [])
        .unwrap();
    let found = recall(&connection, "a@contoso.com", TODAY_MS).unwrap();
    assert_eq!((found.len(), recipients(&found)), (1, 2));
}

/// One thing that happens, so many milliseconds after the one before.
#[derive(Clone, Copy, Debug)]
enum Event {
    Lease,
    /// The service counts; whether the process learns of it, the next events decide.
    Present,
    Settle,
    /// The process dies and comes back.
    Crash,
    /// An administrator turns the clock back by so many seconds.
    TurnBack(i64),
}

fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![
        4 => Just(Event::Lease),
        4 => Just(Event::Present),
        4 => Just(Event::Settle),
        1 => Just(Event::Crash),
        1 => (1_i64..200).prop_map(Event::TurnBack),
    ];
    proptest::collection::vec((0_i64..15_000, event), 1..60)
}

proptest! {
    /// At every moment, what the service has counted within the last minute is recalled as presented
    /// within the last minute, and every recipient of the day is recalled.
    #[test]
    fn whatever_the_service_counted_is_recalled_at_every_crash_point(events in events()) {
        let connection = database();
        let (mut true_ms, mut turned_back_ms) = (TODAY_MS, 0);
        let (mut leased, mut presented, mut counted) = (Vec::new(), Vec::new(), Vec::new());
        let mut seq = 0;
        for (wait_ms, event) in events {
            true_ms += wait_ms;
            let wall_ms = |turned_back_ms| true_ms - turned_back_ms;
            match event {
                Event::Lease => {
                    seq += 1;
                    insert(&connection, seq);
                    lease(&connection, seq, "a@contoso.com", 2);
                    leased.push(seq);
                }
                Event::Present => if let Some(seq) = leased.pop() {
                    counted.push(true_ms);
                    presented.push(seq);
                },
                Event::Settle => if let Some(seq) = presented.pop() {
                    record(&connection, "a@contoso.com", 1, 2, wall_ms(turned_back_ms)).unwrap();
                    let settle = "UPDATE message SET state = 5 WHERE seq = ?1";
                    connection.execute(settle, [seq]).unwrap();
                },
                Event::Crash => {
                    void_leases(&connection, wall_ms(turned_back_ms)).unwrap();
                    leased.clear();
                    presented.clear();
                }
                Event::TurnBack(seconds) => turned_back_ms += seconds * 1000,
            }
            let found = recall(&connection, "a@contoso.com", wall_ms(turned_back_ms)).unwrap();
            let lately = counted.iter().filter(|at| true_ms - **at < 60_000).count();
            prop_assert!(messages_within(&found, MINUTE) as usize >= lately);
            prop_assert!(recipients(&found) >= 2 * counted.len() as u64);
        }
    }
}

#[test]
fn leases_that_cannot_be_given_back_yet_are_counted_until_they_are() {
    let connection = database();
    insert(&connection, 1);
    lease(&connection, 1, "a@contoso.com", 3);
    connection.pragma_update(None, "query_only", true).unwrap();
    let dropped = void_leases(&connection, TODAY_MS).unwrap();
    assert!(dropped.iter().all(|one| one.seq == 1 && one.is_presented));
    let before = recall(&connection, "a@contoso.com", TODAY_MS).unwrap();
    connection.pragma_update(None, "query_only", false).unwrap();
    record_dropped(&connection, 1, TODAY_MS).unwrap();
    let release = "UPDATE message SET state = 0 WHERE seq = 1";
    connection.execute(release, []).unwrap();
    let after = recall(&connection, "a@contoso.com", TODAY_MS).unwrap();
    assert_eq!(before, after, "counted once at each moment");
    assert_eq!((dropped.len(), recipients(&after)), (1, 3));
}
