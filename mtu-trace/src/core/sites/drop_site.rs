//! Where a packet died: the site of a drop, known by the function it happened in and by the length
//! test that function makes, computed again from the packet and the devices.
//!
//! The kernel gives no reason for most drops of this kind (veth, bridge, fragmentation): where it does,
//! that is its word, whatever can be measured.

use crate::core::graph::{router_limit, tunnel_room};
use crate::core::sites::site::{Gso, IPV6_MIN_MTU_BYTES, Limit, is_wrapped};
use crate::core::sites::{BRIDGE_PORT, FORWARD, OUTPUT, Site, TUNNEL_UNDERLAY, UNLISTED, VETH};
use crate::model::event::{Device, Name, Packet, PacketKind, TOO_BIG};
use crate::model::network::{Link, LinkId, NetnsId, Topology};

/// A place where packets of a trace die for their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSite {
    /// What tells it from other places.
    pub key: SiteKey,
    /// What is known of such places.
    pub site: &'static Site,
    /// Device by which the packet came in.
    pub ingress: Option<Device>,
    /// Device by which it should have left.
    pub egress: Device,
    /// The other end of that device, where its MTU is the limit.
    pub peer: Option<Device>,
    /// The MTU the packet exceeds, bytes; `None` where the kernel only says that it is too long.
    pub limit_bytes: Option<u32>,
    /// The packet's layer-3 length, bytes.
    pub packet_bytes: u32,
    /// What a tunnel has added to it, bytes.
    pub overhead_bytes: u32,
    /// The kernel's drop reason.
    pub reason: Option<Name>,
    /// Whether the function is known to make this test; otherwise only the lengths speak.
    pub known_function: bool,
}

/// What tells one place from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteKey {
    /// The namespace of the device.
    pub netns: NetnsId,
    /// Index of the egress device.
    pub egress: u32,
    /// The kernel function in which packets die.
    pub function: Name,
}

impl DropSite {
    fn new(
        packet: &Packet,
        site: &'static Site,
        function: &str,
        ingress: Option<&Device>,
        egress: &Device,
        limit_bytes: Option<u32>,
    ) -> Self {
        Self {
            key: SiteKey {
                netns: egress.netns,
                egress: egress.ifindex,
                function: function.into(),
            },
            site,
            ingress: ingress
                .filter(|ingress| ingress.ifindex != egress.ifindex)
                .cloned(),
            egress: egress.clone(),
            peer: None,
            limit_bytes,
            packet_bytes: packet.length_bytes,
            overhead_bytes: packet.overhead_bytes(),
            reason: None,
            known_function: false,
        }
    }

    /// The longest packet of the ends that talk which would pass, bytes; where the limit is not known,
    /// the longest that may.
    pub fn fits_bytes(&self) -> u32 {
        let shorter = self.packet_bytes.saturating_sub(1);
        self.limit_bytes
            .unwrap_or(shorter)
            .saturating_sub(self.overhead_bytes)
    }
}

/// The place of an oversized drop; `None` for a drop that has nothing to do with a length.
pub fn oversized(packet: &Packet, topology: &Topology) -> Option<DropSite> {
    let is_told =
        matches!(&packet.what, PacketKind::Dropped { reason: Some(it), .. } if it == TOO_BIG);
    measured(packet, topology).or_else(|| is_told.then(|| told(packet, topology))?)
}

/// The place of a drop that the kernel itself calls one for its size, in whatever function: by its
/// reason, or by an ICMP "too big" about the same packet. The limit is that of the route where the
/// packet exceeds it; otherwise the kernel has compared with one that is not seen here.
pub fn told(packet: &Packet, topology: &Topology) -> Option<DropSite> {
    let PacketKind::Dropped { function, reason } = &packet.what else {
        return None;
    };
    let site = Site::of_drop(function, packet, topology).unwrap_or(&UNLISTED);
    let egress = packet.route.as_ref().unwrap_or(&packet.device);
    let exceeded = |&limit: &u32| limit > 0 && packet.length_bytes > limit;
    let limit_bytes = if *site == FORWARD {
        forward_limit(packet, egress, topology)
    } else {
        route_limit(packet, egress)
    };
    let limit_bytes = Some(limit_bytes).filter(exceeded);
    let ingress = ingress(packet, egress);
    Some(DropSite {
        reason: reason.clone(),
        known_function: true,
        ..DropSite::new(packet, site, function, ingress, egress, limit_bytes)
    })
}

/// The device by which a dropped packet came in; `None` if it was made here.
fn ingress<'a>(packet: &'a Packet, egress: &Device) -> Option<&'a Device> {
    let came_by = |by: &&Device| packet.has_device && by.ifindex != egress.ifindex;
    Some(&packet.device)
        .filter(came_by)
        .or(packet.came_in.as_ref())
}

