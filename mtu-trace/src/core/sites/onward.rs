//! Where a packet was going: what it would leave by, and the limit there.
//!
//! Most buffers tell. Others have only the device that the packet came in by: then what it was for is
//! looked for in the network as it stands, and where that is not one thing, the limit or the device is
//! not known.

use std::net::IpAddr;

use crate::core::graph::{router_limit, tunnel_room};
use crate::core::sites::FORWARD;
use crate::core::sites::site::{IPV6_MIN_MTU_BYTES, Limit, Site, VLAN_HLEN_BYTES};
use crate::model::event::{Device, Packet};
use crate::model::network::{Link, LinkId, LinkKind, Topology};

/// What a packet would leave by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward {
    /// The device; `None` where that is not known.
    pub egress: Option<Device>,
    /// What that hands over to, where the MTU of it is the limit.
    pub peer: Option<Device>,
    /// The MTU it is compared with, bytes; `None` where that is not known.
    pub limit_bytes: Option<u32>,
    /// Whether the buffer tells, or the packet's destination.
    pub is_sure: bool,
}

impl Onward {
    /// What the kernel has compared with is not known.
    const UNKNOWN: Self = Self {
        egress: None,
        peer: None,
        limit_bytes: None,
        is_sure: true,
    };

    /// By a device, with a limit in bytes, as the buffer tells.
    pub fn by(egress: &Device, limit_bytes: u32) -> Self {
        Self {
            egress: Some(egress.clone()),
            peer: None,
            limit_bytes: Some(limit_bytes),
            is_sure: true,
        }
    }

    /// Where a packet was going that was dropped at a site; `None` where nothing that it can have gone
    /// to is too small for it.
    pub fn of(site: &Site, packet: &Packet, topology: &Topology) -> Option<Self> {
        let device = &packet.device;
        let route = packet.route.as_ref().unwrap_or(device);
        Some(match site.limit {
            Limit::Route => Self::by(route, routed_limit(site, packet, route, topology)),
            // Of a bridged one the kernel program tells it as the MTU of the route.
            Limit::TunnelRoute => Self::by(device, tunnel_limit(packet, device, topology)),
            Limit::Egress => Self::by(device, device.mtu_bytes),
            Limit::Peer => Self {
                peer: packet.peer.clone(),
                ..Self::by(device, packet.peer.as_ref().unwrap_or(device).mtu_bytes)
            },
            Limit::OtherPort => other_port(packet, topology)?,
            Limit::Sibling => sibling(packet, topology)?,
            Limit::Told => return None,
        })
    }

    /// Where a packet was going that the kernel itself calls too big. The limit is that of the route
    /// where the packet exceeds it; otherwise the kernel has compared with one that is not seen here.
    pub fn told(site: &Site, packet: &Packet, topology: &Topology) -> Self {
        let exceeded = |&limit: &u32| limit > 0 && packet.length_bytes > limit;
        match site.limit {
            Limit::Told => exit(packet, topology),
            Limit::OtherPort | Limit::Sibling => {
                Self::of(site, packet, topology).unwrap_or(Self::UNKNOWN)
            }
            Limit::Route | Limit::TunnelRoute | Limit::Egress | Limit::Peer => {
                let egress = packet.route.as_ref().unwrap_or(&packet.device);
                let limit_bytes = routed_limit(site, packet, egress, topology);
                Self {
                    limit_bytes: Some(limit_bytes).filter(exceeded),
                    ..Self::by(egress, limit_bytes)
                }
            }
        }
    }
}

/// The limit of the route of a packet that a site has dropped, bytes.
fn routed_limit(site: &Site, packet: &Packet, egress: &Device, topology: &Topology) -> u32 {
    if *site == FORWARD {
        forward_limit(packet, egress, topology)
    } else {
        route_limit(packet, egress)
    }
}

