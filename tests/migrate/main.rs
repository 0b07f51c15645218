//! The migration guides (docs/migrate) are true.
#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

mod commands;
mod examples;
mod page;
#[path = "../support/mod.rs"]
mod support;
