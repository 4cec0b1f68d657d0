//! What the tests of the lab share: the commonest fault, and how its traffic is judged.

use anyhow::{Result, ensure};
use lab::{topology::Nested, traffic::Outcome};

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
