//! Where a packet died: classifies a drop by the function it happened in and by the length test
//! that function makes, computed again from the packet and the devices.
//!
//! The kernel gives no reason for most drops of this kind (veth, bridge, fragmentation), so the
//! reason is never the test.

use serde::Serialize;

use crate::model::{
    event::{Device, Name, Packet, PacketKind},
    network::{NetnsId, Topology},
};

/// A place where packets die for their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What tells it from other places.
    pub key: SiteKey,
    /// What kind of place it is.
    pub kind: SiteKind,
    /// Device by which the packet came in.
    pub ingress: Option<Device>,
    /// Device by which it should have left.
    pub egress: Device,
    /// The other end of that device, where its MTU is the limit.
    pub peer: Option<Device>,
    /// The MTU the packet exceeds, bytes.
    pub limit_bytes: u32,
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
    /// Namespace.
    pub netns: NetnsId,
    /// Index of the egress device.
    pub egress: u32,
    /// Kernel function.
    pub function: Name,
}

/// What kind of place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SiteKind {
    /// A router forwards: it tells the sender (RFC 1812, section 4.2.2.9; RFC 4443, section 3.2).
    Forward,
    /// The host sends or fragments: it tells the sender.
    Output,
    /// A bridge port: it tells nobody.
    Bridge,
    /// A veth or another device that hands the packet over: it tells nobody.
    Veth,
    /// A bridged tunnel: it tells the sender, in the name of the receiver.
    Tunnel,
}

impl Site {
    /// The longest packet of the ends that talk which would pass, bytes.
    #[must_use]
    pub fn fits_bytes(&self) -> u32 {
        self.limit_bytes.saturating_sub(self.overhead_bytes)
    }
}

impl SiteKind {
    /// Whether the place never tells the sender.
    #[must_use]
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Bridge | Self::Veth)
    }
}

/// Functions that drop a packet for its size, by what they are. Names differ between kernels:
/// inlining moves the drop into the caller.
const FUNCTIONS: &[(&str, SiteKind)] = &[
    ("ip_forward", SiteKind::Forward),
    ("ip6_forward", SiteKind::Forward),
    ("ip_fragment", SiteKind::Output),
    ("ip_do_fragment", SiteKind::Output),
    ("__ip_finish_output", SiteKind::Output),
    ("ip_finish_output", SiteKind::Output),
    ("ip_finish_output_gso", SiteKind::Output),
    ("ip6_fragment", SiteKind::Output),
    ("__ip6_finish_output", SiteKind::Output),
    ("ip6_finish_output", SiteKind::Output),
    ("ip6_xmit", SiteKind::Output),
    ("br_dev_queue_push_xmit", SiteKind::Bridge),
    ("br_nf_dev_queue_xmit", SiteKind::Bridge),
    ("__dev_forward_skb2", SiteKind::Veth),
    ("__dev_forward_skb", SiteKind::Veth),
    ("____dev_forward_skb", SiteKind::Veth),
    ("dev_forward_skb", SiteKind::Veth),
    ("veth_xmit", SiteKind::Veth),
    ("veth_forward_skb", SiteKind::Veth),
    ("skb_tunnel_check_pmtu", SiteKind::Tunnel),
];

/// The smallest MTU an IPv6 link may have (RFC 8200, section 5).
const IPV6_MIN_MTU: u32 = 1280;

/// What layer 2 lets through beyond the MTU: a VLAN tag (`is_skb_forwardable`), bytes.
const VLAN_HLEN: u32 = 4;

