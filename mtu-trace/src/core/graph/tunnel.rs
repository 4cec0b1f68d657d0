//! Which ends of tunnels meet, and the way of the packets they wrap.
//!
//! Tunnels in tunnels are not followed: the inner one ends at the outer one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::graph::route::{Decision, Way, lookup};
use crate::core::graph::walk::{Path, paths};
use crate::core::graph::{Destination, Neighbours, Segments};
use crate::model::network::{Link, LinkId, Topology, Tunnel};

/// The tunnels of a host.
#[derive(Debug, Default)]
pub struct Tunnels {
    /// Pairs of tunnel ends that meet.
    pub edges: BTreeSet<(LinkId, LinkId)>,
    /// The way of the outer packets from one end to another, or out of the host.
    ways: BTreeMap<(LinkId, Option<LinkId>), Path>,
}

impl Tunnels {
    /// Follows the outer packets of every tunnel.
    pub fn new(topology: &Topology, neighbours: &Neighbours) -> Self {
        let mut tunnels = Self::default();
        let segments = Segments::new(topology, neighbours, &BTreeSet::new());
        for (at, link, tunnel) in all(topology) {
            let Some(underlay) = tunnel.netns else {
                continue;
            };
            for remote in remotes(topology, at, tunnel) {
                for way in paths(topology, &segments, underlay, Destination::Address(remote)) {
                    let end = way.to.and_then(|_| other_end(topology, link, tunnel, &way));
                    tunnels.edges.extend(end.map(|end| (at, end)));
                    if end.is_some() || way.to.is_none() {
                        tunnels.ways.entry((at, end)).or_insert(way);
                    }
                }
            }
        }
        tunnels
    }

    /// The way of the outer packets from an end to another, or out of the host with `None`.
    pub fn way(&self, from: LinkId, to: Option<LinkId>) -> Option<&Path> {
        self.ways.get(&(from, to))
    }
}

fn all(topology: &Topology) -> impl Iterator<Item = (LinkId, &Link, &Tunnel)> {
    topology.living().flat_map(|(netns, known)| {
        known.links.iter().filter_map(move |(&ifindex, link)| {
            let tunnel = link.tunnel.as_ref().filter(|_| link.up)?;
            Some((LinkId { netns, ifindex }, link, tunnel))
        })
    })
}

/// Where a tunnel sends its packets. A multicast group is nobody's address.
fn remotes(topology: &Topology, at: LinkId, tunnel: &Tunnel) -> BTreeSet<IpAddr> {
    let inside = topology.inside(at.netns).into_iter();
    let fdb = inside.flat_map(|inside| &inside.fdb);
    fdb.filter(|entry| entry.ifindex == at.ifindex)
        .map(|entry| entry.remote)
        .chain(tunnel.remote)
        .filter(|remote| !remote.is_multicast() && !remote.is_unspecified())
        .collect()
}

/// The longest packet that a tunnel with one other end has room for, bytes: the MTU of the way of its packets, less
/// what it adds. `None` where one of these is not known.
pub fn tunnel_room(topology: &Topology, at: LinkId) -> Option<u32> {
    let tunnel = at.link(topology)?.tunnel.as_ref()?;
    let underlay = topology.namespaces.get(&tunnel.netns?)?;
    let to = Destination::Address(tunnel.remote?);
    let Decision::Send(ways) = lookup(underlay, to, tunnel.local, None) else {
        return None;
    };
    let mut ways = ways.into_iter();
    let bound = |way: &Way| tunnel.ifindex.is_none_or(|ifindex| way.ifindex == ifindex);
    let way = ways.find(bound)?;
    let mtu_bytes = way
        .mtu_bytes
        .or(Some(underlay.links.get(&way.ifindex)?.mtu_bytes));
    (tunnel.overhead_bytes > 0).then_some(mtu_bytes?.saturating_sub(tunnel.overhead_bytes))
}

/// The tunnel that takes the packets out of what they were wrapped in.
fn other_end(topology: &Topology, link: &Link, tunnel: &Tunnel, way: &Path) -> Option<LinkId> {
    let mut all = all(topology);
    let found = all.find(|(_, other, end)| {
        end.netns == way.to
            && other.kind == link.kind
            && end.id == tunnel.id
            && (end.local.is_none() || end.local == way.destination)
    });
    found.map(|(at, ..)| at)
}
