//! How long a packet may be to go on from a device. Pure.
//!
//! All lengths are of layer 3, as MTUs are. The kernel is a little more generous at layer 2: a veth
//! and a bridge port let a packet pass that is up to four bytes longer (`is_skb_forwardable` makes
//! room for a VLAN tag), so what exceeds a limit here is a suspect, not yet a victim.

use std::collections::{BTreeMap, BTreeSet};

use mtu_trace_common::map::DeviceLimits;

use crate::core::graph::role;
use crate::model::network::{Link, LinkKind, Netns, NetnsId, Topology};

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

/// The devices at which a packet passes from one part of the network to another: bridges and their
/// ports, veths, tunnels, stacked devices, and what a namespace forwards between. Those that are
/// down and those in namespaces that are gone are none.
pub fn boundary_devices(topology: &Topology) -> impl Iterator<Item = (NetnsId, u32)> + '_ {
    living(topology).flat_map(|(id, netns)| {
        let boundaries = netns
            .links
            .iter()
            .filter(|(_, link)| is_boundary(netns, link));
        boundaries.map(move |(&ifindex, _)| (id, ifindex))
    })
}

/// The limits of all boundary devices of a host.
///
/// A packet that *leaves* by a device goes on only if it also fits the other end of a veth, a port
/// of a bridge, the device below. One that *comes in* by a device goes on only if it fits what it
/// can leave by: the other ports of the same bridge, the other devices a namespace forwards between.
#[must_use]
pub fn limits(topology: &Topology) -> Limits {
    let mut limits = Limits::default();
    let mut onward = Egress {
        topology,
        known: BTreeMap::new(),
    };
    for (id, netns) in living(topology) {
        let egress: BTreeMap<u32, u32> = netns
            .links
            .iter()
            .filter(|(_, link)| link.up && !role::is_loopback(link))
            .filter_map(|(&ifindex, _)| Some((ifindex, onward.limit((id, ifindex), 0)?)))
            .collect();
        let coming: BTreeMap<u32, u32> = netns
            .links
            .iter()
            .filter(|(_, link)| is_coming(link))
            .filter_map(|(&ifindex, _)| Some((ifindex, onward.limit((id, ifindex), 0)?)))
            .collect();
        let routed = Smallest::new(egress.iter().filter(|(ifindex, _)| {
            role::forwards(netns)
                && netns
                    .links
                    .get(ifindex)
                    .is_some_and(|link| role::is_routed(netns, link))
        }));
        let ports = ports(netns, &egress);
        // Whatever is sent here by a program (bpf_redirect) was on some device of this namespace.
        let largest = egress
            .keys()
            .filter_map(|ifindex| netns.links.get(ifindex))
            .map(|link| link.mtu_bytes)
            .max()
            .unwrap_or(0);
        for (&ifindex, &egress_bytes) in egress.iter().chain(&coming) {
            let Some(link) = netns.links.get(&ifindex) else {
                continue;
            };
            if !is_boundary(netns, link) && !is_coming(link) {
                continue;
            }
            let ingress_bytes = match role::switch_of(netns, link) {
                Some(switch) => {
                    let others = ports.get(&switch).and_then(|ports| ports.except(ifindex));
                    // What the bridge takes for itself may be forwarded.
                    let beyond = routed.except(switch).filter(|_| routed.has(switch));
                    smaller(others, beyond)
                }
                None => routed.except(ifindex).filter(|_| routed.has(ifindex)),
            };
            let arriving = link.mtu_bytes.max(peer_mtu(topology, link).unwrap_or(0));
            let limit = DeviceLimits {
                ingress_bytes: ingress_bytes.filter(|&limit| limit < arriving).unwrap_or(0),
                egress_bytes: if egress_bytes < largest.max(link.mtu_bytes) {
                    egress_bytes
                } else {
                    0
                },
            };
            if limit != DeviceLimits::default() {
                let bounds = [limit.ingress_bytes, limit.egress_bytes];
                let smallest = bounds.into_iter().filter(|&bytes| bytes != 0).min();
                limits.smallest_bytes = smaller(limits.smallest_bytes, smallest);
                limits.devices.insert((id, ifindex), limit);
            }
        }
    }
    limits
}

fn living(topology: &Topology) -> impl Iterator<Item = (NetnsId, &Netns)> {
    topology
        .namespaces
        .iter()
        .filter(|(_, netns)| !netns.gone)
        .map(|(&id, netns)| (id, netns))
}

fn is_boundary(netns: &Netns, link: &Link) -> bool {
    link.up
        && !role::is_loopback(link)
        && (role::is_pair(link)
            || role::is_bridge(link)
            || role::is_tunnel(link)
            || role::is_stacked(link)
            || role::switch_of(netns, link).is_some()
            || (role::forwards(netns) && role::is_routed(netns, link)))
}

/// Whether it is a port that is about to be set up: a container engine puts a container's link into
/// its bridge first. Its own limits can be known before its first packet, and it limits nobody yet.
fn is_coming(link: &Link) -> bool {
    !link.up && link.master.is_some() && role::is_pair(link)
}

