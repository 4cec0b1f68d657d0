//! Tunnels other than vxlan, where the kernel has them.

use anyhow::Result;
use lab::firewall::{Hook, drop_frag_needed, drop_packet_too_big};
use lab::kinds::Kind;
use lab::topology::{Overlay, OverlayLab};

use super::{UPLOAD, completes, finds, hangs, scenario};
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

/// What a tunnel adds to a packet, bytes.
const fn overhead(kind: Kind) -> u32 {
    match kind {
        Kind::Gre => 24,
        Kind::Gretap => 38,
        Kind::Ipip | Kind::Sit => 20,
        Kind::Fou => 28,
        Kind::Ip6tnl => 40,
        Kind::Ip6gre => 44,
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

/// Where the tunnel itself drops what has no room.
const fn entry(kind: Kind, function: &'static str) -> Place {
    Place {
        egress: OverlayLab::tunnel(kind),
        function,
        limit_bytes: 1500 - overhead(kind),
        ..UNDERLAY
    }
}

const fn unheard(kind: Kind, function: &'static str) -> Expect {
    let want = Want::hole(entry(kind, function)).blocked("in", "INPUT");
    finds(want.direction("upload"))
}

const fn told(kind: Kind, function: &'static str) -> Expect {
    finds(Want::working(entry(kind, function)).direction("upload"))
}

fn without_room(kind: Kind) -> Result<Traffic> {
    completes(tunnel(kind, 0, 1500).build()?, UPLOAD)
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
        unheard(Kind::Gre, "ip_tunnel_xmit"),
        || too_large(Kind::Gre),
    )
    .needs(Kind::Gre),
    scenario(
        "E2c",
        "gre without room: tells the sender",
        told(Kind::Gre, "ip_tunnel_xmit"),
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
        unheard(Kind::Ipip, "ip_tunnel_xmit"),
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
    scenario(
        "E4c",
        "ipip without room: tells the sender",
        told(Kind::Ipip, "ip_tunnel_xmit"),
        || without_room(Kind::Ipip),
    )
    .needs(Kind::Ipip),
    scenario(
        "E3b",
        "bridged gretap without room: nobody is told",
        finds(
            Want::hole(entry(Kind::Gretap, "ip_tunnel_xmit"))
                .silent()
                .direction("upload"),
        ),
        || hangs(tunnel(Kind::Gretap, 0, 1500).build()?, UPLOAD),
    )
    .needs(Kind::Gretap),
    scenario(
        "E6",
        "ip6tnl without room, unheard",
        unheard(Kind::Ip6tnl, "ip6_tnl_start_xmit"),
        || too_large(Kind::Ip6tnl),
    )
    .needs(Kind::Ip6tnl),
    scenario(
        "E6b",
        "ip6tnl without room: tells the sender",
        told(Kind::Ip6tnl, "ip6_tnl_start_xmit"),
        || without_room(Kind::Ip6tnl),
    )
    .needs(Kind::Ip6tnl),
    scenario(
        "E7",
        "ip6gre without room, unheard",
        unheard(Kind::Ip6gre, "ip6gre_tunnel_xmit"),
        || too_large(Kind::Ip6gre),
    )
    .needs(Kind::Ip6gre),
    scenario(
        "E7b",
        "ip6gre without room: tells the sender",
        told(Kind::Ip6gre, "ip6gre_tunnel_xmit"),
        || without_room(Kind::Ip6gre),
    )
    .needs(Kind::Ip6gre),
    scenario(
        "E8",
        "sit without room, unheard",
        // The tunnel lowers the route's MTU with the first packet.
        finds(
            Want::hole(entry(Kind::Sit, "ip6_fragment"))
                .blocked("in", "INPUT")
                .direction("upload"),
        ),
        || {
            let lab = tunnel(Kind::Sit, 0, 1500).build()?;
            drop_packet_too_big(lab.inside()?, Hook::Input)?;
            hangs(lab, UPLOAD.v6())
        },
    )
    .needs(Kind::Sit)
    .unforeseen("the first packet dies in the tunnel, those after it on its route"),
    scenario(
        "E8b",
        "sit without room: tells the sender",
        told(Kind::Sit, "sit_tunnel_xmit"),
        || completes(tunnel(Kind::Sit, 0, 1500).build()?, UPLOAD.v6()),
    )
    .needs(Kind::Sit),
    scenario(
        "E9",
        "ipip in UDP (FOU) without room, unheard",
        unheard(Kind::Fou, "ip_tunnel_xmit"),
        || too_large(Kind::Fou),
    )
    .needs(Kind::Fou),
    scenario(
        "E9b",
        "ipip in UDP (FOU) without room: tells the sender",
        told(Kind::Fou, "ip_tunnel_xmit"),
        || without_room(Kind::Fou),
    )
    .needs(Kind::Fou),
];
