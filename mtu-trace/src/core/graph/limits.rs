//! How long a packet may be to go on from a device.
//!
//! All lengths are of layer 3, as MTUs are. The kernel is a little more generous at layer 2: a veth
//! and a bridge port let a packet pass that is up to four bytes longer (`is_skb_forwardable` makes
//! room for a VLAN tag), so what exceeds a limit here is a suspect, not yet a victim.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mtu_trace_common::map::DeviceLimits;

use crate::core::graph::{Adjacency, Passable, TopologyIndex};
use crate::model::network::{Link, LinkId, LinkKind, Netns, NetnsId};

/// How many devices may be stacked on each other before that is taken for a circle.
const MAX_DEPTH: u32 = 16;

/// The limits of the host's boundary devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// By namespace and interface index. Boundary devices that cannot see a packet above their
    /// limits are left out.
    pub devices: BTreeMap<(NetnsId, u32), DeviceLimits>,
    /// The smallest of all limits: no shorter packet needs a look. `None` without any.
    pub smallest_bytes: Option<u32>,
}

impl TopologyIndex {
    /// The devices at which a packet passes from one part of the network to another: bridges and
    /// their ports, veths, tunnels, stacked devices, and what a namespace forwards between. Those that
    /// are down and those in namespaces that are gone are none.
    pub fn boundary_devices(&self) -> impl Iterator<Item = LinkId> {
        self.topology.living().flat_map(|(id, netns)| {
            let links = netns.links.iter();
            let boundaries = links.filter(|(_, link)| is_boundary(netns, link));
            boundaries.map(move |(&ifindex, _)| LinkId { netns: id, ifindex })
        })
    }

    /// The limits of all boundary devices of a host.
    ///
    /// A packet that *leaves* by a device goes on only if it also fits the other end of a veth, a
    /// port of a bridge, the device below. One that *comes in* by a device goes on only if it fits
    /// what it can leave by: the other ports of the same bridge, the other devices a namespace
    /// forwards between.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        let mut egress = Egress {
            index: self,
            known: HashMap::new(),
        };
        for (id, netns) in self.topology.living() {
            let exits = Exits::new(id, netns, &mut egress);
            for (&ifindex, link) in &netns.links {
                if !is_boundary(netns, link) && !is_coming(link) {
                    continue;
                }
                let leaving = exits.largest_bytes.max(link.mtu_bytes);
                let egress = egress.limit(LinkId { netns: id, ifindex }, 0);
                let arriving = link.mtu_bytes.max(self.peer_mtu(link).unwrap_or(0));
                let ingress = exits.onward(ifindex, link);
                let limit = DeviceLimits {
                    ingress_bytes: ingress.filter(|&bytes| bytes < arriving).unwrap_or(0),
                    egress_bytes: egress.filter(|&bytes| bytes < leaving).unwrap_or(0),
                };
                if limit != DeviceLimits::default() {
                    limits.devices.insert((id, ifindex), limit);
                }
            }
        }
        let devices = limits.devices.values();
        let bounds = devices.flat_map(|limit| [limit.ingress_bytes, limit.egress_bytes]);
        limits.smallest_bytes = bounds.filter(|&bytes| bytes != 0).min();
        limits
    }

    fn peer_mtu(&self, link: &Link) -> Option<u32> {
        let peer = link.peer_id().filter(|_| link.is_pair())?;
        Some(peer.link(&self.topology)?.mtu_bytes)
    }
}

fn is_boundary(netns: &Netns, link: &Link) -> bool {
    link.is_carrier()
        && (link.is_pair()
            || link.kind == LinkKind::Bridge
            || link.is_tunnel()
            || link.is_stacked()
            || netns.switch_of(link).is_some()
            || netns.routes(link))
}

/// Whether it is a port that is about to be set up: a container engine puts a container's link into
/// its bridge first. Its own limits can be known before its first packet, and it limits nobody yet.
fn is_coming(link: &Link) -> bool {
    !link.up && link.master.is_some() && link.is_pair()
}

/// Finds the longest packet that can leave by a device and go on to the next.
struct Egress<'a> {
    index: &'a TopologyIndex,
    /// What has been found. Containers choose how their devices are stacked, so each is to be looked
    /// at once only.
    known: HashMap<LinkId, u32>,
}

