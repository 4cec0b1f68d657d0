//! What a link is for, which decides how packets go on from it. Pure.

use std::net::IpAddr;

use crate::model::network::{Link, LinkKind, LinkRole, Netns};

/// `ETH_MIN_MTU`: below it a device has no IPv4, let alone IPv6 (a CAN bus, say).
const MIN_MTU_BYTES: u32 = 68;

/// Whether it is one of two ends of a virtual cable.
pub(crate) fn is_pair(link: &Link) -> bool {
    link.kind.role() == LinkRole::Pair
}

/// Whether it sits on another device (`IFLA_LINK` then is that device).
pub(crate) fn is_stacked(link: &Link) -> bool {
    link.peer.is_some() && !is_pair(link)
}

/// Whether it carries packets inside other packets.
pub(crate) fn is_tunnel(link: &Link) -> bool {
    link.kind.role() == LinkRole::Tunnel
}

pub(crate) fn is_loopback(link: &Link) -> bool {
    link.kind.role() == LinkRole::Loopback
}

pub(crate) fn is_bridge(link: &Link) -> bool {
    link.kind == LinkKind::Bridge
}

/// The bridge, bond or team a link is a port of. A VRF is none: its members have addresses.
pub(crate) fn switch_of(netns: &Netns, link: &Link) -> Option<u32> {
    let master = link.master?;
    let role = netns.links.get(&master)?.kind.role();
    (role == LinkRole::Switch).then_some(master)
}

/// Whether a link takes part in forwarding if its namespace forwards. Links without addresses do
/// (the host's ends of Calico's veths have none), but not a bridge that merely connects its ports.
pub(crate) fn is_routed(netns: &Netns, link: &Link) -> bool {
    !is_loopback(link)
        && link.mtu_bytes >= MIN_MTU_BYTES
        && switch_of(netns, link).is_none()
        && (!is_bridge(link) || link.addresses.iter().any(|own| !is_link_local(own.address)))
}

/// Whether a namespace passes packets on between its links by their addresses.
pub(crate) fn forwards(netns: &Netns) -> bool {
    netns.forwards_ipv4 || netns.forwards_ipv6
}

/// Whether an address is good for its own link only.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
