//! Tunnels other than vxlan, where the kernel has them.

use anyhow::Result;
use lab::firewall::{Hook, drop_frag_needed};
use lab::kinds::Kind;
use lab::topology::{Overlay, OverlayLab};

use super::{UPLOAD, completes, finds, hangs, scenario};
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

/// What a tunnel adds to a packet, bytes.
const fn overhead(kind: Kind) -> u32 {
    match kind {
        Kind::Gre => 24,
        Kind::Gretap => 38,
        Kind::Ipip => 20,
        Kind::Wireguard => 60,
        _ => 50,
    }
}

/// A tunnel with `room` bytes for what it adds, and the far end of its underlay.
const fn tunnel(kind: Kind, room: u32, far: u32) -> Overlay {
    let mtu = 1500 - room;
    Overlay {
        tunnel: kind,
        overlay: mtu,
        container: mtu,
        underlay: 1500,
        far,
        routed: !matches!(kind, Kind::Geneve | Kind::Gretap),
        df: true,
        offloads: false,
    }
}

/// The tunnel fits its host's interface, and the far end of the underlay is smaller.
fn far_end(kind: Kind) -> Result<Traffic> {
    hangs(tunnel(kind, overhead(kind), 1400).build()?, UPLOAD)
}

/// The outer packets die in the underlay.
const UNDERLAY: Place = Place {
    role: "node1",
    ingress: None,
    egress: OverlayLab::UNDERLAY,
    function: "__dev_forward_skb2",
    limit_bytes: 1400,
    packet_bytes: 1500,
};

const fn inner() -> Expect {
    finds(Want::hole(UNDERLAY).silent().direction("upload"))
}

/// The tunnel itself drops what has no room.
const fn unheard(kind: Kind, function: &'static str) -> Expect {
    finds(
        Want::hole(Place {
            egress: OverlayLab::tunnel(kind),
            function,
            limit_bytes: 1500 - overhead(kind),
            ..UNDERLAY
        })
        .blocked("in", "INPUT")
        .direction("upload"),
    )
}

/// A tunnel without room for what it adds, whose message the container drops.
fn too_large(kind: Kind) -> Result<Traffic> {
    let lab = tunnel(kind, 0, 1500).build()?;
    drop_frag_needed(lab.inside()?, Hook::Input)?;
    hangs(lab, UPLOAD)
}

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "E1",
        "geneve: outer packets die at the far end",
        inner(),
        || far_end(Kind::Geneve),
    )
    .needs(Kind::Geneve),
    scenario(
        "E1b",
        "bridged geneve without room, unheard",
        unheard(Kind::Geneve, "skb_tunnel_check_pmtu"),
        || too_large(Kind::Geneve),
    )
    .needs(Kind::Geneve),
    scenario(
        "E2",
        "gre: outer packets die at the far end",
        inner(),
        || far_end(Kind::Gre),
    )
    .needs(Kind::Gre),
    scenario(
        "E2b",
        "gre without room, unheard",
        unheard(Kind::Gre, "tnl_update_pmtu"),
        || too_large(Kind::Gre),
    )
    .needs(Kind::Gre),
    scenario(
        "E2c",
        "gre without room: tells the sender",
        Expect::Nothing,
        || completes(tunnel(Kind::Gre, 0, 1500).build()?, UPLOAD),
    )
    .needs(Kind::Gre),
    scenario(
        "E3",
        "gretap: outer packets die at the far end",
        inner(),
        || far_end(Kind::Gretap),
    )
    .needs(Kind::Gretap),
    scenario(
        "E4",
        "ipip: outer packets die at the far end",
        inner(),
        || far_end(Kind::Ipip),
    )
    .needs(Kind::Ipip),
    scenario(
        "E4b",
        "ipip without room, unheard",
        unheard(Kind::Ipip, "tnl_update_pmtu"),
        || too_large(Kind::Ipip),
    )
    .needs(Kind::Ipip),
    scenario(
        "E5",
        "wireguard: outer packets die at the far end",
        inner(),
        || far_end(Kind::Wireguard),
    )
    .needs(Kind::Wireguard),
    scenario(
        "E5b",
        "wireguard without room: outer packets are cut",
        Expect::Nothing,
        || completes(tunnel(Kind::Wireguard, 0, 1500).build()?, UPLOAD),
    )
    .needs(Kind::Wireguard),
];
