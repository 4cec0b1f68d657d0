//! The static audit: which ways packets can take through the host, and where a larger MTU leads
//! into a smaller one on them, before any traffic.
//!
//! From the topology, every namespace's ways to every other and out of the host are followed by its
//! routes ([`super::graph`]). Each way has its `super::sites::limit_point`s that measure packets;
//! one that is narrower than both ends is a [`Suspect`]. Whether it is a hole depends on the message
//! to the sender and the rules it meets (`signal`). What is the same place becomes one finding
//! (`mismatch`).
//!
//! Before that a container is thought of on each bridge that waits for its first one
//! (`planned_container`).
//!
//! Pure: the topology, the engines and the packet filter rules come in as values.
//!
//! ```text
//! Topology -> PlannedNetwork::new -> Audit::new -> Audit::concerned -> (rules are read) -> Audit::findings
//! ```

pub(crate) mod messages;
pub(crate) mod mismatch;
pub(crate) mod planned_container;
pub(crate) mod signal;
#[cfg(test)]
mod tests;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use mismatch::Circumstances;
pub use planned_container::PlannedNetwork;
pub use signal::Firewalls;

use crate::core::audit::planned_container::{is_planned, leads_to_planned, planned_ends};
use crate::core::audit::signal::Signal;
use crate::core::firewall::Clamp;
use crate::core::graph::{Destination, TopologyIndex, example};
use crate::core::sites::{Suspect, suspects};
use crate::model::engine::Dockerd;
use crate::model::finding::Severity;
use crate::model::network::{Link, LinkId, Netns, NetnsId, RouteKind, Topology, is_link_local};

/// Networks beyond the host that are looked at, besides the default routes: the first of those that
/// any namespace has a route to.
const MOST_NETWORKS: usize = 512;

/// What tells one place from another. Layer 2 does not care about the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    egress: LinkId,
    limit_bytes: u32,
    site: usize,
    ipv6: bool,
    /// Whether it concerns a container that is not there yet: what is said of those that are must not
    /// depend on that.
    planned: bool,
}

/// A place with the senders it concerns.
#[derive(Debug, Default)]
struct Group {
    /// The worst way of each sender, `None` for those beyond the host.
    senders: BTreeMap<Option<NetnsId>, Suspect>,
    /// How many ways lead over it.
    ways: usize,
}

/// A narrow place on one way, judged.
pub struct Judged<'a> {
    pub suspect: &'a Suspect,
    pub severity: Severity,
    /// What becomes of the message to the sender.
    pub signal: Signal,
    /// A router that keeps TCP's packets small enough.
    pub clamp: Option<(NetnsId, Clamp)>,
    /// Whether the sender looks for a size that passes.
    pub probes: bool,
}

/// What was followed, and the narrow places that were found.
pub struct Audit<'a> {
    index: TopologyIndex,
    /// The engines of containers that are not there yet.
    engines: &'a BTreeMap<NetnsId, Dockerd>,
    groups: BTreeMap<Key, Group>,
    /// How much was looked at.
    pub(crate) figures: Figures,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Number of namespaces that live.
    pub namespaces: usize,
    /// Number of links in them.
    pub links: usize,
    /// Containers that are not there yet and were thought of besides.
    #[serde(rename = "foreseen")]
    pub planned: usize,
    /// Ways from one namespace to another or out of the host.
    pub ways: usize,
    /// Networks that were left out, because there are too many routes.
    pub networks_left_out: usize,
}

