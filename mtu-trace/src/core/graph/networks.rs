//! Which namespaces packets can go between at all: over links of this host, or beyond it.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::graph::neighbours::breadth_first;
use crate::model::network::{LinkKind, NetnsId, Topology};

/// The namespaces of a topology by what they are connected with, whatever their routes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// For each namespace that has links, what stands for all that are connected with it over links of
    /// this host. One without may have lost them a moment ago.
    of: BTreeMap<NetnsId, NetnsId>,
    /// Those that lead out of this host, or to a program, by what stands for them.
    outward: BTreeSet<NetnsId>,
}

impl Networks {
    /// Those of a topology.
    pub fn new(topology: &Topology) -> Self {
        let mut adjacent: BTreeMap<NetnsId, BTreeSet<NetnsId>> = BTreeMap::new();
        let mut leads_out = BTreeSet::new();
        for (&id, netns) in &topology.namespaces {
            for link in netns.links.values() {
                // What a program does with the packets of its tun device nobody sees.
                if matches!(link.kind, LinkKind::Physical | LinkKind::Tun) {
                    adjacent.entry(id).or_default();
                    leads_out.insert(id);
                }
                let peer = link.peer.and_then(|peer| peer.netns);
                let underlay = link.tunnel.as_ref().and_then(|tunnel| tunnel.netns);
                let others = peer.into_iter().chain(underlay);
                for other in others.filter(|other| *other != id) {
                    adjacent.entry(id).or_default().insert(other);
                    adjacent.entry(other).or_default().insert(id);
                }
            }
        }
        let mut of = BTreeMap::new();
        for &first in adjacent.keys() {
            if !of.contains_key(&first) {
                let reached = breadth_first(first, |at| adjacent[&at].iter().copied().collect());
                of.extend(reached.map(|(at, _)| (at, first)));
            }
        }
        let outward = leads_out.iter().filter_map(|id| of.get(id).copied());
        Self {
            outward: outward.collect(),
            of,
        }
    }

    /// What stands for all namespaces that are connected with this one; itself if it is not known.
    pub fn of(&self, netns: NetnsId) -> NetnsId {
        self.of.get(&netns).copied().unwrap_or(netns)
    }

    /// Whether packets can get from one namespace to another over links of this host.
    pub fn are_connected(&self, one: NetnsId, other: NetnsId) -> bool {
        self.of(one) == self.of(other)
    }

    /// Whether two namespaces are known to have nothing to do with each other: no links lead from one to
    /// the other, and not both lead out of this host, where they might meet. What is not known may be
    /// connected.
    pub fn are_apart(&self, one: NetnsId, other: NetnsId) -> bool {
        let (Some(one), Some(other)) = (self.of.get(&one), self.of.get(&other)) else {
            return false;
        };
        one != other && !(self.outward.contains(one) && self.outward.contains(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::fixture::{Lab, id};

    #[test]
    fn namespaces_meet_over_links_or_beyond_this_host() {
        let mut lab = Lab::default();
        lab.veth((1, "eth0", 1500), (2, "veth1", 1500));
        lab.veth((3, "eth0", 1500), (4, "veth3", 1500));
        lab.veth((5, "eth0", 1500), (6, "veth5", 1500));
        for netns in [2, 4] {
            lab.link(netns, "ens1", "physical", 1500);
        }
        lab.link(8, "vpn0", "tun", 1500);
        let networks = Networks::new(&lab.topology);
        assert!(networks.are_connected(id(1), id(2)));
        assert!(!networks.are_connected(id(1), id(3)));
        let apart = |one, other| networks.are_apart(id(one), id(other));
        assert!(!apart(1, 2));
        // Both lead out.
        assert!(!apart(1, 3));
        assert!(!apart(8, 4));
        assert!(apart(1, 5) && apart(6, 4) && apart(8, 5));
        // Nobody knows that one.
        assert!(!apart(1, 7));
    }
}