/// The place of an oversized drop; `None` for a drop that has nothing to do with a length.
#[must_use]
pub fn oversized(packet: &Packet, topology: &Topology) -> Option<Site> {
    let PacketKind::Dropped { function, reason } = &packet.what else {
        return None;
    };
    let known = FUNCTIONS.iter().find(|(name, _)| name == function);
    let kind = match known {
        Some((_, SiteKind::Output)) if is_bridged(packet, topology) => SiteKind::Bridge,
        Some((_, kind)) => *kind,
        // Without symbols the function is an address.
        None if function.starts_with("0x") => guess(packet)?,
        None => return None,
    };
    let (egress, limit_bytes) = match kind {
        SiteKind::Forward | SiteKind::Output => {
            let egress = packet.route.as_ref().unwrap_or(&packet.device);
            (egress, route_limit(packet, egress))
        }
        SiteKind::Tunnel => (&packet.device, route_limit(packet, &packet.device)),
        SiteKind::Bridge => (&packet.device, packet.device.mtu_bytes),
        SiteKind::Veth => (
            &packet.device,
            packet
                .peer
                .as_ref()
                .map_or(packet.device.mtu_bytes, |peer| peer.mtu_bytes),
        ),
    };
    // A GSO packet passes there whatever its length: it dies of something else, such as a device
    // that is down.
    if kind.is_silent() && packet.gso {
        return None;
    }
    let slack = match known {
        // A tag in the frame uses it up.
        Some((_, SiteKind::Veth)) | Some(("br_dev_queue_push_xmit", _)) => {
            VLAN_HLEN.saturating_sub(packet.tag_bytes)
        }
        _ => 0,
    };
    if limit_bytes == 0 || packet.length_bytes <= limit_bytes.saturating_add(slack) {
        return None;
    }
    let ingress = if packet.has_device && packet.device.ifindex != egress.ifindex {
        Some(&packet.device)
    } else {
        packet.came_in.as_ref()
    };
    Some(Site {
        key: SiteKey {
            netns: egress.netns,
            egress: egress.ifindex,
            function: function.clone(),
        },
        kind,
        ingress: ingress
            .filter(|ingress| ingress.ifindex != egress.ifindex)
            .cloned(),
        egress: egress.clone(),
        peer: packet.peer.clone().filter(|_| kind == SiteKind::Veth),
        limit_bytes,
        packet_bytes: packet.length_bytes,
        overhead_bytes: packet.overhead_bytes(),
        reason: reason.clone(),
        known_function: known.is_some(),
    })
}

/// Stands for the function where no drop was seen.
const UNSEEN: &str = "unknown";

/// The place of a packet that an ICMP error is sent about, for where drops are not seen: the message
/// is sent where the packet dies.
#[must_use]
pub fn signalled(packet: &Packet) -> Option<Site> {
    let egress = packet.route.as_ref().unwrap_or(&packet.device);
    let limit_bytes = route_limit(packet, egress);
    if limit_bytes == 0 || packet.length_bytes <= limit_bytes {
        return None;
    }
    let came_by = Some(&packet.device).filter(|device| device.ifindex != egress.ifindex);
    let ingress = came_by.or(packet.came_in.as_ref());
    let function = match packet.route_input.as_deref() {
        Some(forwards @ ("ip_forward" | "ip6_forward")) => forwards,
        _ => UNSEEN,
    };
    Some(Site {
        key: SiteKey {
            netns: egress.netns,
            egress: egress.ifindex,
            function: function.into(),
        },
        kind: if function == UNSEEN {
            SiteKind::Output
        } else {
            SiteKind::Forward
        },
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
    })
}

/// The place that a packet seen on its way is too long for, for where drops are not seen. `None` if
/// more than one device ahead has that limit.
#[must_use]
pub fn sighted(packet: &Packet, topology: &Topology) -> Option<Site> {
    let PacketKind::Seen {
        egress: leaving,
        limit_bytes: Some(limit_bytes),
    } = packet.what
    else {
        return None;
    };
    let device = &packet.device;
    let peer = packet
        .peer
        .clone()
        .filter(|peer| leaving && peer.mtu_bytes == limit_bytes);
    let (kind, ingress, egress) = if peer.is_some() {
        (SiteKind::Veth, packet.came_in.clone(), device.clone())
    } else if leaving {
        (SiteKind::Bridge, packet.came_in.clone(), device.clone())
    } else {
        let (kind, egress) = onward(device, limit_bytes, topology)?;
        (kind, Some(device.clone()), egress)
    };
    Some(Site {
        key: SiteKey {
            netns: egress.netns,
            egress: egress.ifindex,
            function: UNSEEN.into(),
        },
        kind,
        ingress: ingress.filter(|ingress| ingress.ifindex != egress.ifindex),
        egress,
        peer,
        limit_bytes,
        packet_bytes: packet.length_bytes,
        overhead_bytes: packet.overhead_bytes(),
        reason: None,
        known_function: false,
    })
}