/// The place of a drop whose function tests lengths, if it exceeds the limit of that test.
fn measured(packet: &Packet, topology: &Topology) -> Option<DropSite> {
    let PacketKind::Dropped { function, reason } = &packet.what else {
        return None;
    };
    let known = Site::of_drop(function, packet, topology);
    let site = match known {
        Some(site) => site,
        // Without symbols the function is an address.
        None if function.starts_with("0x") => guess(packet)?,
        None => return None,
    };
    if site.gso == Gso::Passes && packet.gso {
        return None;
    }
    let device = &packet.device;
    let route = packet.route.as_ref().unwrap_or(device);
    let (egress, limit_bytes) = match site.limit {
        Limit::Route if *site == FORWARD => (route, forward_limit(packet, route, topology)),
        Limit::Route => (route, route_limit(packet, route)),
        // Of a bridged one the kernel program tells it as the MTU of the route.
        Limit::TunnelRoute => (device, tunnel_limit(packet, device, topology)),
        Limit::Egress => (device, device.mtu_bytes),
        Limit::Peer => (device, packet.peer.as_ref().unwrap_or(device).mtu_bytes),
    };
    // A tag in the frame uses it up. Of a function that is not known not even that is.
    let slack = known.map_or(0, |site| site.slack_bytes.saturating_sub(packet.tag_bytes));
    if limit_bytes == 0 || packet.length_bytes <= limit_bytes.saturating_add(slack) {
        return None;
    }
    let ingress = ingress(packet, egress);
    Some(DropSite {
        peer: packet.peer.clone().filter(|_| site.limit == Limit::Peer),
        reason: reason.clone(),
        known_function: known.is_some(),
        ..DropSite::new(packet, site, function, ingress, egress, Some(limit_bytes))
    })
}

/// Stands for the function where no drop was seen.
const UNSEEN: &str = "unknown";

/// The place of a packet that an ICMP error is sent about, for where drops are not seen: the message
/// is sent where the packet dies.
pub fn signalled(packet: &Packet, topology: &Topology) -> Option<DropSite> {
    let egress = packet.route.as_ref().unwrap_or(&packet.device);
    let limit_bytes = route_limit(packet, egress);
    if limit_bytes == 0 || packet.length_bytes <= limit_bytes {
        return None;
    }
    let came_by = Some(&packet.device).filter(|by| by.ifindex != egress.ifindex);
    let ingress = came_by.or(packet.came_in.as_ref());
    let (site, function) = match packet.route_input.as_deref() {
        Some(forwards @ ("ip_forward" | "ip6_forward")) => (&FORWARD, forwards),
        _ if is_wrapped(packet, topology) => (&TUNNEL_UNDERLAY, UNSEEN),
        _ => (&OUTPUT, UNSEEN),
    };
    Some(DropSite::new(
        packet,
        site,
        function,
        ingress,
        egress,
        Some(limit_bytes),
    ))
}

/// The place that a packet seen on its way is too long for, for where drops are not seen. `None` if
/// more than one device ahead has that limit.
pub fn sighted(packet: &Packet, topology: &Topology) -> Option<DropSite> {
    let PacketKind::Seen {
        egress: leaving,
        limit_bytes: Some(limit_bytes),
    } = packet.what
    else {
        return None;
    };
    let device = &packet.device;
    let peer = packet.peer.clone();
    let peer = peer.filter(|peer| leaving && peer.mtu_bytes == limit_bytes);
    let (site, egress) = match (leaving, &peer) {
        (false, _) => onward(device, limit_bytes, topology)?,
        (true, Some(_)) => (&VETH, device.clone()),
        (true, None) => (&BRIDGE_PORT, device.clone()),
    };
    let came_in = packet.came_in.as_ref();
    let ingress = if leaving { came_in } else { Some(device) };
    Some(DropSite {
        peer,
        ..DropSite::new(packet, site, UNSEEN, ingress, &egress, Some(limit_bytes))
    })
}

/// The one device by which what came in by another can leave and that has this MTU.
fn onward(device: &Device, mtu_bytes: u32, topology: &Topology) -> Option<(&'static Site, Device)> {
    let links = &topology.namespaces.get(&device.netns)?.links;
    let bridge = links.get(&device.ifindex)?.master;
    let only = |wanted: &dyn Fn(u32, &Link) -> bool| {
        let mut fitting = links.iter().filter(|(ifindex, link)| {
            link.up
                && link.mtu_bytes == mtu_bytes
                && **ifindex != device.ifindex
                && wanted(**ifindex, link)
        });
        let (&ifindex, link) = fitting.next()?;
        fitting.next().is_none().then(|| Device {
            netns: device.netns,
            ifindex,
            name: Some(link.name.as_str().into()),
            mtu_bytes,
        })
    };
    let port = bridge.and_then(|bridge| only(&|_, link| link.master == Some(bridge)));
    if let Some(port) = port {
        return Some((&BRIDGE_PORT, port));
    }
    let routed = only(&|ifindex, link| !link.addresses.is_empty() && Some(ifindex) != bridge)?;
    Some((&FORWARD, routed))
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
fn route_limit(packet: &Packet, egress: &Device) -> u32 {
    let limit = packet.route_mtu_bytes.unwrap_or(egress.mtu_bytes);
    if packet.flow.source.is_ipv6() {
        limit.max(IPV6_MIN_MTU_BYTES)
    } else {
        limit
    }
}

/// The site that it must be by the lengths alone.
fn guess(packet: &Packet) -> Option<&'static Site> {
    let limits: [(Option<&Device>, &Site); 3] = [
        (packet.route.as_ref(), &FORWARD),
        (packet.peer.as_ref(), &VETH),
        (Some(&packet.device), &BRIDGE_PORT),
    ];
    let above = |device: &Device| device.mtu_bytes > 0 && packet.length_bytes > device.mtu_bytes;
    let mut sites = limits.into_iter();
    let (_, site) = sites.find(|(device, _)| device.is_some_and(above))?;
    Some(site)
}
