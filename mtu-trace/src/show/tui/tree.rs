//! Namespaces as a tree: the host, its containers, and the containers in those.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::netns_ref::NetnsRef;
use crate::model::network::{Netns, NetnsId, Topology};

/// Levels that are drawn; what is deeper is drawn as deep as this.
const MOST_LEVELS: usize = 12;

/// A namespace in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub netns: NetnsId,
    /// For each level above and its own, the roots' left out: whether it is the last there.
    pub last: Vec<bool>,
}

/// All namespaces: what is inside another one after it, one level deeper. Those that are in no
/// container are in the host's.
pub fn tree(topology: &Topology) -> Vec<Branch> {
    let known = &topology.namespaces;
    let host = known.iter().find(|it| it.1.init).map(|(&id, _)| id);
    let mut inside: BTreeMap<Option<NetnsId>, Vec<NetnsId>> = BTreeMap::new();
    for (&id, netns) in known {
        let parent = netns.container.as_ref().and_then(|it| it.parent);
        let around = parent.filter(|it| known.contains_key(it)).or(host);
        let around = around.filter(|&it| it != id && Some(id) != host);
        inside.entry(around).or_default().push(id);
    }
    for children in inside.values_mut() {
        children.sort_by_cached_key(|id| rank(*id, topology));
    }
    let mut branches = Vec::with_capacity(known.len());
    let mut reached = BTreeSet::new();
    // What says to be inside itself, in whatever roundabout way, is a root as well.
    let roots = inside.get(&None).into_iter().flatten().chain(known.keys());
    for &root in roots {
        let mut next = vec![(root, Vec::new())];
        while let Some((netns, last)) = next.pop() {
            if !reached.insert(netns) {
                continue;
            }
            let children = inside.get(&Some(netns)).into_iter().flatten();
            // The next one is taken from the end.
            for (number, &child) in children.rev().enumerate() {
                let mut levels = last.clone();
                levels.truncate(MOST_LEVELS - 1);
                levels.push(number == 0);
                next.push((child, levels));
            }
            branches.push(Branch { netns, last });
        }
    }
    branches
}

/// Containers before other namespaces, what is gone last, and each by its name.
fn rank(id: NetnsId, topology: &Topology) -> (bool, bool, String, NetnsId) {
    let netns = topology.namespaces.get(&id);
    let is = |test: fn(&Netns) -> bool| netns.is_some_and(test);
    (
        is(|netns| netns.gone),
        is(|netns| netns.container.is_none()),
        NetnsRef::new(id, topology).label(),
        id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::Container;

    fn topology(parents: &[(u64, Option<u64>)]) -> Topology {
        let mut topology = Topology::default();
        for &(id, parent) in parents {
            let netns = topology.namespaces.entry(NetnsId(id)).or_default();
            netns.init = id == 1;
            netns.container = (id > 1).then(|| Container {
                id: format!("{id:064}"),
                name: Some(format!("c{id}")),
                image: None,
                runtime: "docker".to_owned(),
                pod: None,
                pod_name: None,
                parent: parent.map(NetnsId),
            });
        }
        topology
    }

    fn drawn(topology: &Topology) -> Vec<(u64, Vec<bool>)> {
        let branches = tree(topology).into_iter();
        branches.map(|it| (it.netns.0, it.last)).collect()
    }

    #[test]
    fn what_is_inside_comes_after_what_is_around() {
        let topology = topology(&[(4, Some(2)), (2, None), (1, None), (3, Some(1))]);
        let (second, fourth) = (vec![false], vec![false, true]);
        let expected = [(1, vec![]), (2, second), (4, fourth), (3, vec![true])];
        assert_eq!(drawn(&topology), expected);
    }

    #[test]
    fn nothing_is_missing_whatever_is_said_of_the_parents() {
        let parents = [3, 3, 2, 4, 99].map(Some);
        let topology = topology(&Vec::from_iter((1..).zip(parents)));
        let mut found: Vec<u64> = drawn(&topology).into_iter().map(|(id, _)| id).collect();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_long_chain_is_drawn() {
        let chain: Vec<_> = (1..5000).map(|id| (id, Some(id - 1))).collect();
        let branches = tree(&topology(&chain));
        assert_eq!(branches.len(), 4999);
        assert!(branches.iter().all(|it| it.last.len() <= MOST_LEVELS));
    }
}
