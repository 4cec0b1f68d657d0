//! What makes a small uplink harmless: each remedy lets everything through, and nothing is dropped.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::clamp::{clamp_to_pmtu, clamp_to_pmtu_by_iptables};
use lab::counters::{snmp, snmp6};
use lab::firewall::{self, Hook};
use lab::topology::{Nested, NestedLab};
use lab::traffic::Transfer;

use crate::verdict::{SMALL_UPLINK, completes};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// Both ways and both IP versions complete, and no forwarder meets a packet that is too big.
fn passes_without_drops(lab: &NestedLab) -> Result<()> {
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
        completes(&lab.run(&transfer)?)?;
    }
    for netns in [lab.out()?, lab.host()?] {
        let fails = snmp(netns, "Ip", "FragFails")?;
        let too_big = snmp6(netns, "Ip6InTooBigErrors")?;
        ensure!(
            fails == 0 && too_big == 0,
            "{}: {fails} and {too_big} too big",
            netns.role()
        );
    }
    Ok(())
}

#[test]
fn f2_small_container_mtu() -> Result<()> {
    passes_without_drops(
        &Nested {
            container: 1450,
            ..SMALL_UPLINK
        }
        .build()?,
    )
}

#[test]
fn f1_clamp_by_iptables() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    clamp_to_pmtu_by_iptables(lab.host()?)?;
    for transfer in [DOWNLOAD, UPLOAD] {
        completes(&lab.run(&transfer)?)?;
    }
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
    ensure!(snmp(lab.out()?, "Ip", "FragFails")? == 0);
    Ok(())
}

#[test]
fn f3_clamp() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    clamp_to_pmtu(lab.host()?)?;
    clamp_to_pmtu(lab.out()?)?;
    passes_without_drops(&lab)
}

/// Either forwarder has the small uplink on one side, and `rt mtu` looks at the routes both ways.
#[test]
fn f3_one_clamp_is_enough() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    clamp_to_pmtu(lab.host()?)?;
    passes_without_drops(&lab)?;

    let lab = SMALL_UPLINK.build()?;
    clamp_to_pmtu(lab.out()?)?;
    passes_without_drops(&lab)
}

#[test]
fn f4_clamp_while_icmp_is_blocked() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    for netns in [lab.out()?, lab.host()?] {
        firewall::drop_frag_needed(netns, Hook::Output)?;
        firewall::drop_packet_too_big(netns, Hook::Output)?;
        clamp_to_pmtu(netns)?;
    }
    passes_without_drops(&lab)
}

/// Not a remedy for the network, but one for the sender: without DF the forwarder fragments.
#[test]
fn a4_without_df_it_is_fragmented() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    lab.server()?.sysctl("ipv4/ip_no_pmtu_disc", "1")?;
    completes(&lab.run(&DOWNLOAD)?)?;
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
    // Thirteen full-size segments, two fragments each.
    let created = snmp(lab.host()?, "Ip", "FragCreates")?;
    ensure!(created >= 26, "{created} fragments");
    Ok(())
}

/// The sender finds a size that passes by itself, after some timeouts.
#[test]
fn a2c_mtu_probing_recovers() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    lab.server()?.sysctl("ipv4/tcp_mtu_probing", "1")?;
    let outcome = lab.run(&DOWNLOAD.within(Duration::from_secs(20)))?;
    completes(&outcome)?;
    // 6.5 s: black hole detection begins after tcp_retries1 (3) timeouts.
    ensure!(outcome.elapsed >= Duration::from_secs(3), "{outcome:?}");
    Ok(())
}
