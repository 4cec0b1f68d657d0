//! Faults beyond what this host can see: an opaque wire in user space.

use std::time::Duration;

use anyhow::Result;
use lab::topology::{Nested, NestedLab, Wired};
use lab::traffic::Transfer;
use lab::wire::Policy;

use super::{DOWNLOAD, UPLOAD, completes, finds, hung, scenario, traffic};
use crate::count::{Counter, RETRANSMITTED, at_least};
use crate::scenario::{Expect, Scenario, Traffic, Want};

/// Enough packets for a policy that meets some of them.
const LONG: Transfer = Transfer::download(500_000).within(Duration::from_secs(15));
/// Enough for one that meets few.
const LONGER: Transfer = Transfer::download(3_000_000).within(Duration::from_secs(20));

/// Segments that the receiver says it had already.
const REPEATED: Counter = Counter::Snmp("TcpExt", "TCPDSACKOldSent");
const OUT_OF_ORDER: Counter = Counter::Snmp("TcpExt", "TCPOFOQueue");

const fn remote(direction: &'static str) -> Expect {
    finds(Want::new("remote-black-hole", "error").direction(direction))
}

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "R1",
        "a hole beyond this host, download",
        remote("download"),
        || behind(Policy::Limit(1450), DOWNLOAD),
    ),
    scenario(
        "R2",
        "a hole beyond this host, upload",
        remote("upload"),
        || behind(Policy::Limit(1450), UPLOAD),
    ),
    scenario(
        "R3",
        "a hole beyond this host, IPv6",
        remote("upload"),
        || behind(Policy::Limit(1450), UPLOAD.v6()),
    ),
    scenario(
        "R4",
        "5 % of packets lost beyond this host",
        finds(Want::new("packet-loss", "info")),
        || wired(Policy::Lose { percent: 5 }, LONG),
    )
    .counts(&[at_least(3, RETRANSMITTED, "srv")]),
    scenario(
        "R5",
        "15 % of packets lost beyond this host",
        finds(Want::new("packet-loss", "info")),
        || {
            wired(
                Policy::Lose { percent: 15 },
                Transfer::download(200_000).within(Duration::from_secs(30)),
            )
        },
    ),
    scenario(
        "R4b",
        "1 % of packets lost beyond this host",
        finds(Want::new("packet-loss", "info")),
        || wired(Policy::Lose { percent: 1 }, LONGER),
    ),
    scenario(
        "R5b",
        "20 % of packets lost beyond this host",
        finds(Want::new("packet-loss", "info")),
        || {
            wired(
                Policy::Lose { percent: 20 },
                Transfer::download(100_000).within(Duration::from_secs(40)),
            )
        },
    ),
    scenario("R6", "every packet comes twice", Expect::Nothing, || {
        wired(Policy::Duplicate, LONG)
    })
    .counts(&[at_least(3, REPEATED, "in")]),
    scenario("R7", "packets overtake each other", Expect::Nothing, || {
        wired(Policy::Reorder { every: 5 }, LONG)
    })
    .counts(&[at_least(3, OUT_OF_ORDER, "in")]),
];

fn behind(policy: Policy, transfer: Transfer) -> Result<Traffic> {
    let lab: NestedLab = Nested::default().build()?;
    let wire = lab.opaque_wire(policy)?;
    traffic(move || {
        let outcome = lab.run(&transfer)?;
        Ok(hung(lab, transfer, outcome)?.keeping(wire))
    })
}

fn wired(policy: Policy, transfer: Transfer) -> Result<Traffic> {
    let lab = Wired {
        policy,
        ..Wired::default()
    };
    completes(lab.build()?, transfer)
}
