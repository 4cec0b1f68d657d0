//! The kernel programs' clock, the clock that files and processes are dated by, and the wall's.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

fn now(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Now, ns of `CLOCK_MONOTONIC`: the clock of `bpf_ktime_get_ns`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(now(ClockId::Monotonic).as_nanos()).unwrap_or(u64::MAX)
}

/// When this machine was booted by the clock on the wall as it goes now, since the Epoch.
#[must_use]
pub fn booted() -> Duration {
    let since_boot = now(ClockId::Boottime);
    now(ClockId::Realtime).saturating_sub(since_boot)
}

/// Turns the kernel time of events into wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The wall time of one moment.
    pub wall: Timestamp,
    /// The same moment of `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
}

impl Clock {
    /// The clocks as they stand.
    #[must_use]
    pub fn now() -> Self {
        Self {
            wall: Timestamp::now(),
            monotonic_ns: monotonic_ns(),
        }
    }

    /// The wall time of an event.
    #[must_use]
    pub fn wall(&self, monotonic_ns: u64) -> Timestamp {
        let since = i128::from(monotonic_ns) - i128::from(self.monotonic_ns);
        Timestamp::from_nanosecond(self.wall.as_nanosecond() + since).unwrap_or(self.wall)
    }
}
