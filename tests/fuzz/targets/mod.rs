//! What is fuzzed: one function a target, which takes any octets and panics when a promise is broken.
//!
//! Two crates share this module: the fuzzer's own (`lib.rs`), and `tests/fuzz_random.rs`, which runs it in
//! the suite. Where a target has variants the first octet of its input chooses one, so that a seed is a text
//! with one letter before it.

mod auth;
mod certificate;
mod claims;
mod client;
mod command;
mod config;
mod content;
mod dsn;
mod header;
mod line;
mod message;
mod path;
mod reply;
mod rewrite;
mod session;
mod subject;

/// A target takes any octets.
pub type Target = fn(&[u8]);

/// Every target under its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 15] = [
    ("auth", auth::run),
    ("certificate", certificate::run),
    ("claims", claims::run),
    ("client", client::run),
    ("command", command::run),
    ("config", config::run),
    ("content", content::run),
    ("dsn", dsn::run),
    ("header", header::run),
    ("line", line::run),
    ("path", path::run),
    ("reply", reply::run),
    ("rewrite", rewrite::run),
    ("session", session::run),
    ("subject", subject::run),
];

/// The first octet, which chooses the variant, and the input itself.
fn variant(octets: &[u8]) -> (u8, &[u8]) {
    octets
        .split_first()
        .map_or((0, octets), |(variant, input)| (*variant, input))
}

/// `octets` as a network may cut them: 1 to 16 at a time, the same way for the same `seed`.
fn cut(seed: u8, octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) + 1;
    let mut rest = octets;
    std::iter::from_fn(move || {
        // The generator of Numerical Recipes; its upper bits are the better ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 28) as usize + 1;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// CR and LF stand only together, and the last line has its end.
fn assert_whole_lines(octets: &[u8]) {
    let shown = || String::from_utf8_lossy(octets);
    assert!(
        octets.is_empty() || octets.ends_with(b"\r\n"),
        "{:?}",
        shown()
    );
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\r\n");
        let is_whole = text.is_some_and(|text| !text.contains(&b'\r'));
        assert!(is_whole, "{:?}", shown());
    }
}

/// Nothing that could end a line or steer a terminal.
fn assert_one_line(text: &str) {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!text.contains(breaks), "{text:?}");
}
