//! What happens on an opaque wire shows at its ends only: the kernel drops nothing.

use anyhow::{Result, ensure};
use lab::Netns;
use lab::counters::{Dropped, dropped, snmp};
use lab::topology::{Nested, NestedLab, Wired, WiredLab};
use lab::traffic::{self, Transfer};
use lab::wire::Policy;

use crate::verdict::{at_least_three, completes, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);

/// No counter of this namespace knows of a packet that was too big.
fn knows_nothing(netns: &Netns, device: &str) -> Result<()> {
    let fails = snmp(netns, "Ip", "FragFails")?;
    let told = snmp(netns, "Icmp", "OutDestUnreachs")? + snmp(netns, "Icmp", "InDestUnreachs")?;
    let count = dropped(netns, device)?;
    ensure!(
        fails == 0 && told == 0 && count == Dropped::default(),
        "{}: {fails} too big, {told} ICMP, {count:?}",
        netns.role()
    );
    Ok(())
}

#[test]
fn a_good_wire_passes_everything() -> Result<()> {
    let lab = Wired::default().build()?;
    for transfer in [
        DOWNLOAD,
        DOWNLOAD.v6(),
        Transfer::upload(500_000),
        Transfer::upload(500_000).v6(),
    ] {
        completes(&lab.run(&transfer)?)?;
    }
    ensure!(lab.wire.discarded() == 0);
    knows_nothing(lab.server()?, WiredLab::DEVICE)
}

#[test]
fn a_limited_wire_is_a_silent_hole() -> Result<()> {
    for transfer in [DOWNLOAD, DOWNLOAD.v6()] {
        let lab = Wired {
            policy: Policy::Limit(1499),
            ..Wired::default()
        }
        .build()?;
        hangs(&lab.run(&transfer)?)?;
        at_least_three("discarded", lab.wire.discarded())?;
        at_least_three(
            "retransmissions",
            snmp(lab.server()?, "Tcp", "RetransSegs")?,
        )?;
        knows_nothing(lab.client()?, WiredLab::DEVICE)?;
        knows_nothing(lab.server()?, WiredLab::DEVICE)?;
        lab.wire.set(Policy::Limit(1500));
        completes(&lab.run(&transfer)?)?;
    }
    Ok(())
}

#[test]
fn a_hole_behind_the_host() -> Result<()> {
    for masquerade in [false, true] {
        let lab = Nested {
            masquerade,
            ..Nested::default()
        }
        .build()?;
        let wire = lab.opaque_wire(Policy::Pass)?;
        completes(&lab.run(&DOWNLOAD)?)?;
        completes(&lab.run(&DOWNLOAD.v6())?)?;
        wire.set(Policy::Limit(1450));
        hangs(&lab.run(&DOWNLOAD)?)?;
        hangs(&lab.run(&Transfer::upload(20_000).v6())?)?;
        knows_nothing(lab.host()?, NestedLab::EXTERNAL)?;
        knows_nothing(lab.server()?, NestedLab::SERVER)?;
    }
    Ok(())
}

#[test]
fn a_wire_that_dies_takes_the_connection_with_it() -> Result<()> {
    for transfer in [DOWNLOAD, DOWNLOAD.v6()] {
        let lab = Wired::default().build()?;
        let outcome = lab.run(&transfer)?;
        completes(&outcome)?;
        lab.wire.set(Policy::Dead);
        // Not even the request arrives.
        let outcome = traffic::carry(outcome.connection, &transfer)?;
        hangs(&outcome)?;
        at_least_three("discarded", lab.wire.discarded())?;
        lab.wire.set(Policy::Pass);
    }
    Ok(())
}

#[test]
fn the_ends_vanish_with_the_wire() -> Result<()> {
    let lab = Nested::default().build()?;
    let wire = lab.opaque_wire(Policy::Pass)?;
    let exists = || lab.host()?.ip_output(&["-o", "link", "show"]);
    ensure!(exists()?.contains(NestedLab::EXTERNAL));
    drop(wire);
    ensure!(!exists()?.contains(NestedLab::EXTERNAL), "{}", exists()?);
    Ok(())
}
