//! The way between two links: over cables, through bridges, up and down stacked devices, and through
//! namespaces that forward.
//!
//! Routes are not looked at: it is the shortest way that packets could take.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use crate::core::graph::neighbours::breadth_first;
use crate::core::graph::{Adjacency, Passable, TopologyIndex};
use crate::model::network::{LinkId, NetnsId};

impl TopologyIndex {
    /// The shortest way from a link to any of the given ones, both ends included; empty if there is
    /// none.
    ///
    /// A way over links that are up is preferred to any other; that of a namespace which is gone may
    /// be all that is left of it.
    pub fn path(&self, from: LinkId, to: &[LinkId]) -> Vec<LinkId> {
        let way = self.shortest(from, to, Passable::Up);
        if way.is_empty() {
            self.shortest(from, to, Passable::Any)
        } else {
            way
        }
    }

    fn shortest(&self, from: LinkId, to: &[LinkId], passable: Passable) -> Vec<LinkId> {
        if from.link(&self.topology).is_none() {
            return Vec::new();
        }
        // All links of a bridge or a router are next to each other: to cross it once is enough.
        let mut crossed = BTreeSet::new();
        let mut came_from = BTreeMap::new();
        let reached = breadth_first(from, |at| {
            let mut next = self.onward(at, &mut crossed);
            next.retain(|to| passable.allows(&self.topology, *to));
            next
        });
        for (at, before) in reached {
            came_from.insert(at, before);
            if to.contains(&at) {
                let back = |at: &LinkId| came_from.get(at).copied().filter(|before| before != at);
                let mut way: Vec<LinkId> = iter::successors(Some(at), back).collect();
                way.reverse();
                return way;
            }
        }
        Vec::new()
    }

