//! Narrow places as reports show them.

use crate::core::graph::TopologyIndex;
use crate::core::sites::Suspect;
use crate::core::sites::site::PacketFamily;
use crate::model::finding::{Boundary, BoundaryPeer, ReportedHop as Shown};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkId, Topology};

/// The devices of a way, with those that a tunnel's packets pass where it is wrapped.
pub(crate) fn hops(index: &TopologyIndex, suspect: &Suspect) -> Vec<Shown> {
    let mut devices: Vec<LinkId> = Vec::new();
    let legs = &suspect.path.legs;
    for (number, leg) in legs.iter().enumerate() {
        for (step, &device) in leg.devices.iter().enumerate() {
            if devices.last() == Some(&device) {
                continue;
            }
            devices.push(device);
            let last = number + 1 == legs.len() && step + 1 == leg.devices.len();
            let next = leg.devices.get(step + 1).copied();
            if let Some(way) = index.tunnels().way(device, next)
                && (next.is_some() || last)
            {
                devices.extend(way.legs.iter().flat_map(|leg| &leg.devices));
            }
        }
    }
    devices.dedup();
    devices
        .into_iter()
        .filter_map(|at| Shown::new(at.netns, at.ifindex, &index.topology))
        .collect()
}

/// A narrow place as reports have it. `exists` tells whether the kernel has a function of a name.
pub(crate) fn boundary(
    topology: &Topology,
    suspect: &Suspect,
    exists: &dyn Fn(&str) -> bool,
) -> Boundary {
    let place = &suspect.place;
    let (site, egress) = (place.site, place.egress);
    let family = if place.ipv6 {
        PacketFamily::Ipv6
    } else {
        PacketFamily::Ipv4
    };
    Boundary {
        netns: NetnsRef::new(egress.netns, topology),
        ingress: place.ingress.map(|at| name(topology, at)),
        egress: Some(name(topology, egress)),
        limit_bytes: Some(place.limit_bytes),
        packet_bytes: suspect.packet_bytes,
        overhead_bytes: place.wrapped_bytes,
        function: site.function(family, exists).to_owned(),
        reason: Some(site.reason.to_owned()),
        silent: site.is_silent(),
        peer: place.peer.and_then(|at| {
            let link = at.link(topology)?;
            Some(BoundaryPeer {
                netns: NetnsRef::new(at.netns, topology),
                interface: Some(link.name.clone()),
                mtu_bytes: link.mtu_bytes,
            })
        }),
    }
}

pub(crate) fn name(topology: &Topology, at: LinkId) -> String {
    let link = at.link(topology);
    link.map_or_else(|| format!("if{}", at.ifindex), |link| link.name.clone())
}