/// Finds the longest packet that can leave by a device and go on to the next.
struct Egress<'a> {
    topology: &'a Topology,
    /// What has been found, by namespace and interface index. Containers choose how their devices
    /// are stacked, so each is to be looked at once only.
    known: BTreeMap<(NetnsId, u32), u32>,
}

impl Egress<'_> {
    fn limit(&mut self, at: (NetnsId, u32), depth: u32) -> Option<u32> {
        if let Some(&known) = self.known.get(&at) {
            return Some(known);
        }
        let topology = self.topology;
        let netns = topology.namespaces.get(&at.0)?;
        let link = netns.links.get(&at.1)?;
        let own = link.mtu_bytes;
        // For whoever comes by again in a circle.
        self.known.insert(at, own);
        let onward = if depth >= MAX_DEPTH || role::is_tunnel(link) {
            None // a packet that is wrapped may be cut into pieces below
        } else if role::is_bridge(link) {
            // `br_dev_queue_push_xmit` measures against the port, whatever the bridge's own MTU is.
            netns
                .links
                .iter()
                .filter(|(_, port)| port.up && port.master == Some(at.1))
                .filter_map(|(&port, _)| self.limit((at.0, port), depth + 1))
                .min()
        } else if link.kind == LinkKind::Veth {
            // `__dev_forward_skb` measures against the receiving end.
            peer_mtu(topology, link)
        } else if role::is_stacked(link)
            && let Some(peer) = link.peer
            && let Some(lower_netns) = peer.netns
        {
            self.limit((lower_netns, peer.ifindex), depth + 1)
        } else {
            None
        };
        let limit = onward.map_or(own, |onward| own.min(onward));
        self.known.insert(at, limit);
        Some(limit)
    }
}

fn peer_mtu(topology: &Topology, link: &Link) -> Option<u32> {
    let peer = link.peer.filter(|_| role::is_pair(link))?;
    Some(topology.link(peer.netns?, peer.ifindex)?.mtu_bytes)
}

/// The egress limits of each switch's ports.
fn ports(netns: &Netns, egress: &BTreeMap<u32, u32>) -> BTreeMap<u32, Smallest> {
    let mut ports: BTreeMap<u32, Smallest> = BTreeMap::new();
    for (&ifindex, &limit) in egress {
        let link = netns.links.get(&ifindex);
        if let Some(switch) = link.and_then(|link| role::switch_of(netns, link)) {
            ports.entry(switch).or_default().add(ifindex, limit);
        }
    }
    ports
}

/// The smallest limit of several devices, with or without one of them.
#[derive(Clone, Debug, Default)]
struct Smallest {
    /// The two devices with the smallest limits, the smaller one first.
    lowest: [Option<(u32, u32)>; 2],
    members: BTreeSet<u32>,
}

impl Smallest {
    fn new<'a>(devices: impl Iterator<Item = (&'a u32, &'a u32)>) -> Self {
        let mut smallest = Self::default();
        for (&ifindex, &limit) in devices {
            smallest.add(ifindex, limit);
        }
        smallest
    }

    fn add(&mut self, ifindex: u32, limit: u32) {
        self.members.insert(ifindex);
        let mut entry = Some((limit, ifindex));
        for slot in &mut self.lowest {
            if slot.is_none() || (entry.is_some() && entry < *slot) {
                std::mem::swap(slot, &mut entry);
            }
        }
    }

    fn has(&self, ifindex: u32) -> bool {
        self.members.contains(&ifindex)
    }

    /// The smallest limit among all devices but the given one.
    fn except(&self, ifindex: u32) -> Option<u32> {
        let mut lowest = self.lowest.iter().flatten();
        lowest
            .find(|(_, device)| *device != ifindex)
            .map(|&(limit, _)| limit)
    }
}

fn smaller(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    [a, b].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::fixture::{Lab, id};

    /// `(ingress, egress)` of a link, zeroes if it has no entry.
    fn of(lab: &Lab, netns: u64, name: &str) -> (u32, u32) {
        let found = limits(&lab.topology);
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
        assert_eq!(limits(&lab.topology), Limits::default());
        let boundaries: Vec<_> = boundary_devices(&lab.topology).collect();
        assert_eq!(boundaries.len(), 5);
    }

    #[test]
    fn a_router_has_the_limit_of_where_it_sends() {
        // Scenario A: the container's link is 1450 at both ends.
        let lab = host(1450, 1450, 1450);
        assert_eq!(of(&lab, 3, "ens18"), (1450, 0));
        assert_eq!(of(&lab, 4, "eth0"), (0, 0));
        assert_eq!(limits(&lab.topology).smallest_bytes, Some(1450));
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
        assert_eq!(limits(&lab.topology), Limits::default());
        lab.link(3, "can0", "physical", 16);
        assert_eq!(of(&lab, 3, "ens18").0, 0);
        let mut lab = host(1450, 1450, 1450);
        lab.netns(3).gone = true;
        assert!(
            limits(&lab.topology)
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
        assert_eq!(limits(&lab.topology), Limits::default());
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
        assert!(limits(&lab.topology).smallest_bytes.is_some());
    }
}