    /// The links a packet can be on next. `crossed` has the switches (with their index) and routers
    /// that need not be crossed again.
    fn onward(&self, at: LinkId, crossed: &mut BTreeSet<(NetnsId, Option<u32>)>) -> Vec<LinkId> {
        let Some((netns, link)) = at.place(&self.topology) else {
            return Vec::new();
        };
        let neighbours = self.neighbours();
        let here = |ifindex| LinkId { ifindex, ..at };
        // A veth's other end, or the device below.
        let mut next: Vec<LinkId> = link.peer_id().into_iter().collect();
        next.extend(neighbours.of(at, &[Adjacency::Upper, Adjacency::Overlay]));
        let switch = netns.switch_of(link);
        next.extend(switch.map(here));
        // From a port to the others, and from a switch to its ports.
        let switch = switch.unwrap_or(at.ifindex);
        if crossed.insert((at.netns, Some(switch))) {
            next.extend(neighbours.of(here(switch), &[Adjacency::Port]));
        }
        if netns.routes(link) && crossed.insert((at.netns, None)) {
            let others = netns.links.iter().filter(|(_, link)| netns.routes(link));
            next.extend(others.map(|(&other, _)| here(other)));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use crate::core::graph::fixture::{Lab, id};
    use crate::model::network::{LinkId, NetnsId};

    fn names(lab: &Lab, from: (u64, &str), to: &[(u64, &str)]) -> Vec<String> {
        let at = |(netns, name): (u64, &str)| LinkId {
            netns: id(netns),
            ifindex: lab.index(netns, name),
        };
        let to: Vec<_> = to.iter().copied().map(at).collect();
        let way = lab.graph().path(at(from), &to);
        let named = way.iter().map(|at| {
            let link = at.link(&lab.topology).expect("a link");
            format!("{}:{}", at.netns.0, link.name)
        });
        named.collect()
    }

    /// Container (1), nested in a container (2), on a host (3), and a server (4).
    fn nested() -> Lab {
        let mut lab = Lab::default();
        lab.router(2).router(3);
        lab.veth((1, "eth0", 1500), (2, "veth1", 1500));
        lab.bridge(2, "docker0", 1500, &["veth1"], true);
        lab.veth((2, "eth0", 1450), (3, "vethx", 1450));
        lab.bridge(3, "cni0", 1450, &["vethx"], true);
        lab.veth((3, "ens18", 1500), (4, "eth0", 1500));
        lab
    }

    #[test]
    fn from_a_nested_container_to_a_server() {
        let lab = nested();
        let there = [
            "1:eth0",
            "2:veth1",
            "2:docker0",
            "2:eth0",
            "3:vethx",
            "3:cni0",
            "3:ens18",
            "4:eth0",
        ];
        assert_eq!(names(&lab, (1, "eth0"), &[(4, "eth0")]), there);
        let mut back = there.to_vec();
        back.reverse();
        assert_eq!(names(&lab, (4, "eth0"), &[(1, "eth0")]), back);
    }

    #[test]
    fn to_the_nearest_and_to_itself() {
        let lab = nested();
        let to = [(4, "eth0"), (2, "docker0")];
        assert_eq!(names(&lab, (1, "eth0"), &to).len(), 3);
        assert_eq!(names(&lab, (1, "eth0"), &[(1, "eth0")]), ["1:eth0"]);
    }

    #[test]
    fn ports_of_a_bridge_meet_without_the_bridge() {
        let mut lab = Lab::default();
        lab.veth((1, "eth0", 1500), (3, "a", 1500));
        lab.veth((2, "eth0", 1500), (3, "b", 1500));
        lab.bridge(3, "br0", 1500, &["a", "b"], false);
        let there = ["1:eth0", "3:a", "3:b", "2:eth0"];
        assert_eq!(names(&lab, (1, "eth0"), &[(2, "eth0")]), there);
    }

    #[test]
    fn none_where_nobody_forwards() {
        let mut lab = nested();
        lab.netns(3).forwards_ipv4 = false;
        assert_eq!(names(&lab, (1, "eth0"), &[(4, "eth0")]), [""; 0]);
        let nowhere = LinkId {
            netns: NetnsId(99),
            ifindex: 1,
        };
        assert_eq!(lab.graph().path(nowhere, &[nowhere]), []);
    }

    #[test]
    fn down_and_up_stacked_devices() {
        let mut lab = Lab::default();
        lab.link(3, "ens18", "physical", 1500);
        lab.stacked((1, "eth0", "macvlan", 1500), (3, "ens18"));
        lab.stacked((3, "ens18.7", "vlan", 1500), (3, "ens18"));
        assert_eq!(
            names(&lab, (1, "eth0"), &[(3, "ens18.7")]),
            ["1:eth0", "3:ens18", "3:ens18.7"]
        );
    }

    #[test]
    fn links_that_are_up_come_first() {
        let mut lab = Lab::default();
        lab.router(2);
        lab.veth((1, "short", 1500), (3, "short", 1500));
        lab.veth((1, "eth0", 1500), (2, "a", 1500));
        lab.veth((2, "b", 1500), (3, "eth0", 1500));
        lab.router(1).router(3);
        let from = (1, "eth0");
        assert_eq!(names(&lab, from, &[(3, "eth0")]).len(), 4);
        for netns in [1, 3] {
            lab.link_mut(netns, "short").up = false;
        }
        assert_eq!(names(&lab, from, &[(3, "eth0")])[1], "2:a");
        // What is left of it when it is gone is better than nothing.
        lab.netns(2).gone = true;
        lab.netns(1).links.retain(|_, link| link.name != "short");
        assert_eq!(names(&lab, from, &[(3, "eth0")])[1], "2:a");
    }

    #[test]
    fn links_that_lead_nowhere_or_in_circles_do_no_harm() {
        let mut lab = nested();
        lab.link_mut(1, "eth0").master = Some(lab.index(1, "eth0"));
        lab.link_mut(2, "eth0").peer = None;
        lab.link_mut(4, "eth0").master = Some(77);
        assert_eq!(names(&lab, (1, "eth0"), &[(4, "eth0")]).len(), 0);
    }
}
