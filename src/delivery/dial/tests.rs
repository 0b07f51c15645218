//! On a network of our own making, and on a clock that stands still.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use super::*;

mod proxies;

/// What happens at an address, after a while.
#[derive(Clone, Debug)]
enum Fate {
    Connects(Duration),
    Refuses(Duration),
    Silent,
}

/// Addresses that do what a test says; the far ends of its connections.
#[derive(Default)]
struct Stage {
    names: HashMap<String, Vec<SocketAddr>>,
    fates: HashMap<SocketAddr, Fate>,
    /// When each address was tried.
    tried: Mutex<Vec<(SocketAddr, Duration)>>,
    far_ends: Arc<Mutex<Vec<DuplexStream>>>,
    begun_at: Option<Instant>,
}

impl Network for Stage {
    type Stream = DuplexStream;

    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        match self.names.get(host) {
            Some(addresses) => Ok(addresses.clone()),
            None if host == "silent" => pending().await,
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<DuplexStream> {
        let since = self.begun_at.unwrap().elapsed();
        self.tried.lock().unwrap().push((address, since));
        match self.fates[&address] {
            Fate::Connects(after) => {
                sleep(after).await;
                let (near, far) = tokio::io::duplex(64 * 1024);
                self.far_ends.lock().unwrap().push(far);
                Ok(near)
            }
            Fate::Refuses(after) => {
                sleep(after).await;
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Fate::Silent => pending().await,
        }
    }
}

const NOW: Duration = Duration::ZERO;
const LIMIT: Duration = Duration::from_secs(30);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The name `up` with these addresses.
fn stage(fates: &[(&str, Fate)]) -> Stage {
    let addresses = fates.iter().map(|(text, _)| address(text)).collect();
    Stage {
        names: HashMap::from([("up".to_owned(), addresses)]),
        fates: fates
            .iter()
            .map(|(text, fate)| (address(text), fate.clone()))
            .collect(),
        begun_at: Some(Instant::now()),
        ..Stage::default()
    }
}

/// Which addresses were tried and when, in milliseconds; and how it ended.
async fn run(stage: &Stage) -> (Vec<(String, u128)>, Result<(), String>) {
    let dialed = dial(stage, ("up", 587), None, LIMIT).await;
    let tried = stage.tried.lock().unwrap();
    let tried = tried
        .iter()
        .map(|(address, at)| (address.to_string(), at.as_millis()))
        .collect();
    (tried, dialed.map(drop).map_err(|error| error.to_string()))
}

fn moments(tried: &[(&str, u128)]) -> Vec<(String, u128)> {
    let tried = tried.iter();
    tried.map(|(text, at)| ((*text).to_owned(), *at)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_address_that_answers_in_time_is_the_only_one_tried() {
    let stage = stage(&[
        (
            "[2001:db8::1]:587",
            Fate::Connects(Duration::from_millis(249)),
        ),
        ("192.0.2.1:587", Fate::Connects(NOW)),
    ]);
    let (tried, ended) = run(&stage).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(tried, moments(&[("[2001:db8::1]:587", 0)]));
}

#[tokio::test(start_paused = true)]
async fn families_alternate_and_a_silent_address_costs_a_quarter_of_a_second() {
    let stage = stage(&[
        ("[2001:db8::1]:587", Fate::Silent),
        ("[2001:db8::2]:587", Fate::Silent),
        ("192.0.2.1:587", Fate::Silent),
        ("192.0.2.2:587", Fate::Connects(NOW)),
    ]);
    let (tried, ended) = run(&stage).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(
        tried,
        moments(&[
            ("[2001:db8::1]:587", 0),
            ("192.0.2.1:587", 250),
            ("[2001:db8::2]:587", 500),
            ("192.0.2.2:587", 750),
        ])
    );
    assert_eq!(stage.begun_at.unwrap().elapsed().as_millis(), 750);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_next_is_tried_at_once() {
    let stage = stage(&[
        ("192.0.2.1:587", Fate::Refuses(Duration::from_millis(10))),
        ("192.0.2.2:587", Fate::Silent),
        ("192.0.2.3:587", Fate::Refuses(Duration::from_millis(20))),
        ("192.0.2.4:587", Fate::Connects(NOW)),
    ]);
    let (tried, ended) = run(&stage).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(
        tried,
        moments(&[
            ("192.0.2.1:587", 0),
            ("192.0.2.2:587", 10),
            ("192.0.2.3:587", 260),
            ("192.0.2.4:587", 280),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_address_may_still_win() {
    let stage = stage(&[
        ("192.0.2.1:587", Fate::Connects(Duration::from_millis(300))),
        ("192.0.2.2:587", Fate::Connects(Duration::from_secs(5))),
    ]);
    assert_eq!(run(&stage).await.1, Ok(()));
    assert_eq!(stage.begun_at.unwrap().elapsed().as_millis(), 300);
}

#[tokio::test(start_paused = true)]
async fn an_error_names_every_address_and_what_came_of_it() {
    let stage = stage(&[
        ("[2001:db8::1]:587", Fate::Refuses(NOW)),
        ("192.0.2.1:587", Fate::Silent),
    ]);
    let error = run(&stage).await.1.unwrap_err();
    assert_eq!(stage.begun_at.unwrap().elapsed(), LIMIT);
    assert_eq!(
        error,
        "cannot connect to up:587: [2001:db8::1]:587: connection refused, \
         192.0.2.1:587: no answer in time; check name, network and firewall"
    );

    let refusing = stage_of_refusals(2);
    let error = run(&refusing).await.1.unwrap_err();
    assert_eq!(refusing.begun_at.unwrap().elapsed(), NOW, "{error}");
}

fn stage_of_refusals(count: u8) -> Stage {
    let addresses: Vec<String> = (1..=count).map(|n| format!("192.0.2.{n}:587")).collect();
    let fates: Vec<(&str, Fate)> = addresses
        .iter()
        .map(|address| (address.as_str(), Fate::Refuses(NOW)))
        .collect();
    stage(&fates)
}

#[tokio::test(start_paused = true)]
async fn no_more_than_sixteen_addresses_are_tried_and_none_twice() {
    let mut stage = stage_of_refusals(200);
    assert_eq!(run(&stage).await.0.len(), 16);

    stage = stage_of_refusals(1);
    stage
        .names
        .get_mut("up")
        .unwrap()
        .extend([address("192.0.2.1:587"); 3]);
    assert_eq!(run(&stage).await.0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn names_that_give_no_address_say_so_in_time() {
    let stage = stage(&[]);
    for (name, expected, after) in [
        ("up", "the name cannot be resolved: it has no address", NOW),
        ("other", "the name cannot be resolved: no such name", NOW),
        (
            "silent",
            "the name cannot be resolved: no answer in time",
            LIMIT,
        ),
    ] {
        let begun_at = Instant::now();
        let error = dial(&stage, (name, 587), None, LIMIT).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(begun_at.elapsed(), after, "{name}");
    }
}

#[tokio::test]
async fn the_system_connects_to_what_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dialed = dial(&System, ("127.0.0.1", port), None, LIMIT)
        .await
        .unwrap();
    assert!(dialed.stream.nodelay().unwrap());
    assert_eq!(dialed.stream.peer_addr().unwrap().port(), port);
    drop(listener);
    let error = dial(&System, ("127.0.0.1", port), None, LIMIT)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}
