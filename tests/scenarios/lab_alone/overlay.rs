//! Tunnels that are too large for what they run on.

use anyhow::{Result, ensure};
use lab::counters::{dropped, snmp, snmp6};
use lab::firewall::{self, Hook};
use lab::topology::{Overlay, OverlayLab};
use lab::traffic::Transfer;

use crate::verdict::{at_least_three, completes, hangs};

/// The overlay has the underlay's MTU: no room for the tunnel's 50 bytes.
fn too_large() -> Overlay {
    Overlay {
        overlay: 1500,
        container: 1500,
        ..Overlay::default()
    }
}

/// The overlay fits its host's interface, and the far end of the underlay is smaller.
fn small_far_end() -> Overlay {
    Overlay {
        far: 1400,
        ..Overlay::default()
    }
}

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// The nodes' tunnels and interfaces sent all they were given.
fn nothing_dropped(lab: &OverlayLab) -> Result<()> {
    for node in [lab.node1()?, lab.node2()?] {
        for name in [OverlayLab::TUNNEL, OverlayLab::UNDERLAY] {
            let count = dropped(node, name)?;
            ensure!(count.tx == 0, "{name} of {}: {count:?}", node.role());
        }
    }
    Ok(())
}

#[test]
fn room_for_the_tunnel_passes_everything() -> Result<()> {
    for routed in [false, true] {
        for df in [false, true] {
            let lab = Overlay {
                routed,
                df,
                ..Overlay::default()
            }
            .build()?;
            for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
                completes(&lab.run(&transfer)?)?;
            }
            ensure!(snmp(lab.node2()?, "Ip", "FragCreates")? == 0);
            nothing_dropped(&lab)?;
        }
    }
    Ok(())
}

/// The tunnel answers in the far container's name, and the nodes count nothing.
#[test]
fn x1_bridged_tunnel_tells_the_sender() -> Result<()> {
    let lab = too_large().build()?;
    completes(&lab.run(&DOWNLOAD)?)?;
    completes(&lab.run(&DOWNLOAD.v6())?)?;
    ensure!(snmp(lab.server()?, "Icmp", "InDestUnreachs")? >= 1);
    ensure!(snmp6(lab.server()?, "Icmp6InPktTooBigs")? >= 1);
    for node in [lab.node1()?, lab.node2()?] {
        ensure!(snmp(node, "Ip", "FragFails")? == 0);
        ensure!(snmp6(node, "Ip6FragFails")? == 0);
        ensure!(snmp(node, "Icmp", "OutDestUnreachs")? == 0);
        ensure!(snmp6(node, "Icmp6OutPktTooBigs")? == 0);
    }
    nothing_dropped(&lab)
}

#[test]
fn x3_bridged_tunnel_is_not_heard() -> Result<()> {
    let lab = too_large().build()?;
    for container in [lab.inside()?, lab.server()?] {
        firewall::drop_frag_needed(container, Hook::Input)?;
    }
    for (transfer, sender) in [(DOWNLOAD, lab.server()?), (UPLOAD, lab.inside()?)] {
        hangs(&lab.run(&transfer)?)?;
        at_least_three(
            "dropped ICMP",
            firewall::dropped(sender, firewall::FRAG_NEEDED)?,
        )?;
    }
    nothing_dropped(&lab)
}

#[test]
fn x3_bridged_tunnel_is_not_heard_over_ipv6() -> Result<()> {
    let lab = too_large().build()?;
    firewall::drop_packet_too_big(lab.server()?, Hook::Input)?;
    hangs(&lab.run(&DOWNLOAD.v6())?)?;
    at_least_three(
        "dropped ICMP",
        firewall::dropped(lab.server()?, firewall::PACKET_TOO_BIG)?,
    )
}

/// The tunnel lowers the path MTU of the node's own route. Forwarding IPv4 ignores that, but sending
/// IPv6 on does not: from the second packet on the sender is told, with df or without.
#[test]
fn x5_x6_routed_tunnel_tells_an_ipv6_sender() -> Result<()> {
    for df in [false, true] {
        let lab = Overlay {
            routed: true,
            df,
            ..too_large()
        }
        .build()?;
        completes(&lab.run(&DOWNLOAD.v6())?)?;
        let node = lab.node2()?;
        ensure!(snmp6(node, "Ip6FragFails")? >= 1);
        // Not in the forwarding, which would count this.
        ensure!(snmp6(node, "Ip6InTooBigErrors")? == 0);
        ensure!(snmp6(lab.server()?, "Icmp6InPktTooBigs")? >= 1);
        // The first packet of all.
        let (fragments, fails) = if df { (0, 1) } else { (2, 0) };
        ensure!(snmp(node, "Ip", "FragCreates")? == fragments);
        ensure!(snmp(node, "Ip", "FragFails")? == fails);
    }
    Ok(())
}

/// Only what goes to the small end is lost: the node that has it tells its own container.
#[test]
fn x7_other_way_is_told() -> Result<()> {
    let lab = small_far_end().build()?;
    completes(&lab.run(&DOWNLOAD)?)?;
    ensure!(snmp(lab.server()?, "Icmp", "InDestUnreachs")? >= 1);
    nothing_dropped(&lab)
}
