//! The fuzzer's side of the targets.

#[path = "targets/mod.rs"]
pub mod targets;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the target called `name`; a panic that leaves it ends the process, which is how libFuzzer finds it.
///
/// libFuzzer's own hook ends the process at any panic. The relay contains those of the mail parser, and that is
/// no crash; so that hook is replaced by one that only takes note.
///
/// # Panics
/// When there is no such target.
pub fn run(name: &str, octets: &[u8]) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            LAST.with_borrow_mut(|last| *last = info.to_string());
        }));
    });
    let found = targets::TARGETS.iter().find(|(target, _)| *target == name);
    let (_, target) = found.expect("a target");
    if panic::catch_unwind(AssertUnwindSafe(|| target(octets))).is_err() {
        LAST.with_borrow(|last| eprintln!("{last}"));
        process::abort();
    }
}