impl Egress<'_> {
    fn limit(&mut self, at: LinkId, depth: u32) -> Option<u32> {
        if let Some(&known) = self.known.get(&at) {
            return Some(known);
        }
        let index = self.index;
        let link = at.link(&index.topology)?;
        let own = link.mtu_bytes;
        // For whoever comes by again in a circle.
        self.known.insert(at, own);
        let onward = if depth >= MAX_DEPTH || link.is_tunnel() {
            None // a packet that is wrapped may be cut into pieces below
        } else if link.kind == LinkKind::Bridge {
            // `br_dev_queue_push_xmit` measures against the port, whatever the bridge's own MTU is.
            index
                .neighbours()
                .of(at, &[Adjacency::Port])
                .filter(|port| Passable::Up.allows(&index.topology, *port))
                .filter_map(|port| self.limit(port, depth + 1))
                .min()
        } else if link.kind == LinkKind::Veth {
            // `__dev_forward_skb` measures against the receiving end.
            index.peer_mtu(link)
        } else if link.is_stacked() {
            let lower = link.peer_id();
            let below = lower.and_then(|lower| self.limit(lower, depth + 1));
            let beside = lower.filter(|_| link.kind == LinkKind::Ipvlan);
            // What is for another one of them goes there at once (`ipvlan_rcv_frame`).
            let beside = beside.and_then(|lower| self.smallest_upper(lower));
            below.into_iter().chain(beside).min()
        } else {
            None
        };
        let limit = onward.map_or(own, |onward| own.min(onward));
        self.known.insert(at, limit);
        Some(limit)
    }
}

impl Egress<'_> {
    /// The smallest MTU of the ipvlans on a device, bytes.
    fn smallest_upper(&self, lower: LinkId) -> Option<u32> {
        let topology = &self.index.topology;
        let uppers = self.index.neighbours().of(lower, &[Adjacency::Upper]);
        let links = uppers.filter_map(|upper| upper.link(topology));
        let ipvlans = links.filter(|link| link.kind == LinkKind::Ipvlan && link.up);
        ipvlans.map(|link| link.mtu_bytes).min()
    }
}

/// By what a packet that has come into a namespace can leave it again.
struct Exits<'a> {
    netns: &'a Netns,
    /// The egress limits of the ports of each switch, and with `None` of what is forwarded between.
    limits: BTreeMap<Option<u32>, BTreeSet<(u32, u32)>>,
    /// The largest MTU of a device. Whatever is sent here by a program (`bpf_redirect`) was on some
    /// device of this namespace.
    largest_bytes: u32,
}

impl<'a> Exits<'a> {
    fn new(id: NetnsId, netns: &'a Netns, egress: &mut Egress<'_>) -> Self {
        let mut exits = Self {
            netns,
            limits: BTreeMap::new(),
            largest_bytes: 0,
        };
        for (&ifindex, link) in netns.links.iter().filter(|(_, link)| link.is_carrier()) {
            exits.largest_bytes = exits.largest_bytes.max(link.mtu_bytes);
            let switch = netns.switch_of(link);
            let limit = egress.limit(LinkId { netns: id, ifindex }, 0);
            if switch.is_some() || netns.routes(link) {
                let exits = exits.limits.entry(switch).or_default();
                exits.extend(limit.map(|limit| (limit, ifindex)));
            }
        }
        exits
    }

    /// The longest packet that can leave by another device than it came in by; `None` where it
    /// cannot go on.
    fn onward(&self, ifindex: u32, link: &Link) -> Option<u32> {
        let Some(switch) = self.netns.switch_of(link) else {
            return self.routed(ifindex);
        };
        // What the bridge takes for itself may be forwarded.
        let all = [self.smallest(Some(switch), ifindex), self.routed(switch)];
        all.into_iter().flatten().min()
    }

    fn routed(&self, ifindex: u32) -> Option<u32> {
        let link = self.netns.links.get(&ifindex)?;
        let is_routed = link.is_carrier() && self.netns.routes(link);
        is_routed.then(|| self.smallest(None, ifindex))?
    }

