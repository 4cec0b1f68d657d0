//! Tunnels between two nodes, by the kind of interface that makes them.

use std::net::IpAddr;

use anyhow::{Result, bail};

use crate::address::Family;
use crate::command;
use crate::kinds::Kind;
use crate::netns::Netns;

/// The identifier of a vxlan's or a geneve's network.
pub const ID: u32 = 42;
/// The UDP port of vxlan.
pub const VXLAN_PORT: u16 = 4789;
/// The UDP port of FOU.
const FOU_PORT: u16 = 5555;
/// The UDP port of wireguard.
const WIREGUARD_PORT: u16 = 51820;
/// Private keys, which are secret to nobody: of the node with the lower address, and of the other.
const WIREGUARD_KEYS: [&str; 2] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHn8=",
    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pn8=",
];

/// One end of a tunnel.
pub struct TunnelEnd<'a> {
    /// The node.
    pub netns: &'a Netns,
    /// What makes the tunnel.
    pub kind: Kind,
    /// The MTU of the interface.
    pub mtu: u32,
    /// The node's address on the underlay.
    pub local: IpAddr,
    /// That of the other node.
    pub remote: IpAddr,
    /// Outer packets may not be fragmented on their way.
    pub df: bool,
}

/// What the interface of a tunnel is called. The kernel keeps `gre0` and the like for itself.
#[must_use]
pub const fn device(kind: Kind) -> &'static str {
    match kind {
        Kind::Geneve => "geneve0",
        Kind::Gre => "gre1",
        Kind::Gretap => "gretap1",
        Kind::Ipip | Kind::Fou => "ipip1",
        Kind::Sit => "sit1",
        Kind::Ip6tnl => "ip6tnl1",
        Kind::Ip6gre => "ip6gre1",
        Kind::Wireguard => "wg0",
        _ => "vxlan0",
    }
}

/// Whether a tunnel carries Ethernet frames, so that it can be a port of a bridge.
#[must_use]
pub const fn carries_frames(kind: Kind) -> bool {
    matches!(kind, Kind::Vxlan | Kind::Geneve | Kind::Gretap)
}

/// The family of the addresses that a tunnel is between.
#[must_use]
pub const fn outer(kind: Kind) -> Family {
    match kind {
        Kind::Ip6tnl | Kind::Ip6gre => Family::V6,
        _ => Family::V4,
    }
}

/// Makes the interface and sets it up. It has no address.
///
/// None is bound to a device: the kernel would limit its MTU to what that device can carry.
pub fn add(end: &TunnelEnd<'_>) -> Result<()> {
    let TunnelEnd {
        netns,
        kind,
        mtu,
        local,
        remote,
        df,
    } = end;
    let (name, df) = (device(*kind), *df);
    let settings = match kind {
        Kind::Vxlan => format!(
            "id {ID} local {local} remote {remote} dstport {VXLAN_PORT}{}",
            if df { " df set" } else { "" }
        ),
        Kind::Geneve => format!("id {ID} remote {remote}{}", if df { " df set" } else { "" }),
        Kind::Gre | Kind::Gretap | Kind::Ipip | Kind::Sit => format!(
            "local {local} remote {remote} {}",
            if df { "pmtudisc" } else { "nopmtudisc" }
        ),
        Kind::Fou => {
            netns.ip(&format!("fou add port {FOU_PORT} ipproto 4\n"))?;
            format!(
                "local {local} remote {remote} pmtudisc encap fou encap-sport auto \
                 encap-dport {FOU_PORT}"
            )
        }
        // They never let theirs be cut.
        Kind::Ip6tnl => {
            format!("local {local} remote {remote} mode any encaplimit none")
        }
        Kind::Ip6gre => format!("local {local} remote {remote} encaplimit none"),
        // It has no such setting: its packets may always be fragmented.
        Kind::Wireguard => String::new(),
        _ => bail!("{} is no tunnel of two ends", kind.name()),
    };
    let of = match kind {
        Kind::Fou => Kind::Ipip.name(),
        kind => kind.name(),
    };
    netns.ip(&format!("link add {name} mtu {mtu} type {of} {settings}\n"))?;
    if *kind == Kind::Wireguard {
        configure_wireguard(end)?;
    }
    netns.ip(&format!("link set {name} up\n"))
}

/// Tells wireguard both ends' keys, with the tool that its project has for that.
fn configure_wireguard(end: &TunnelEnd<'_>) -> Result<()> {
    let [mut own, mut other] = WIREGUARD_KEYS;
    if end.remote < end.local {
        std::mem::swap(&mut own, &mut other);
    }
    let other = command::run_with_input("wg", &["pubkey"], other)?;
    let port = WIREGUARD_PORT.to_string();
    let endpoint = format!("{}:{port}", end.remote);
    end.netns
        .run(|| {
            command::run_with_input(
                "wg",
                &[
                    "set",
                    device(Kind::Wireguard),
                    "listen-port",
                    &port,
                    "private-key",
                    "/dev/stdin",
                    "peer",
                    other.trim(),
                    "endpoint",
                    &endpoint,
                    "allowed-ips",
                    "0.0.0.0/0,::/0",
                ],
                own,
            )
        })
        .map(drop)
}
