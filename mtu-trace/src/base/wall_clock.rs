//! Kernel time as wall time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The clock of the events: kernel time to wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// A wall time.
    pub wall: Timestamp,
    /// The same moment of `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
}

impl Clock {
    /// The wall time of an event.
    #[must_use]
    pub fn wall(&self, monotonic_ns: u64) -> Timestamp {
        let since = i128::from(monotonic_ns) - i128::from(self.monotonic_ns);
        Timestamp::from_nanosecond(self.wall.as_nanosecond() + since).unwrap_or(self.wall)
    }
}
