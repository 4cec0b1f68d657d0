//! Gateways that carry packets by IPsec, MACsec, MPLS or segment routing.

use anyhow::Result;
use lab::firewall::{Hook, drop_frag_needed};
use lab::kinds::Kind;
use lab::topology::{By, SiteToSite, SiteToSiteLab};

use super::{UPLOAD, completes, finds, hangs, scenario};
use crate::foreseen::Foreseen;
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

/// What IPsec leaves of 1500 bytes with AES-GCM in tunnel mode (`xfrm_state_mtu`), and MACsec with a tag of
/// 16 bytes.
const ESP_BYTES: u32 = 1446;
const MACSEC_BYTES: u32 = 1468;
/// One label takes four bytes.
const MPLS_BYTES: u32 = 1496;

const fn gateway(by: By, ends: u32) -> SiteToSite {
    SiteToSite { by, ends }
}

const fn place(egress: &'static str, function: &'static str, limit_bytes: u32) -> Place {
    Place {
        role: "node1",
        ingress: None,
        egress,
        function,
        limit_bytes,
        packet_bytes: 1500,
    }
}

const POLICY: Place = place(SiteToSiteLab::UNDERLAY, "ip_forward", ESP_BYTES);
const INTERFACE: Place = place("ipsec0", "xfrmi_xmit", ESP_BYTES);
const VTI: Place = place("vti1", "vti_tunnel_xmit", ESP_BYTES);
const MACSEC: Place = place("macsec0", "ip_forward", MACSEC_BYTES);
const MPLS: Place = place(SiteToSiteLab::UNDERLAY, "ip_forward", MPLS_BYTES);
const SEGMENTS: Place = Place {
    packet_bytes: 1564,
    ..place(SiteToSiteLab::UNDERLAY, "ip6_forward", 1500)
};

/// The client drops the message that the gateway sends.
const fn unheard(place: Place) -> Expect {
    let want = Want::hole(place).blocked("in", "INPUT");
    finds(want.direction("upload"))
}

const fn works(place: Place) -> Expect {
    finds(Want::working(place).direction("upload"))
}

fn silenced(by: By) -> Result<Traffic> {
    let lab = gateway(by, 1500).build()?;
    drop_frag_needed(lab.inside()?, Hook::Input)?;
    hangs(lab, UPLOAD)
}

fn told(by: By) -> Result<Traffic> {
    completes(gateway(by, 1500).build()?, UPLOAD)
}

const IPSEC: &str = "what IPsec adds depends on its ciphers";

pub const SCENARIOS: &[Scenario] = &[
    scenario("Y1", "IPsec policies, unheard", unheard(POLICY), || {
        silenced(By::Policy)
    })
    .needs(Kind::Esp)
    .unforeseen(IPSEC),
    scenario(
        "Y1b",
        "IPsec policies tell the sender",
        works(POLICY),
        || told(By::Policy),
    )
    .needs(Kind::Esp)
    .unforeseen(IPSEC),
    scenario("Y2", "xfrm interface, unheard", unheard(INTERFACE), || {
        silenced(By::Interface)
    })
    .needs(Kind::Xfrm)
    .unforeseen(IPSEC),
    scenario(
        "Y2b",
        "xfrm interface tells the sender",
        works(INTERFACE),
        || told(By::Interface),
    )
    .needs(Kind::Xfrm)
    .unforeseen(IPSEC),
    scenario("Y3", "vti, unheard", unheard(VTI), || silenced(By::Vti))
        .needs(Kind::Vti)
        .unforeseen(IPSEC),
    scenario("Y3b", "vti tells the sender", works(VTI), || told(By::Vti))
        .needs(Kind::Vti)
        .unforeseen(IPSEC),
    scenario("Y4", "MACsec, unheard", unheard(MACSEC), || {
        silenced(By::Macsec)
    })
    .needs(Kind::Macsec),
    scenario("Y4b", "MACsec tells the sender", works(MACSEC), || {
        told(By::Macsec)
    })
    .needs(Kind::Macsec),
    scenario("Y5", "MPLS label, unheard", unheard(MPLS), || {
        silenced(By::Mpls)
    })
    .needs(Kind::Mpls),
    scenario("Y5b", "MPLS label tells the sender", works(MPLS), || {
        told(By::Mpls)
    })
    .needs(Kind::Mpls),
    scenario(
        "Y6",
        "segment routing: the router tells itself only",
        finds(Want::hole(SEGMENTS).silent().direction("upload")),
        || hangs(gateway(By::Segments, 1500).build()?, UPLOAD.v6()),
    )
    .needs(Kind::Seg6),
    scenario("Y6b", "segment routing with room", Expect::Nothing, || {
        completes(gateway(By::Segments, 1436).build()?, UPLOAD.v6())
    })
    .needs(Kind::Seg6)
    .foreseen(Foreseen::QUIET),
];
