//! The way between two links: over cables, through bridges, up and down stacked devices, and through
//! namespaces that forward. Pure.
//!
//! Routes are not looked at: it is the shortest way that packets could take.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::core::graph::role;
use crate::model::network::{NetnsId, Topology};

/// A link on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Namespace of the link.
    pub netns: NetnsId,
    /// Interface index of the link there.
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
        if role::forwards(netns) && role::is_routed(netns, link) && crossed.insert((at.netns, None))
        {
            for (&other, link) in &netns.links {
                if role::is_routed(netns, link) {
                    each(here(other));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::fixture::{Lab, id};

    fn names(lab: &Lab, from: (u64, &str), to: &[(u64, &str)]) -> Vec<String> {
        let at = |(netns, name): (u64, &str)| (id(netns), lab.index(netns, name));
        let to: Vec<_> = to.iter().copied().map(at).collect();
        path(&lab.topology, at(from), &to)
            .iter()
            .map(|hop| {
                let link = lab.topology.link(hop.netns, hop.ifindex).expect("a link");
                format!("{}:{}", hop.netns.0, link.name)
            })
            .collect()
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
        let nowhere = (NetnsId(99), 1);
        assert_eq!(path(&lab.topology, nowhere, &[nowhere]), []);
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