/// What a router tests against, bytes: the MTU of the route, else of the device
/// (`ip_dst_mtu_maybe_forward`); of IPv6 the route's only if that is locked, else what is set for IPv6 on the
/// device (`ip6_dst_mtu_maybe_forward`). What exceeds neither exceeds what only the routes tell.
fn forward_limit(packet: &Packet, egress: &Device, topology: &Topology) -> u32 {
    let own = if packet.flow.source.is_ipv4() || packet.route_mtu_locked {
        route_limit(packet, egress)
    } else {
        let link = topology.link(egress.netns, egress.ifindex);
        let set_bytes = link.and_then(|link| link.ipv6_mtu_bytes);
        set_bytes
            .unwrap_or(egress.mtu_bytes)
            .max(IPV6_MIN_MTU_BYTES)
    };
    if packet.length_bytes > own {
        return own;
    }
    let to = packet.flow.destination.ip();
    let told = router_limit(topology, egress.netns, to, egress.ifindex);
    // Older captures do not tell of locks.
    let routed = [route_limit(packet, egress), told.unwrap_or(own)];
    routed.into_iter().fold(own, u32::min)
}

/// The longest packet that a tunnel has room for, bytes, as far as that is known.
fn tunnel_limit(packet: &Packet, device: &Device, topology: &Topology) -> u32 {
    let at = LinkId {
        netns: device.netns,
        ifindex: device.ifindex,
    };
    let routed = route_limit(packet, device);
    tunnel_room(topology, at).map_or(routed, |room| room.min(routed))
}

/// The MTU of a route, if it has one, else of the device it leads to (`ip_skb_dst_mtu`).
pub fn route_limit(packet: &Packet, egress: &Device) -> u32 {
    let limit = packet.route_mtu_bytes.unwrap_or(egress.mtu_bytes);
    if packet.flow.source.is_ipv6() {
        limit.max(IPV6_MIN_MTU_BYTES)
    } else {
        limit
    }
}

/// The port of an Open vSwitch datapath that a packet was for which came in by another: the one behind
/// which its destination is; else the only one that is too small for it. Where there are several, what
/// they have in common.
fn other_port(packet: &Packet, topology: &Topology) -> Option<Onward> {
    let at = id(&packet.device);
    let ports: Vec<_> = ports_beside(at, topology).collect();
    let destination = packet.flow.destination.ip();
    let is_too_small = |(_, link): &(LinkId, &Link)| link.mtu_bytes < packet.length_bytes;
    let leads_there = |(_, link): &&(LinkId, &Link)| has(topology, link, destination);
    if let Some(port) = ports.iter().find(leads_there) {
        return is_too_small(port).then(|| Onward::by(&device(*port), port.1.mtu_bytes));
    }
    one_of(ports.into_iter().filter(is_too_small))
}

/// The ports of the datapath that a device is a port of, or is the own device of, but for that device.
/// Those that the datapath has made itself do not tell whose they are.
fn ports_beside(at: LinkId, topology: &Topology) -> impl Iterator<Item = (LinkId, &Link)> {
    let netns = topology.namespaces.get(&at.netns);
    let links = netns.map(|netns| &netns.links);
    let is_datapath = move |ifindex: u32| {
        let link = links.and_then(|links| links.get(&ifindex));
        link.is_some_and(|link| link.kind == LinkKind::OpenVswitch)
    };
    let master = links.and_then(|links| links.get(&at.ifindex)?.master);
    let datapath = master.filter(|&master| is_datapath(master));
    let is_port = move |link: &Link| match link.master {
        Some(master) => is_datapath(master) && datapath.is_none_or(|own| own == master),
        None => link.kind == LinkKind::OpenVswitch,
    };
    let links = links.into_iter().flatten();
    links
        .filter(move |&(&ifindex, link)| ifindex != at.ifindex && link.up && is_port(link))
        .map(move |(&ifindex, link)| {
            let netns = at.netns;
            (LinkId { netns, ifindex }, link)
        })
}