impl<'a> Audit<'a> {
    /// Follows all ways through the network.
    pub fn new(planned: &'a PlannedNetwork) -> Self {
        let topology = &*planned.topology;
        let mut audit = Self {
            index: TopologyIndex::new(Arc::clone(&planned.topology)),
            engines: &planned.engines,
            groups: BTreeMap::new(),
            figures: Figures {
                planned: planned.engines.len(),
                ..Figures::default()
            },
        };
        let (mut destinations, left_out) = destinations(topology);
        audit.figures.networks_left_out = left_out;
        let planned_ones = addresses(topology, |netns| netns.planned.is_some());
        let planned_only = &planned_ones - &destinations;
        destinations.extend(&planned_only);
        for (netns, known) in topology.living() {
            if known.planned.is_none() {
                let there = |link: &&Link| !leads_to_planned(topology, link);
                audit.figures.namespaces += 1;
                audit.figures.links += known.links.values().filter(there).count();
            }
            if !known.links.values().any(originates) {
                continue;
            }
            for &destination in &destinations {
                for path in audit.index.paths(netns, destination) {
                    match planned_ends(topology, &path).count() {
                        // An address that nobody has yet is no place to go but for who will have it.
                        0 if planned_only.contains(&destination) => continue,
                        // One is thought of at a time.
                        2.. => continue,
                        _ => {}
                    }
                    audit.figures.ways += 1;
                    let back = path.back(topology);
                    for (path, back) in [(&path, &back), (&back, &path)] {
                        for suspect in suspects(&audit.index, path, back) {
                            audit.add(suspect);
                        }
                    }
                }
            }
        }
        audit
    }

    fn add(&mut self, suspect: Suspect) {
        let topology = &*self.index.topology;
        let planned = planned_ends(topology, &suspect.path).next().is_some();
        let changed = || messages::inner_end(topology, &suspect);
        if planned && !changed().is_some_and(|end| is_planned(topology, end.netns)) {
            // What is wrong is there already, and is found by those that are.
            return;
        }
        let place = &suspect.place;
        let key = Key {
            egress: place.egress,
            limit_bytes: place.limit_bytes,
            site: place.site.row(),
            ipv6: place.ipv6 && !place.site.measures_frames(),
            planned,
        };
        let group = self.groups.entry(key).or_default();
        group.ways += 1;
        let rank = |Suspect {
                        path,
                        packet_bytes,
                        relief,
                        ..
                    }: &Suspect| {
            let (arrives, legs) = (path.to.is_some(), path.legs.len());
            (relief.is_none(), *packet_bytes, arrives, legs)
        };
        let known = group.senders.get(&suspect.path.from);
        if known.is_none_or(|known| rank(known) < rank(&suspect)) {
            group.senders.insert(suspect.path.from, suspect);
        }
    }

    /// The namespaces whose packet filter rules decide on what was found.
    pub fn concerned(&self) -> BTreeSet<NetnsId> {
        self.groups
            .values()
            .flat_map(|group| group.senders.values())
            .filter(|suspect| suspect.relief.is_none())
            .flat_map(signal::concerned)
            // One that is not there yet has no rules.
            .filter(|netns| !is_planned(&self.index.topology, *netns))
            .collect()
    }
}

/// Whether a link has an address to send from.
fn originates(link: &Link) -> bool {
    link.is_carrier() && link.global_addresses().next().is_some()
}

/// The addresses of these namespaces that others can send to.
fn addresses(topology: &Topology, are_wanted: fn(&Netns) -> bool) -> BTreeSet<Destination> {
    let namespaces = topology.living().map(|(_, netns)| netns);
    let links = namespaces
        .filter(|netns| are_wanted(netns))
        .flat_map(|netns| netns.links.values())
        .filter(|link| link.is_carrier());
    let addresses = links.flat_map(Link::global_addresses);
    addresses
        .map(|own| Destination::Address(own.address))
        .collect()
}

/// Where packets may go: to every address there is, to an example of every network there is a route
/// to, and wherever default routes lead. And how many networks were left out.
fn destinations(topology: &Topology) -> (BTreeSet<Destination>, usize) {
    let mut destinations = addresses(topology, |netns| netns.planned.is_none());
    let namespaces = topology.living().filter(|(_, it)| it.planned.is_none());
    let networks: BTreeSet<Destination> = namespaces
        .filter_map(|(_, netns)| netns.inside.as_ref())
        .flat_map(|inside| &inside.routes)
        .filter(|route| route.kind == RouteKind::Unicast && route.destination.prefix_len > 1)
        .map(|route| example(route.destination))
        .filter(|address| !is_link_local(*address) && !address.is_multicast())
        .map(Destination::Address)
        .collect();
    let left_out = networks.len().saturating_sub(MOST_NETWORKS);
    destinations.extend(networks.into_iter().take(MOST_NETWORKS));
    destinations.extend([false, true].map(|ipv6| Destination::Outside { ipv6 }));
    (destinations, left_out)
}
