//! Tunnels of every kind that this kernel has: with room, and with a smaller end below.

use anyhow::{Context, Result, ensure};
use lab::counters::{dropped, snmp};
use lab::firewall::{self, Hook};
use lab::kinds::Kind;
use lab::topology::{Overlay, OverlayLab};
use lab::traffic::Transfer;

use crate::verdict::{at_least_three, completes, hangs, has};

const UPLOAD: Transfer = Transfer::upload(20_000);
const DOWNLOAD: Transfer = Transfer::download(20_000);

/// The kinds, and what each adds to a packet.
const KINDS: [(Kind, u32); 6] = [
    (Kind::Vxlan, 50),
    (Kind::Geneve, 50),
    (Kind::Gre, 24),
    (Kind::Gretap, 38),
    (Kind::Ipip, 20),
    (Kind::Wireguard, 60),
];

/// Checks a tunnel of each kind that there is, routed, for whose packets `missing` bytes are missing.
fn each(far: u32, missing: u32, check: impl Fn(Kind, OverlayLab) -> Result<()>) -> Result<()> {
    for (kind, overhead) in KINDS {
        if !has(kind)? {
            continue;
        }
        let mtu = 1500 - overhead + missing;
        let lab = Overlay {
            tunnel: kind,
            overlay: mtu,
            container: mtu,
            far,
            routed: true,
            df: kind != Kind::Vxlan && kind != Kind::Geneve,
            ..Overlay::default()
        };
        check(kind, lab.build()?).with_context(|| kind.name())?;
    }
    Ok(())
}

#[test]
fn room_passes_everything() -> Result<()> {
    each(1500, 0, |_, lab| {
        completes(&lab.run(&UPLOAD)?)?;
        completes(&lab.run(&DOWNLOAD)?)?;
        ensure!(snmp(lab.node1()?, "Ip", "FragCreates")? == 0);
        ensure!(dropped(lab.node1()?, OverlayLab::UNDERLAY)?.tx == 0);
        Ok(())
    })
}

#[test]
fn a_small_far_end_is_silent() -> Result<()> {
    each(1400, 0, |_, lab| {
        hangs(&lab.run(&UPLOAD)?)?;
        at_least_three(
            "tx_dropped",
            dropped(lab.node1()?, OverlayLab::UNDERLAY)?.tx,
        )?;
        ensure!(snmp(lab.inside()?, "Icmp", "InDestUnreachs")? == 0);
        Ok(())
    })
}

/// Tunnels of IP measure the packet before they send it, and tell its sender. The others, and
/// wireguard, cut what they send.
#[test]
fn a_tunnel_of_ip_without_room_tells_the_sender() -> Result<()> {
    each(1500, 20, |kind, lab| {
        let measures = matches!(kind, Kind::Gre | Kind::Gretap | Kind::Ipip);
        completes(&lab.run(&UPLOAD)?)?;
        let told = snmp(lab.inside()?, "Icmp", "InDestUnreachs")?;
        let cut = snmp(lab.node1()?, "Ip", "FragCreates")?;
        ensure!(
            (told > 0) == measures && (cut > 0) != measures,
            "{}: {told} messages, {cut} fragments",
            kind.name()
        );
        if measures {
            firewall::drop_frag_needed(lab.inside()?, Hook::Input)?;
            lab.inside()?.ip("route flush cache\n")?;
            hangs(&lab.run(&UPLOAD)?)?;
        }
        Ok(())
    })
}
