//! How long is waited on machines that are slower than most, such as emulated ones.

use std::sync::OnceLock;
use std::time::Duration;

/// `limit`, as many times as `MTU_TRACE_PATIENCE` says (a whole number; once if it says nothing).
///
/// For how long something may take, never for how long the kernel takes to time out: its clock runs
/// everywhere alike.
///
/// # Panics
///
/// The variable says something else.
#[must_use]
pub fn patient(limit: Duration) -> Duration {
    static TIMES: OnceLock<u32> = OnceLock::new();
    let times = TIMES.get_or_init(|| match std::env::var("MTU_TRACE_PATIENCE") {
        Err(_) => 1,
        Ok(times) => match times.parse() {
            Ok(times) if times > 0 => times,
            _ => panic!("MTU_TRACE_PATIENCE is no whole number above 0: {times}"),
        },
    });
    limit * *times
}
