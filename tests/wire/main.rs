//! Octets on the wire, the replies to them, and the messages that reach the upstream: exactly those, and nothing
//! else. The relay and its upstream are real, with a socket on either side.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as tests do"
)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod content;
mod foreign;
mod injection;
mod limits;
mod order;
mod secured;
mod smuggling;
mod syntax;
