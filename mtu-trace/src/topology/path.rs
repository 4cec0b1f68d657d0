//! The way between two links: over cables, through bridges, up and down stacked devices, and through
//! namespaces that forward. Pure.
//!
//! Routes are not looked at: it is the shortest way that packets could take.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    model::{NetnsId, Topology},
    role,
};

/// A link on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Namespace of the link.
    pub netns: NetnsId,
    /// Its interface index.
    pub ifindex: u32,
}

/// The shortest way from a link to any of the given ones, both ends included; empty if there is
/// none.
///
/// A way over links that are up is preferred to any other; that of a namespace which is gone may be
/// all that is left of it.
#[must_use]
pub fn path(topology: &Topology, from: (NetnsId, u32), to: &[(NetnsId, u32)]) -> Vec<Hop> {
    let graph = Graph::new(topology);
    let from = hop(from);
    let to: BTreeSet<Hop> = to.iter().copied().map(hop).collect();
    let way = search(&graph, from, &to, true);
    if way.is_empty() {
        search(&graph, from, &to, false)
    } else {
        way
    }
}

fn hop((netns, ifindex): (NetnsId, u32)) -> Hop {
    Hop { netns, ifindex }
}

/// Breadth first, links in the order of their indices, so that the answer is always the same.
fn search(graph: &Graph<'_>, from: Hop, to: &BTreeSet<Hop>, only_up: bool) -> Vec<Hop> {
    if graph.topology.link(from.netns, from.ifindex).is_none() {
        return Vec::new();
    }
    let mut came_from: BTreeMap<Hop, Hop> = BTreeMap::from([(from, from)]);
    // All links of a bridge or a router are neighbours of each other: once is enough.
    let mut crossed: BTreeSet<(NetnsId, Option<u32>)> = BTreeSet::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if to.contains(&at) {
            return trace(&came_from, at);
        }
        graph.neighbours(at, &mut crossed, |next| {
            let Some(link) = graph.topology.link(next.netns, next.ifindex) else {
                return;
            };
            if (link.up && !graph.is_gone(next.netns) || !only_up) && !came_from.contains_key(&next)
            {
                came_from.insert(next, at);
                queue.push_back(next);
            }
        });
    }
    Vec::new()
}

fn trace(came_from: &BTreeMap<Hop, Hop>, end: Hop) -> Vec<Hop> {
    let mut way = vec![end];
    let mut at = end;
    while let Some(&before) = came_from.get(&at) {
        if before == at {
            break;
        }
        way.push(before);
        at = before;
    }
    way.reverse();
    way
}

struct Graph<'a> {
    topology: &'a Topology,
    /// Stacked devices by the device they sit on.
    above: BTreeMap<Hop, Vec<Hop>>,
}

impl<'a> Graph<'a> {
    fn new(topology: &'a Topology) -> Self {
        let mut above: BTreeMap<Hop, Vec<Hop>> = BTreeMap::new();
        for (&id, netns) in &topology.namespaces {
            for (&ifindex, link) in &netns.links {
                if role::is_stacked(link)
                    && let Some(peer) = link.peer
                    && let Some(peer_netns) = peer.netns
                {
                    let lower = hop((peer_netns, peer.ifindex));
                    above.entry(lower).or_default().push(hop((id, ifindex)));
                }
            }
        }
        Self { topology, above }
    }

    fn is_gone(&self, netns: NetnsId) -> bool {
        self.topology
            .namespaces
            .get(&netns)
            .is_some_and(|netns| netns.gone)
    }

    /// Hands over every link a packet can be on next. `crossed` says which bridges (with their
    /// index) and routers need not be crossed again.
    fn neighbours(
        &self,
        at: Hop,
        crossed: &mut BTreeSet<(NetnsId, Option<u32>)>,
        mut each: impl FnMut(Hop),
    ) {
        let Some(netns) = self.topology.namespaces.get(&at.netns) else {
            return;
        };
        let Some(link) = netns.links.get(&at.ifindex) else {
            return;
        };
        let here = |ifindex| hop((at.netns, ifindex));
        // A veth's other end, or the device below.
        if let Some(peer) = link.peer
            && let Some(peer_netns) = peer.netns
        {
            each(hop((peer_netns, peer.ifindex)));
        }
        for &upper in self.above.get(&at).into_iter().flatten() {
            each(upper);
        }
        let master = role::switch_of(netns, link);
        if let Some(switch) = master {
            each(here(switch));
        }
        // From a port to the others, and from a switch to its ports.
        let switch = master.unwrap_or(at.ifindex);
        if crossed.insert((at.netns, Some(switch))) {
            for (&port, link) in &netns.links {
                if role::switch_of(netns, link) == Some(switch) {
                    each(here(port));
                }
            }
        }
        if role::forwards(netns)
            && role::is_routed(netns, link)
            && crossed.insert((at.netns, None))
        {
            for (&other, link) in &netns.links {
                if role::is_routed(netns, link) {
                    each(here(other));
                }
            }
        }
    }
}
