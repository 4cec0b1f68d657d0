//! What is joined at layer 2: the devices a frame can pass without anybody looking at its addresses
//! of layer 3.
//!
//! Cables, switches with their ports, devices stacked on others and the two ends of a tunnel are
//! joined. Between two devices of a segment the way is that of a spanning tree: a frame has one way
//! only, or there is a loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter;
use std::net::IpAddr;

use crate::core::graph::neighbours::{Adjacency, Neighbours, Passable, breadth_first};
use crate::model::network::{LinkId, LinkKind, Topology};

/// What a frame goes over: to the ends of its cable, through switches, down and up.
const LAYER2: [Adjacency; 5] = [
    Adjacency::Cable,
    Adjacency::Switch,
    Adjacency::Port,
    Adjacency::Lower,
    Adjacency::Upper,
];

/// The segments of a host.
#[derive(Debug, Default)]
pub struct Segments {
    /// The segment of each device, and the one before it in the tree.
    nodes: HashMap<LinkId, (usize, Option<LinkId>)>,
    segments: Vec<Segment>,
}

/// Devices that are joined.
#[derive(Debug, Default)]
struct Segment {
    owners: HashMap<IpAddr, Vec<LinkId>>,
    exits: Vec<LinkId>,
    routers: Vec<LinkId>,
}

impl Segments {
    /// Finds the segments; `tunnels` joins the ends of tunnels.
    pub fn new(
        topology: &Topology,
        neighbours: &Neighbours,
        tunnels: &BTreeSet<(LinkId, LinkId)>,
    ) -> Self {
        let mut ends: BTreeMap<LinkId, Vec<LinkId>> = BTreeMap::new();
        for &(one, other) in tunnels {
            ends.entry(one).or_default().push(other);
            ends.entry(other).or_default().push(one);
        }
        let joined = |at| -> Vec<LinkId> {
            let ends = ends.get(&at).into_iter().flatten().copied();
            let all = neighbours.of(at, &LAYER2).chain(ends);
            all.filter(|to| Passable::Up.allows(topology, *to))
                .collect()
        };
        let mut segments = Self::default();
        for (netns, known) in topology.living() {
            for (&ifindex, link) in &known.links {
                let root = LinkId { netns, ifindex };
                if !link.is_carrier() || segments.nodes.contains_key(&root) {
                    continue;
                }
                let mut segment = Segment::default();
                for (at, before) in breadth_first(root, joined) {
                    let parent = Some(before).filter(|before| *before != at);
                    let node = (segments.segments.len(), parent);
                    segments.nodes.insert(at, node);
                    segment.add(topology, at);
                }
                segments.segments.push(segment);
            }
        }
        segments
    }

    fn of(&self, from: LinkId) -> Option<&Segment> {
        self.segments.get(self.nodes.get(&from)?.0)
    }

    /// The device that has an address, seen from another one in the same segment.
    pub fn owner(&self, from: LinkId, address: IpAddr) -> Option<LinkId> {
        let owners = self.of(from)?.owners.get(&address)?;
        owners.iter().copied().find(|owner| *owner != from)
    }

    /// The devices by which frames leave what is known, seen from one of the segment.
    pub fn exits(&self, from: LinkId) -> &[LinkId] {
        self.of(from).map_or(&[], |segment| &segment.exits)
    }

    /// The only other namespace's device in the segment that routes, if there is one alone. With
    /// proxy ARP (Calico, most point-to-point set-ups) a gateway's address is nobody's.
    pub fn only_router(&self, from: LinkId) -> Option<LinkId> {
        let routers = self.of(from)?.routers.iter();
        let mut others = routers.filter(|router| router.netns != from.netns);
        let router = others.next()?;
        others.next().is_none().then_some(*router)
    }

    /// The devices from one to another in the same segment, both included; empty if they are in
    /// different ones.
    pub fn between(&self, from: LinkId, to: LinkId) -> Vec<LinkId> {
        let parent = |at: &LinkId| self.nodes.get(at)?.1;
        let to_root = |at| iter::successors(Some(at), parent).collect::<Vec<_>>();
        let (mut up, mut down) = (to_root(from), to_root(to));
        let mut meeting = None;
        while up.last().is_some() && up.last() == down.last() {
            meeting = up.pop();
            down.pop();
        }
        if meeting.is_none() {
            return Vec::new();
        }
        up.extend(meeting.into_iter().chain(down.into_iter().rev()));
        up
    }
}

impl Segment {
    fn add(&mut self, topology: &Topology, at: LinkId) {
        let Some((netns, link)) = at.place(topology) else {
            return;
        };
        // What the lower device of a stacked one carries, others carry too: only its own addresses
        // are there.
        for own in &link.addresses {
            self.owners.entry(own.address).or_default().push(at);
        }
        if link.kind == LinkKind::Physical || link.is_tunnel() {
            self.exits.push(at);
        }
        if netns.routes(link) {
            self.routers.push(at);
        }
    }
}
