//! The fuzz targets of `tests/fuzz` on stable: the corpus, and a bounded number of random changes to it.
//!
//! The same inputs each time. `FUZZ_RUNS=1000000 FUZZ_SEED=7 cargo test --test fuzz_random rewrite` goes further;
//! `tests/fuzz/README.md` tells of the fuzzer that is led by coverage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a failure is a failed test, and the fuzzer's crate needs the names to be public"
)]

#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// Longer inputs say nothing that these do not.
const INPUT_MAX: usize = 4096;

/// What structure is made of, in one protocol or another.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b".",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b" ",
    b"\t",
    b"<",
    b">",
    b"@",
    b":",
    b"\"",
    b"\\",
    b"=",
    b"=?utf-8?Q?=0D=0A?=",
    b"--",
    b"\xc3\xa9",
    b"\xff",
    b"\xe2\x80\xa8",
    b"99999999999999999999",
];

/// One test a target; the number is how many changed inputs it gets.
macro_rules! targets {
    ($($name:ident: $runs:expr,)*) => {
        $(
            #[test]
            fn $name() {
                bombard(stringify!($name), $runs);
            }
        )*

        #[test]
        fn every_target_is_run() {
            let names = [$(stringify!($name)),*];
            let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names[..], known);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/fuzz_targets");
            for name in names {
                let text = std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
                assert!(text.contains(&format!("run(\"{name}\", octets)")), "{name}");
            }
        }
    };
}

targets! {
    auth: 12_000,
    certificate: 30_000,
    claims: 12_000,
    client: 3_000,
    command: 12_000,
    config: 900,
    content: 9_000,
    dsn: 30_000,
    header: 9_000,
    line: 12_000,
    path: 12_000,
    reply: 12_000,
    rewrite: 6_000,
    session: 9_000,
    subject: 12_000,
}

fn bombard(name: &str, runs: u32) {
    let target = targets::TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target");
    let corpus = corpus(name);
    assert!(corpus.len() >= 5, "{name} has {} seeds", corpus.len());
    for (file, octets) in &corpus {
        run(*target, octets, &format!("{}", file.display()));
    }
    let number = |variable, default: u64| {
        let text = std::env::var(variable).ok();
        text.map_or(default, |text| text.parse().expect(variable))
    };
    let seed = number("FUZZ_SEED", 0);
    let mut rng = Rng::with_seed(seed);
    for count in 0..number("FUZZ_RUNS", runs.into()) {
        let octets = changed(&corpus, &mut rng);
        run(
            *target,
            &octets,
            &format!("FUZZ_SEED={seed}, input {count}"),
        );
    }
}

fn run(target: targets::Target, octets: &[u8], origin: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(octets))) {
        eprintln!("{origin}: b\"{}\"", octets.escape_ascii());
        resume_unwind(panic);
    }
}

/// The seeds of a target, in the order of their names.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let entries = std::fs::read_dir(folder.join(name)).expect("the seeds");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let octets = std::fs::read(&file).unwrap();
        (file, octets)
    };
    files.into_iter().map(read).collect()
}

/// A seed with one to eight changes.
fn changed(corpus: &[(PathBuf, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    let (_, seed) = &corpus[rng.usize(..corpus.len())];
    let mut octets = seed.clone();
    for _ in 0..rng.u8(1..=8) {
        let at = rng.usize(..=octets.len());
        let to = (at + rng.usize(..32)).min(octets.len());
        match rng.u8(..7) {
            0 => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet ^= 1 << rng.u8(..8);
                }
            }
            1 => octets.insert(at, rng.u8(..)),
            2 | 3 => {
                let word = WORDS[rng.usize(..WORDS.len())];
                octets.splice(at..at, word.iter().copied());
            }
            4 => drop(octets.drain(at..to)),
            5 => {
                let piece = octets[at..to].to_vec();
                let place = rng.usize(..=octets.len());
                octets.splice(place..place, piece);
            }
            _ => {
                let (_, other) = &corpus[rng.usize(..corpus.len())];
                let from = rng.usize(..=other.len());
                octets.truncate(at);
                octets.extend_from_slice(&other[from..]);
            }
        }
        octets.truncate(INPUT_MAX);
    }
    octets
}
