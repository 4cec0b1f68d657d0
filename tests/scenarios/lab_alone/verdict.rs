//! What the tests of the lab share: the commonest fault, and how its traffic is judged.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use lab::kinds::Kind;
use lab::skips;
use lab::topology::Nested;
use lab::traffic::Outcome;

/// A container host whose uplink is smaller than its inner network, at both ends.
pub const SMALL_UPLINK: Nested = Nested {
    container: 1500,
    uplink: 1450,
    port: 1450,
    bridge: None,
    offloads: false,
    masquerade: false,
    exclusive: false,
};

/// Everything arrived.
pub fn completes(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    Ok(())
}

/// Nothing arrived, and the connection is still there.
pub fn hangs(outcome: &Outcome) -> Result<()> {
    ensure!(
        outcome.hung() && outcome.received == 0,
        "should hang: {outcome:?}"
    );
    Ok(())
}

/// Three: the first packet and its retransmissions at 0.2 and 0.6 s.
pub fn at_least_three(what: &str, count: u64) -> Result<()> {
    ensure!(count >= 3, "{what}: {count}");
    Ok(())
}

/// Whether this kernel has such interfaces; the test that asks is counted as skipped where it does not.
pub fn has(kind: Kind) -> Result<bool> {
    let is_supported = kind.is_supported()?;
    if !is_supported {
        let thread = thread::current();
        // The test harness names its threads after the tests.
        let test = thread.name().unwrap_or("a test of the lab");
        skips::skip(test, &format!("this kernel has no {}", kind.name()));
    }
    Ok(is_supported)
}

/// Checks all cases at the same time, since each waits for timers of the kernel.
pub fn at_once<T: Send>(
    cases: impl IntoIterator<Item = T>,
    check: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let check = &check;
    thread::scope(|scope| {
        let cases = cases.into_iter();
        let running: Vec<_> = cases.map(|case| scope.spawn(move || check(case))).collect();
        let panicked = |_| Err(anyhow!("a case panicked"));
        let mut outcomes = running
            .into_iter()
            .map(|case| case.join().unwrap_or_else(panicked));
        outcomes.try_for_each(|outcome| outcome)
    })
}
