//! The process, under the names that all programs give it. Where there is no `/proc` they are left out.

use std::fs;

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};

use super::page::Page;

/// Of `/proc/PID/stat`: `USER_HZ`, which is 100 wherever Linux runs on a machine of this century.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn show(page: &mut Page, started_at: Timestamp) {
    page.gauge(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
    )
    .sample(&[], started_at.as_millisecond() as f64 / 1e3);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        page.counter(
            "process_cpu_seconds_total",
            "Processor time that was used, by user and system.",
        )
        .sample(&[], seconds);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, help, key) in [
        ("process_resident_memory_bytes", "Memory in use.", "VmRSS:"),
        (
            "process_virtual_memory_bytes",
            "Address space in use.",
            "VmSize:",
        ),
    ] {
        if let Some(bytes) = bytes(&status, key) {
            page.gauge(name, help).sample(&[], bytes);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is that of this look.
        let open = (entries.count() as u64).saturating_sub(1);
        page.gauge("process_open_fds", "File descriptors in use.")
            .sample(&[], open);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        page.gauge(
            "process_max_fds",
            "File descriptors that may be in use (LimitNOFILE).",
        )
        .sample(&[], max);
    }
}

/// `utime` and `stime`, fields 14 and 15 of proc(5); the second is a name in parentheses that may hold
/// anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

/// A line such as `VmRSS:     9416 kB`.
fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194560 900 0 3 0 250 75 0 0 20 0 4 0 1234 9 8 7";
        assert_eq!(cpu_seconds(stat), Some(3.25));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t     3 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(3_072));
        assert_eq!(bytes(status, "VmSize:"), Some(2_097_152));
        assert_eq!(bytes(status, "VmSwap:"), None);
    }
}
