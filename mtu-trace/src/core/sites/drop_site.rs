//! Where a packet died: the site of a drop, known by the function it happened in and by the length
//! test that function makes, computed again from the packet and the devices.
//!
//! The kernel gives no reason for most drops of this kind (veth, bridge, fragmentation): where it does,
//! that is its word, whatever can be measured.

use crate::core::sites::onward::{Onward, route_limit};
use crate::core::sites::site::{Gso, is_wrapped};
use crate::core::sites::{BRIDGE_PORT, FORWARD, OUTPUT, Site, TUNNEL_UNDERLAY, UNLISTED, VETH};
use crate::model::event::{Device, Name, Packet, PacketKind, TOO_BIG};
use crate::model::network::{Link, NetnsId, Topology};

/// A place where packets of a trace die for their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSite {
    /// What tells it from other places.
    pub key: SiteKey,
    /// What is known of such places.
    pub site: &'static Site,
    /// Device by which the packet came in.
    pub ingress: Option<Device>,
    /// Device by which it should have left; `None` where that is not known.
    pub egress: Option<Device>,
    /// What that device hands over to, where the MTU of it is the limit.
    pub peer: Option<Device>,
    /// The MTU the packet exceeds, bytes; `None` where the kernel only says that it is too long.
    pub limit_bytes: Option<u32>,
    /// The packet's layer-3 length, bytes.
    pub packet_bytes: u32,
    /// What a tunnel has added to it, bytes.
    pub overhead_bytes: u32,
    /// The kernel's drop reason.
    pub reason: Option<Name>,
    /// Whether the function is known to make this test, and with what; otherwise only the lengths speak.
    pub known_function: bool,
}

/// What tells one place from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteKey {
    /// The namespace of the device.
    pub netns: NetnsId,
    /// Index of the egress device; 0 where that is not known.
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
        onward: Onward,
    ) -> Self {
        let Onward { egress, peer, .. } = onward;
        let netns = egress.as_ref().map_or(packet.device.netns, |by| by.netns);
        let ifindex = egress.as_ref().map_or(0, |by| by.ifindex);
        Self {
            key: SiteKey {
                netns,
                egress: ifindex,
                function: function.into(),
            },
            site,
            ingress: ingress
                .filter(|ingress| ingress.ifindex != ifindex)
                .cloned(),
            egress,
            peer,
            limit_bytes: onward.limit_bytes,
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
/// reason, or by an ICMP "too big" about the same packet.
pub fn told(packet: &Packet, topology: &Topology) -> Option<DropSite> {
    let PacketKind::Dropped { function, reason } = &packet.what else {
        return None;
    };
    let site = Site::of_drop(function, packet, topology).unwrap_or(&UNLISTED);
    let onward = Onward::told(site, packet, topology);
    let ingress = ingress(packet, onward.egress.as_ref());
    Some(DropSite {
        reason: reason.clone(),
        known_function: true,
        ..DropSite::new(packet, site, function, ingress, onward)
    })
}

/// The device by which a dropped packet came in; `None` if it was made here.
fn ingress<'a>(packet: &'a Packet, egress: Option<&Device>) -> Option<&'a Device> {
    let is_egress = |by: &Device| egress.is_some_and(|egress| egress.ifindex == by.ifindex);
    let came_by = |by: &&Device| packet.has_device && !is_egress(by);
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
    let onward = Onward::of(site, packet, topology)?;
    // A tag in the frame uses it up. Of a function that is not known not even that is.
    let slack = known.map_or(0, |site| site.slack_bytes.saturating_sub(packet.tag_bytes));
    let limit_bytes = onward.limit_bytes;
    if limit_bytes.is_some_and(|it| it == 0 || packet.length_bytes <= it.saturating_add(slack)) {
        return None;
    }
    let known_function = known.is_some() && onward.is_sure;
    let ingress = ingress(packet, onward.egress.as_ref());
    Some(DropSite {
        reason: reason.clone(),
        known_function,
        ..DropSite::new(packet, site, function, ingress, onward)
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
    let onward = Onward::by(egress, limit_bytes);
    Some(DropSite::new(packet, site, function, ingress, onward))
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
    let onward = Onward {
        peer,
        ..Onward::by(&egress, limit_bytes)
    };
    Some(DropSite::new(packet, site, UNSEEN, ingress, onward))
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
