//! What is joined at layer 2: the devices a frame can pass without anybody looking at its addresses
//! of layer 3. Pure.
//!
//! Links that are up are nodes. Cables (veth), switches with their ports, devices stacked on others
//! and the two ends of a tunnel are edges. Between two devices of a segment the way is that of a
//! spanning tree: a frame has one way only, or there is a loop.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use crate::core::graph::path::Hop;
use crate::core::graph::role;
use crate::model::network::{LinkKind, Netns, NetnsId, Topology};

/// The segments of a host.
#[derive(Debug, Default)]
pub struct Segments {
    nodes: HashMap<Hop, Node>,
    owners: HashMap<(usize, IpAddr), Vec<Hop>>,
    exits: Vec<Vec<Hop>>,
    routers: Vec<Vec<Hop>>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    segment: usize,
    depth: usize,
    parent: Hop,
}

impl Segments {
    /// Finds the segments; `tunnels` joins the ends of tunnels.
    #[must_use]
    pub fn new(topology: &Topology, tunnels: &BTreeSet<(Hop, Hop)>) -> Self {
        let edges = edges(topology, tunnels);
        let mut segments = Self::default();
        for (netns, known) in living(topology) {
            for (&ifindex, link) in &known.links {
                let root = Hop { netns, ifindex };
                if link.up && !role::is_loopback(link) && !segments.nodes.contains_key(&root) {
                    segments.grow(topology, &edges, root);
                }
            }
        }
        segments
    }

    /// Takes up everything that is joined to a device.
    fn grow(&mut self, topology: &Topology, edges: &BTreeMap<Hop, Vec<Hop>>, root: Hop) {
        let segment = self.exits.len();
        self.exits.push(Vec::new());
        self.routers.push(Vec::new());
        let mut queue = VecDeque::from([(root, root, 0)]);
        while let Some((at, parent, depth)) = queue.pop_front() {
            if self.nodes.contains_key(&at) {
                continue;
            }
            let node = Node {
                segment,
                depth,
                parent,
            };
            self.nodes.insert(at, node);
            self.describe(topology, segment, at);
            for &next in edges.get(&at).into_iter().flatten() {
                queue.push_back((next, at, depth + 1));
            }
        }
    }

    fn describe(&mut self, topology: &Topology, segment: usize, at: Hop) {
        let Some(netns) = topology.namespaces.get(&at.netns) else {
            return;
        };
        let Some(link) = netns.links.get(&at.ifindex) else {
            return;
        };
        // What the lower device of a stacked one carries, others carry too: only its own addresses
        // are there.
        for own in &link.addresses {
            let owners = self.owners.entry((segment, own.address)).or_default();
            owners.push(at);
        }
        if (link.kind == LinkKind::Physical || role::is_tunnel(link))
            && let Some(exits) = self.exits.get_mut(segment)
        {
            exits.push(at);
        }
        if role::forwards(netns)
            && role::is_routed(netns, link)
            && let Some(routers) = self.routers.get_mut(segment)
        {
            routers.push(at);
        }
    }

    /// The device that has an address, seen from another one in the same segment.
    #[must_use]
    pub fn owner(&self, from: Hop, address: IpAddr) -> Option<Hop> {
        let segment = self.nodes.get(&from)?.segment;
        let owners = self.owners.get(&(segment, address))?;
        owners.iter().copied().find(|owner| *owner != from)
    }

    /// The devices by which frames leave what is known, seen from one of the segment.
    #[must_use]
    pub fn exits(&self, from: Hop) -> &[Hop] {
        self.nodes
            .get(&from)
            .and_then(|node| self.exits.get(node.segment))
            .map_or(&[], Vec::as_slice)
    }

    /// The only other namespace's device in the segment that routes, if there is one alone. With
    /// proxy ARP (Calico, most point-to-point set-ups) a gateway's address is nobody's.
    #[must_use]
    pub fn only_router(&self, from: Hop) -> Option<Hop> {
        let segment = self.nodes.get(&from)?.segment;
        let routers = self.routers.get(segment)?;
        let mut others = routers.iter().filter(|router| router.netns != from.netns);
        let router = others.next()?;
        others.next().is_none().then_some(*router)
    }

    /// The devices from one to another in the same segment, both included; empty if they are in
    /// different ones.
    #[must_use]
    pub fn between(&self, from: Hop, to: Hop) -> Vec<Hop> {
        let (Some(&start), Some(&end)) = (self.nodes.get(&from), self.nodes.get(&to)) else {
            return Vec::new();
        };
        if start.segment != end.segment {
            return Vec::new();
        }
        let (mut up, mut down) = (vec![from], vec![to]);
        let (mut a, mut b) = ((from, start), (to, end));
        while a.0 != b.0 {
            let (side, at) = if a.1.depth >= b.1.depth {
                (&mut up, &mut a)
            } else {
                (&mut down, &mut b)
            };
            let parent = at.1.parent;
            let Some(&node) = self.nodes.get(&parent) else {
                return Vec::new();
            };
            *at = (parent, node);
            side.push(parent);
        }
        // Both lists end where they meet.
        down.pop();
        up.extend(down.into_iter().rev());
        up
    }
}

/// The namespaces that are not gone.
pub fn living(topology: &Topology) -> impl Iterator<Item = (NetnsId, &Netns)> {
    topology
        .namespaces
        .iter()
        .filter(|(_, netns)| !netns.gone)
        .map(|(&id, netns)| (id, netns))
}

fn edges(topology: &Topology, tunnels: &BTreeSet<(Hop, Hop)>) -> BTreeMap<Hop, Vec<Hop>> {
    let mut edges: BTreeMap<Hop, Vec<Hop>> = BTreeMap::new();
    let is_up = |at: Hop| {
        topology
            .link(at.netns, at.ifindex)
            .is_some_and(|link| link.up)
    };
    let mut join = |a: Hop, b: Hop| {
        if a != b && is_up(a) && is_up(b) {
            edges.entry(a).or_default().push(b);
            edges.entry(b).or_default().push(a);
        }
    };
    for (id, netns) in living(topology) {
        for (&ifindex, link) in &netns.links {
            let at = Hop { netns: id, ifindex };
            if let Some(switch) = role::switch_of(netns, link) {
                join(
                    at,
                    Hop {
                        netns: id,
                        ifindex: switch,
                    },
                );
            }
            // A tunnel's lower device carries its packets wrapped, not as they are.
            if let Some(peer) = link.peer.filter(|_| !role::is_tunnel(link))
                && let Some(netns) = peer.netns
            {
                let other = Hop {
                    netns,
                    ifindex: peer.ifindex,
                };
                // A cable is listed at both ends.
                if !role::is_pair(link) || at < other {
                    join(at, other);
                }
            }
        }
    }
    for &(a, b) in tunnels {
        join(a, b);
    }
    edges
}
