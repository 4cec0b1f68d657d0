//! Changes of the network. A snapshot of a large host has megabytes and the next differs from it by a
//! link, so only the first of a section is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::network::{Inside, Link, Netns, NetnsId, Topology};

/// How a topology differs from the one before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When it was told, ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    pub removed: BTreeSet<NetnsId>,
    /// Namespaces that are new or different.
    pub namespaces: BTreeMap<NetnsId, NetnsChange>,
}

/// How a namespace differs from what it was before, or from an empty one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetnsChange {
    /// All but its links and what is seen from inside, if any of that changed.
    pub netns: Option<Box<Netns>>,
    pub removed: BTreeSet<u32>,
    /// Links that are new or different.
    pub links: BTreeMap<u32, Link>,
    /// What is seen from inside, if that changed.
    pub inside: Option<Arc<Inside>>,
    /// Whether what was seen from inside is known no more.
    pub inside_unknown: bool,
}

impl Change {
    pub fn between(before: &Topology, after: &Topology, time_ns: u64) -> Self {
        let none = Netns::default();
        let different = after.namespaces.iter();
        let different = different.filter(|(id, netns)| before.namespaces.get(id) != Some(netns));
        Self {
            time_ns,
            removed: gone(&before.namespaces, &after.namespaces),
            namespaces: different
                .map(|(&id, netns)| {
                    let known = before.namespaces.get(&id).unwrap_or(&none);
                    (id, NetnsChange::between(known, netns))
                })
                .collect(),
        }
    }

    pub fn apply(self, before: &Topology) -> Topology {
        let mut after = before.clone();
        for id in &self.removed {
            after.namespaces.remove(id);
        }
        for (id, change) in self.namespaces {
            change.apply(after.namespaces.entry(id).or_default());
        }
        after
    }
}

impl NetnsChange {
    fn between(before: &Netns, after: &Netns) -> Self {
        let (old, new) = (outline(before), outline(after));
        let links = after.links.iter();
        let links = links.filter(|(ifindex, link)| before.links.get(ifindex) != Some(link));
        Self {
            netns: (old != new).then(|| Box::new(new)),
            removed: gone(&before.links, &after.links),
            links: links
                .map(|(ifindex, link)| (*ifindex, link.clone()))
                .collect(),
            inside: after
                .inside
                .clone()
                .filter(|_| before.inside != after.inside),
            inside_unknown: before.inside.is_some() && after.inside.is_none(),
        }
    }

    fn apply(self, netns: &mut Netns) {
        if let Some(outline) = self.netns {
            *netns = Netns {
                links: std::mem::take(&mut netns.links),
                inside: netns.inside.take(),
                ..*outline
            };
        }
        for ifindex in &self.removed {
            netns.links.remove(ifindex);
        }
        netns.links.extend(self.links);
        if self.inside.is_some() || self.inside_unknown {
            netns.inside = self.inside;
        }
    }
}

/// The keys that are in the first map only.
fn gone<K: Ord + Copy, V>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> BTreeSet<K> {
    let keys = before.keys().copied();
    keys.filter(|key| !after.contains_key(key)).collect()
}

/// A namespace without what changes on its own.
fn outline(netns: &Netns) -> Netns {
    Netns {
        links: BTreeMap::new(),
        inside: None,
        process: netns.process.clone(),
        container: netns.container.clone(),
        name: netns.name.clone(),
        unit: netns.unit.clone(),
        planned: None,
        ..*netns
    }
}