    fn smallest(&self, of: Option<u32>, but: u32) -> Option<u32> {
        let mut all = self.limits.get(&of)?.iter();
        all.find(|(_, ifindex)| *ifindex != but)
            .map(|(limit, _)| *limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::fixture::{Lab, id};

    /// `(ingress, egress)` of a link, zeroes if it has no entry.
    fn of(lab: &Lab, netns: u64, name: &str) -> (u32, u32) {
        let found = lab.graph().limits();
        let limit = found
            .devices
            .get(&(id(netns), lab.index(netns, name)))
            .copied()
            .unwrap_or_default();
        (limit.ingress_bytes, limit.egress_bytes)
    }

    /// A container (1) behind a bridge of a host (3) with a server (4); the MTUs of the container's
    /// veth, its end at the host, and the bridge.
    fn host(inside: u32, end: u32, bridge: u32) -> Lab {
        let mut lab = Lab::default();
        lab.router(3);
        lab.veth((1, "eth0", inside), (3, "vethx", end));
        lab.bridge(3, "cni0", bridge, &["vethx"], true);
        lab.veth((3, "ens18", 1500), (4, "eth0", 1500));
        lab
    }

    #[test]
    fn equal_mtus_need_no_look() {
        let lab = host(1500, 1500, 1500);
        assert_eq!(lab.graph().limits(), Limits::default());
        let boundaries: Vec<_> = lab.graph().boundary_devices().collect();
        assert_eq!(boundaries.len(), 5);
    }

    #[test]
    fn a_router_has_the_limit_of_where_it_sends() {
        // Scenario A: the container's link is 1450 at both ends.
        let lab = host(1450, 1450, 1450);
        assert_eq!(of(&lab, 3, "ens18"), (1450, 0));
        assert_eq!(of(&lab, 4, "eth0"), (0, 0));
        assert_eq!(lab.graph().limits().smallest_bytes, Some(1450));
    }

    #[test]
    fn a_veth_has_the_limit_of_its_other_end() {
        // Scenario B: only the far end is 1450.
        let lab = host(1450, 1500, 1500);
        assert_eq!(of(&lab, 3, "vethx"), (0, 1450));
        assert_eq!(of(&lab, 3, "cni0").1, 1450);
        assert_eq!(of(&lab, 3, "ens18").0, 1450);
        assert_eq!(of(&lab, 1, "eth0"), (0, 0));
    }

    #[test]
    fn a_bridge_has_the_limit_of_its_port() {
        // Scenario C: the bridge is forced to more than its port can carry.
        let lab = host(1450, 1450, 1500);
        assert_eq!(of(&lab, 3, "cni0").1, 1450);
        assert_eq!(of(&lab, 3, "ens18"), (1450, 0));
    }

    #[test]
    fn ports_of_a_bridge_limit_each_other() {
        // Scenario L: nothing but a bridge.
        let mut lab = Lab::default();
        lab.veth((1, "eth0", 1500), (3, "a", 1500));
        lab.veth((2, "eth0", 1450), (3, "b", 1450));
        lab.bridge(3, "br0", 1500, &["a", "b"], false);
        assert_eq!(of(&lab, 3, "a"), (1450, 0));
        assert_eq!(of(&lab, 3, "b").0, 0);
        // Another namespace's forwarding is none of this bridge's business, unless it takes part.
        lab.router(3);
        lab.link(3, "wg0", "wireguard", 1420);
        assert_eq!(of(&lab, 3, "a").0, 1450);
        lab.bridge(3, "br0", 1500, &["a", "b"], true);
        assert_eq!(of(&lab, 3, "a").0, 1420);
        assert_eq!(of(&lab, 3, "b").0, 1420);
        assert_eq!(of(&lab, 3, "br0").0, 1420);
    }

    #[test]
    fn what_cannot_carry_packets_limits_nobody() {
        let mut lab = host(1500, 1500, 1500);
        lab.link(3, "wg0", "wireguard", 1280);
        assert_eq!(of(&lab, 3, "ens18").0, 1280);
        lab.link_mut(3, "wg0").up = false;
        assert_eq!(lab.graph().limits(), Limits::default());
        lab.link(3, "can0", "physical", 16);
        assert_eq!(of(&lab, 3, "ens18").0, 0);
        let mut lab = host(1450, 1450, 1450);
        lab.netns(3).gone = true;
        assert!(
            lab.graph()
                .limits()
                .devices
                .keys()
                .all(|(netns, _)| *netns != id(3))
        );
    }

    #[test]
    fn a_port_has_its_limits_before_it_is_up() {
        let mut lab = host(1450, 1500, 1500);
        lab.link_mut(3, "vethx").up = false;
        assert_eq!(of(&lab, 3, "vethx"), (0, 1450));
        assert_eq!(of(&lab, 3, "ens18").0, 0);
        // Until it is a port, it may be a container's end that is still to move.
        lab.link_mut(3, "vethx").master = None;
        assert_eq!(lab.graph().limits(), Limits::default());
    }

    #[test]
    fn stacked_devices_have_the_limit_of_what_is_below() {
        let mut lab = Lab::default();
        lab.link(3, "ens18", "physical", 1400);
        lab.link(3, "ens19", "physical", 1500);
        lab.stacked((1, "eth0", "macvlan", 1500), (3, "ens18"));
        assert_eq!(of(&lab, 1, "eth0").1, 1400);
        // A tunnel may send a packet in pieces.
        lab.stacked((3, "gre1", "gre", 1476), (3, "ens18"));
        assert_eq!(of(&lab, 3, "gre1").1, 1476);
    }

    #[test]
    fn circles_come_to_an_end() {
        let mut lab = Lab::default();
        lab.link(3, "a", "vlan", 1500);
        lab.link(3, "b", "vlan", 1400);
        lab.stack((3, "a"), (3, "b"));
        lab.stack((3, "b"), (3, "a"));
        lab.bridge(3, "br0", 1500, &["a", "b"], true);
        lab.link_mut(3, "br0").master = Some(lab.index(3, "br0"));
        assert!(lab.graph().limits().smallest_bytes.is_some());
    }
}
