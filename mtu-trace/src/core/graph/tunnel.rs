//! Which ends of tunnels meet, and the way of the packets they wrap. Pure.
//!
//! Tunnels in tunnels are not followed: the inner one ends at the outer one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::graph::path::Hop;
use crate::core::graph::route::Destination;
use crate::core::graph::segment::{Segments, living};
use crate::core::graph::walk::{Path, Walker};
use crate::model::network::{Link, Topology, Tunnel};

/// The tunnels of a host.
#[derive(Debug, Default)]
pub struct Tunnels {
    /// Pairs of tunnel ends that meet.
    pub edges: BTreeSet<(Hop, Hop)>,
    /// The way of the outer packets from one end to another, or out of the host.
    ways: BTreeMap<(Hop, Option<Hop>), Path>,
}

impl Tunnels {
    /// Follows the outer packets of every tunnel.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        let segments = Segments::new(topology, &BTreeSet::new());
        let walker = Walker::new(topology, &segments);
        let mut tunnels = Self::default();
        for (at, link, tunnel) in all(topology) {
            let Some(underlay) = tunnel.netns else {
                continue;
            };
            for remote in remotes(topology, at, tunnel) {
                let ways = walker.paths(underlay, Destination::Address(remote));
                for way in ways {
                    let end = way.to.and_then(|_| other_end(topology, link, tunnel, &way));
                    if let Some(end) = end {
                        tunnels.edges.insert((at, end));
                    }
                    if end.is_some() || way.to.is_none() {
                        tunnels.ways.entry((at, end)).or_insert(way);
                    }
                }
            }
        }
        tunnels
    }

    /// The way of the outer packets from an end to another, or out of the host with `None`.
    #[must_use]
    pub fn way(&self, from: Hop, to: Option<Hop>) -> Option<&Path> {
        self.ways.get(&(from, to))
    }
}

fn all(topology: &Topology) -> impl Iterator<Item = (Hop, &Link, &Tunnel)> {
    living(topology).flat_map(|(netns, known)| {
        known.links.iter().filter_map(move |(&ifindex, link)| {
            let tunnel = link.tunnel.as_ref().filter(|_| link.up)?;
            Some((Hop { netns, ifindex }, link, tunnel))
        })
    })
}

/// Where a tunnel sends its packets. A multicast group is nobody's address.
fn remotes(topology: &Topology, at: Hop, tunnel: &Tunnel) -> BTreeSet<IpAddr> {
    let inside = topology
        .namespaces
        .get(&at.netns)
        .and_then(|netns| netns.inside.as_ref());
    let fdb = inside.into_iter().flat_map(|inside| &inside.fdb);
    fdb.filter(|entry| entry.ifindex == at.ifindex)
        .map(|entry| entry.remote)
        .chain(tunnel.remote)
        .filter(|remote| !remote.is_multicast() && !remote.is_unspecified())
        .collect()
}

/// The tunnel that takes the packets out of what they were wrapped in.
fn other_end(topology: &Topology, link: &Link, tunnel: &Tunnel, way: &Path) -> Option<Hop> {
    all(topology)
        .find(|(_, other, end)| {
            end.netns == way.to
                && other.kind == link.kind
                && end.id == tunnel.id
                && (end.local.is_none() || end.local == way.destination)
        })
        .map(|(at, ..)| at)
}