/// The one device by which what came in by another can leave and that has this MTU.
fn onward(device: &Device, mtu_bytes: u32, topology: &Topology) -> Option<(SiteKind, Device)> {
    let links = &topology.namespaces.get(&device.netns)?.links;
    let bridge = links.get(&device.ifindex)?.master;
    let only = |wanted: &dyn Fn(u32, &crate::model::network::Link) -> bool| {
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
        return Some((SiteKind::Bridge, port));
    }
    let routed = only(&|ifindex, link| !link.addresses.is_empty() && Some(ifindex) != bridge)?;
    Some((SiteKind::Forward, routed))
}

/// The MTU that `ip_forward` and `ip6_forward` test against: the route's, if it has one, else the
/// device's (`ip_dst_mtu_maybe_forward`, `ip6_dst_mtu_maybe_forward`).
fn route_limit(packet: &Packet, egress: &Device) -> u32 {
    let limit = match packet.route_mtu_bytes {
        Some(route) => route,
        None => egress.mtu_bytes,
    };
    if packet.flow.source.is_ipv6() {
        limit.max(IPV6_MIN_MTU)
    } else {
        limit
    }
}

/// Whether the packet is being bridged: bridge netfilter sends bridged packets through the IP
/// layer's functions, with the egress port as their device.
fn is_bridged(packet: &Packet, topology: &Topology) -> bool {
    packet.has_device
        && packet
            .route
            .as_ref()
            .is_none_or(|route| route.ifindex != packet.device.ifindex)
        && topology
            .link(packet.device.netns, packet.device.ifindex)
            .is_some_and(|link| link.master.is_some())
}

/// What kind of place it must be, from the lengths alone.
fn guess(packet: &Packet) -> Option<SiteKind> {
    let above = |device: Option<&Device>| {
        device.is_some_and(|device| device.mtu_bytes > 0 && packet.length_bytes > device.mtu_bytes)
    };
    if above(packet.route.as_ref()) {
        Some(SiteKind::Forward)
    } else if above(packet.peer.as_ref()) {
        Some(SiteKind::Veth)
    } else if above(Some(&packet.device)) {
        Some(SiteKind::Bridge)
    } else {
        None
    }
}

/// A netfilter hook, by its name in rules.
pub type Hook = &'static str;

/// The netfilter hook a packet was dropped at, from what its buffer shows there. `None` if it was
/// not netfilter.
///
/// A locally made packet has no device before `ip_output` sets it; a received one is routed to
/// `ip_local_deliver` or `ip_forward` before INPUT and FORWARD, and not routed in PREROUTING.
#[must_use]
pub fn netfilter_hook(packet: &Packet) -> Option<Hook> {
    let PacketKind::Dropped { function, reason } = &packet.what else {
        return None;
    };
    let by_netfilter = reason.as_deref() == Some("NETFILTER_DROP")
        || matches!(
            function.as_str(),
            "nft_do_chain" | "ipt_do_table" | "ip6t_do_table" | "nf_hook_slow"
        );
    if !by_netfilter {
        return None;
    }
    let Some(route) = &packet.route else {
        return Some("PREROUTING");
    };
    if !packet.has_device {
        return Some("OUTPUT");
    }
    Some(match packet.route_input.as_deref() {
        Some("ip_local_deliver" | "ip6_input") => "INPUT",
        Some("ip_forward" | "ip6_forward") if packet.device.ifindex != route.ifindex => "FORWARD",
        _ => "POSTROUTING",
    })
}
