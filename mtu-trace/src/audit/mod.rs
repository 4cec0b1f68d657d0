//! The static audit: which ways packets can take through the host, and where a larger MTU leads
//! into a smaller one on them, before any traffic.
//!
//! From the topology, every namespace's ways to every other and out of the host are followed by its
//! routes ([`route`], [`segment`], [`walk`], [`tunnel`]). Each way has its [`place`]s that measure
//! packets; one that is narrower than both ends is a [`suspect`]. Whether it is a hole depends on
//! the message to the sender and the rules it meets ([`signal`]). What is the same place becomes one
//! finding ([`mismatch`]).
//!
//! Pure: the topology and the packet filter rules come in as values.
//!
//! ```text
//! Topology -> Audit::new -> Audit::concerned -> (rules are read) -> Audit::findings
//! ```

mod foresee;
mod mismatch;
mod place;
mod route;
mod segment;
mod signal;
mod suspect;
#[cfg(test)]
mod tests;
mod tunnel;
mod walk;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    mismatch::hops,
    place::Kind,
    route::{Destination, example},
    segment::{Segments, living},
    suspect::{Suspect, suspects},
    tunnel::Tunnels,
    walk::Walker,
};
use crate::topology::{Link, NetnsId, RouteKind, Topology, path::Hop, role};

pub use self::{
    foresee::{Foreseen, From, Joints, telling, too_narrow},
    mismatch::Circumstances,
    signal::Firewalls,
};

/// Where most kernels drop a packet that is too long for the other end of a veth.
pub const VETH_FUNCTION: &str = "__dev_forward_skb2";

/// Networks beyond the host that are looked at, besides the default routes: the first of those that
/// any namespace has a route to.
const MOST_NETWORKS: usize = 512;

/// What tells one place from another. Layer 2 does not care about the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    egress: Hop,
    limit_bytes: u32,
    kind: Kind,
    ipv6: bool,
}

/// A place with the senders it concerns.
#[derive(Debug, Default)]
struct Group {
    /// The worst way of each sender, `None` for those beyond the host.
    senders: BTreeMap<Option<NetnsId>, Suspect>,
    /// How many ways lead over it.
    ways: usize,
}

/// What was followed, and the narrow places that were found.
pub struct Audit<'a> {
    topology: &'a Topology,
    tunnels: Tunnels,
    groups: BTreeMap<Key, Group>,
    figures: Figures,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Namespaces that live.
    pub namespaces: usize,
    /// Links in them.
    pub links: usize,
    /// Ways from one namespace to another or out of the host.
    pub ways: usize,
    /// Networks that were left out, because there are too many routes.
    pub networks_left_out: usize,
}

impl<'a> Audit<'a> {
    /// Follows all ways.
    #[must_use]
    pub fn new(topology: &'a Topology) -> Self {
        let mut audit = Self {
            topology,
            tunnels: Tunnels::new(topology),
            groups: BTreeMap::new(),
            figures: Figures::default(),
        };
        let (destinations, left_out) = destinations(topology);
        audit.figures.networks_left_out = left_out;
        let segments = Segments::new(topology, &audit.tunnels.edges);
        let walker = Walker::new(topology, &segments);
        for (netns, known) in living(topology) {
            audit.figures.namespaces += 1;
            audit.figures.links += known.links.len();
            if !known.links.values().any(originates) {
                continue;
            }
            for &destination in &destinations {
                for path in walker.paths(netns, destination) {
                    audit.figures.ways += 1;
                    let back = walker.back(&path);
                    for (path, back) in [(&path, &back), (&back, &path)] {
                        for suspect in suspects(topology, &audit.tunnels, path, back) {
                            audit.add(suspect);
                        }
                    }
                }
            }
        }
        audit
    }

    fn add(&mut self, suspect: Suspect) {
        let place = &suspect.place;
        let anyhow = matches!(place.kind, Kind::Veth | Kind::Bridge { netfilter: false });
        let key = Key {
            egress: place.egress,
            limit_bytes: place.limit_bytes,
            kind: place.kind,
            ipv6: place.ipv6 && !anyhow,
        };
        let group = self.groups.entry(key).or_default();
        group.ways += 1;
        let rank = |suspect: &Suspect| {
            (
                suspect.relief.is_none(),
                suspect.packet_bytes,
                suspect.path.to.is_some(),
                suspect.path.legs.len(),
            )
        };
        match group.senders.get_mut(&suspect.path.from) {
            Some(known) if rank(known) >= rank(&suspect) => {}
            Some(known) => *known = suspect,
            None => {
                group.senders.insert(suspect.path.from, suspect);
            }
        }
    }

    /// How much was looked at.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// The namespaces whose packet filter rules decide on what was found.
    #[must_use]
    pub fn concerned(&self) -> BTreeSet<NetnsId> {
        self.groups
            .values()
            .flat_map(|group| group.senders.values())
            .filter(|suspect| suspect.relief.is_none())
            .flat_map(signal::concerned)
            .collect()
    }
}

/// Whether a link has an address to send from.
fn originates(link: &Link) -> bool {
    link.up
        && !role::is_loopback(link)
        && link
            .addresses
            .iter()
            .any(|own| !role::is_link_local(own.address))
}

/// Where packets may go: to every address there is, to an example of every network there is a route
/// to, and wherever default routes lead. And how many networks were left out.
fn destinations(topology: &Topology) -> (BTreeSet<Destination>, usize) {
    let links = living(topology).flat_map(|(_, netns)| netns.links.values());
    let mut destinations: BTreeSet<Destination> = links
        .filter(|link| originates(link))
        .flat_map(|link| &link.addresses)
        .filter(|own| !role::is_link_local(own.address))
        .map(|own| Destination::Address(own.address))
        .collect();
    let networks: BTreeSet<Destination> = living(topology)
        .filter_map(|(_, netns)| netns.inside.as_ref())
        .flat_map(|inside| &inside.routes)
        .filter(|route| route.kind == RouteKind::Unicast && route.destination.prefix_len > 1)
        .map(|route| example(route.destination))
        .filter(|address| !role::is_link_local(*address) && !address.is_multicast())
        .map(Destination::Address)
        .collect();
    let left_out = networks.len().saturating_sub(MOST_NETWORKS);
    destinations.extend(networks.into_iter().take(MOST_NETWORKS));
    destinations.extend([false, true].map(|ipv6| Destination::Outside { ipv6 }));
    (destinations, left_out)
}
