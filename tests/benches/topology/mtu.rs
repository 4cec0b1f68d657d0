//! MTU changes by hand.

use anyhow::Result;
use lab::link;
use lab::topology::NodeLab;

use crate::following::milliseconds;
use crate::monitor::Monitor;
use crate::observed::Observed;
use crate::table::Table;

const CHANGES: u32 = 100;

/// Changes the MTU of the host's uplink.
pub fn measure(node: &NodeLab, observed: &Observed, table: &mut Table) -> Result<()> {
    let netns = node.host()?;
    let name = NodeLab::EXTERNAL;
    let monitor = Monitor::start(netns)?;
    let (host, _) = observed.named(netns.name())?;
    let (mut known, mut limited) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let mtu = 1300 + number;
        let ((), changed_ns) = monitor.time(name, || link::set_mtu(netns, name, mtu))?;
        let (ifindex, known_ns) = observed.link(host, name, Some(mtu))?;
        let covered = observed.covered((host, ifindex), |it| {
            it.is_some_and(|covered| covered.limits.egress_bytes == mtu)
        })?;
        known.push(milliseconds(known_ns.saturating_sub(changed_ns)));
        limited.push(milliseconds(covered.limits_ns.saturating_sub(changed_ns)));
    }
    table.series(
        "mtu: known",
        "ms",
        known,
        "the topology has the new MTU, after the kernel told of the change",
    );
    table.series(
        "mtu: limit set",
        "ms",
        limited,
        "the kernel's map has the new limit, after the same",
    );
    Ok(())
}