/// Whether a link has an address, or the other end of its cable does.
fn has(topology: &Topology, link: &Link, address: IpAddr) -> bool {
    let owns = |link: &Link| link.addresses.iter().any(|own| own.address == address);
    let end = link.peer_id().filter(|_| link.is_pair());
    owns(link) || end.and_then(|end| end.link(topology)).is_some_and(owns)
}

/// The ipvlan of the same lower device that has the packet's destination; else the only one that is too
/// small for it.
fn sibling(packet: &Packet, topology: &Topology) -> Option<Onward> {
    let at = id(&packet.device);
    let lower = at.link(topology)?.peer_id()?;
    let all = topology.living().flat_map(|(netns, known)| {
        let links = known.links.iter();
        links.map(move |(&ifindex, link)| (LinkId { netns, ifindex }, link))
    });
    let siblings: Vec<_> = all
        .filter(|(id, link)| {
            *id != at && link.kind == LinkKind::Ipvlan && link.peer_id() == Some(lower)
        })
        .collect();
    let owns = |(_, link): &&(LinkId, &Link)| has(topology, link, packet.flow.destination.ip());
    let found = match siblings.iter().find(owns) {
        Some(to) => Onward::by(&device(*to), to.1.mtu_bytes),
        None => {
            let passes_bytes = packet.length_bytes.saturating_sub(VLAN_HLEN_BYTES);
            one_of(
                siblings
                    .into_iter()
                    .filter(|(_, link)| link.mtu_bytes < passes_bytes),
            )?
        }
    };
    Some(Onward {
        peer: found.egress,
        egress: Some(packet.device.clone()),
        ..found
    })
}

/// The device by which a router's namespace would have sent on what came in by another, where the
/// buffer does not tell: the only one there is, else the only one that is too small.
fn exit(packet: &Packet, topology: &Topology) -> Onward {
    let at = id(&packet.device);
    let Some(netns) = topology.namespaces.get(&at.netns) else {
        return Onward::UNKNOWN;
    };
    let links = netns.links.iter().filter(|&(&ifindex, link)| {
        let has_address = link.global_addresses().next().is_some();
        ifindex != at.ifindex && link.is_carrier() && has_address
    });
    let exits = links.map(|(&ifindex, link)| {
        let netns = at.netns;
        (LinkId { netns, ifindex }, link)
    });
    let exits: Vec<_> = exits.collect();
    let is_too_small = |(_, link): &(LinkId, &Link)| link.mtu_bytes < packet.length_bytes;
    let egress = match exits.as_slice() {
        [only] => Some(device(*only)),
        _ => one_of(exits.into_iter().filter(is_too_small)).and_then(|found| found.egress),
    };
    // What it was compared with may be less than the device has, as through a tunnel.
    Onward {
        egress,
        ..Onward::UNKNOWN
    }
}

/// One of several links, each too small: the device and its MTU if there is only one, its MTU if they
/// have the same. `None` if there is none.
fn one_of<'a>(links: impl Iterator<Item = (LinkId, &'a Link)>) -> Option<Onward> {
    let links: Vec<_> = links.collect();
    let (first, rest) = links.split_first()?;
    let mtu_bytes = first.1.mtu_bytes;
    let is_same = rest.iter().all(|(_, link)| link.mtu_bytes == mtu_bytes);
    Some(Onward {
        egress: rest.is_empty().then(|| device(*first)),
        peer: None,
        limit_bytes: is_same.then_some(mtu_bytes),
        is_sure: false,
    })
}

fn id(&Device { netns, ifindex, .. }: &Device) -> LinkId {
    LinkId { netns, ifindex }
}

fn device((id, link): (LinkId, &Link)) -> Device {
    Device {
        netns: id.netns,
        ifindex: id.ifindex,
        name: Some(link.name.as_str().into()),
        mtu_bytes: link.mtu_bytes,
    }
}
