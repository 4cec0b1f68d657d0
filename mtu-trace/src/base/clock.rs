//! The kernel programs' clock, and the one that files and processes are dated by.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Now, ns of `CLOCK_MONOTONIC`: the clock of `bpf_ktime_get_ns`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// When this machine was booted by the clock on the wall as it goes now, since the Epoch.
#[must_use]
pub fn booted() -> Duration {
    let since = |clock| {
        let now = clock_gettime(clock);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    };
    let since_boot = since(ClockId::Boottime);
    since(ClockId::Realtime).saturating_sub(since_boot)
}
