//! Narrow places as reports show them.

use crate::{
    core::{
        graph::{Hop, Tunnels},
        sites::{Kind, Suspect},
    },
    model::{
        event::NO_REASON,
        finding::{Boundary, BoundaryPeer, ReportedHop as Shown},
        netns_ref::NetnsRef,
        network::Topology,
    },
};

/// Where most kernels drop a packet that is too long for the other end of a veth.
pub const VETH_FUNCTION: &str = "__dev_forward_skb2";

/// The devices of a way, with those that a tunnel's packets pass where it is wrapped.
pub(crate) fn hops(topology: &Topology, tunnels: &Tunnels, suspect: &Suspect) -> Vec<Shown> {
    let mut devices: Vec<Hop> = Vec::new();
    let legs = &suspect.path.legs;
    for (number, leg) in legs.iter().enumerate() {
        for (index, &device) in leg.devices.iter().enumerate() {
            if devices.last() == Some(&device) {
                continue;
            }
            devices.push(device);
            let last = number + 1 == legs.len() && index + 1 == leg.devices.len();
            let next = leg.devices.get(index + 1).copied();
            if let Some(way) = tunnels.way(device, next)
                && (next.is_some() || last)
            {
                devices.extend(way.legs.iter().flat_map(|leg| &leg.devices));
            }
        }
    }
    devices.dedup();
    devices
        .into_iter()
        .filter_map(|at| Shown::new(at.netns, at.ifindex, topology))
        .collect()
}

/// A narrow place as reports have it.
pub(crate) fn boundary(
    topology: &Topology,
    egress: Hop,
    suspect: &Suspect,
    veth_function: &str,
) -> Boundary {
    let place = &suspect.place;
    let function = match (place.kind, place.ipv6) {
        (Kind::Forward, false) => "ip_forward",
        (Kind::Forward, true) => "ip6_forward",
        (Kind::Bridge { netfilter: false }, _) => "br_dev_queue_push_xmit",
        (Kind::Bridge { netfilter: true }, false) => "br_nf_dev_queue_xmit",
        (
            Kind::Bridge { netfilter: true }
            | Kind::SealedTunnel
            | Kind::Fragmenting
            | Kind::RoutedTunnel,
            true,
        ) => "ip6_fragment",
        (Kind::SealedTunnel | Kind::Fragmenting, false) => "ip_fragment",
        (Kind::Veth, _) => veth_function,
        (Kind::BridgedTunnel, _) => "skb_tunnel_check_pmtu",
        (Kind::RoutedTunnel, false) => "tnl_update_pmtu",
    };
    let reason = if place.kind == Kind::Forward {
        "PKT_TOO_BIG"
    } else {
        NO_REASON
    };
    Boundary {
        netns: NetnsRef::new(egress.netns, topology),
        ingress: place.ingress.map(|at| name(topology, at)),
        egress: Some(name(topology, egress)),
        limit_bytes: place.limit_bytes,
        packet_bytes: suspect.packet_bytes,
        overhead_bytes: place.wrapped_bytes,
        function: function.to_owned(),
        reason: Some(reason.to_owned()),
        silent: place.kind.is_silent(),
        peer: place.peer.and_then(|at| {
            let link = topology.link(at.netns, at.ifindex)?;
            Some(BoundaryPeer {
                netns: NetnsRef::new(at.netns, topology),
                interface: Some(link.name.clone()),
                mtu_bytes: link.mtu_bytes,
            })
        }),
    }
}

pub(crate) fn name(topology: &Topology, at: Hop) -> String {
    topology
        .link(at.netns, at.ifindex)
        .map_or_else(|| format!("if{}", at.ifindex), |link| link.name.clone())
}
