//! Follows a packet from namespace to namespace, by the routes of each and what is joined at layer
//! 2 between them. Pure.
//!
//! Firewalls and address translation are not asked: a path is what routes allow. The way back is
//! the same way, which holds where the sender's address is translated too.

use std::net::IpAddr;

use crate::core::graph::path::Hop;
use crate::core::graph::role;
use crate::core::graph::route::{Decision, Destination, Way, lookup};
use crate::core::graph::segment::Segments;
use crate::model::network::{NetnsId, Topology};

/// More routers than this in one host are taken for a circle.
const MOST_LEGS: usize = 32;
/// Steps tried for one destination: next hops that share the load multiply at each router.
const MOST_STEPS: usize = 1024;
/// Ways looked at between one namespace and one destination: load is shared by more than one next
/// hop, and a segment can have several exits.
const MOST_PATHS: usize = 8;

/// From one namespace to the next: the devices at layer 2 between two that look at addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The namespace that sends.
    pub netns: NetnsId,
    /// From the device it leaves by to the one it comes in by, or by which it leaves the host.
    pub devices: Vec<Hop>,
    /// MTU of the route that led here, if it has one of its own, bytes.
    pub route_mtu_bytes: Option<u32>,
    /// Whether that is locked, so that packets go without DF.
    pub mtu_locked: bool,
}

/// A way through the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// From the sender on.
    pub legs: Vec<Leg>,
    /// Sender, `None` for one beyond the host.
    pub from: Option<NetnsId>,
    /// The address that it sends from; `None` if that is not known.
    pub source: Option<IpAddr>,
    /// Receiver, `None` for one beyond the host.
    pub to: Option<NetnsId>,
    /// Its address, or one that stands for those it may have.
    pub destination: Option<IpAddr>,
    /// Whether it is one of IPv6.
    pub ipv6: bool,
}

/// Finds the ways that packets take.
pub struct Walker<'a> {
    topology: &'a Topology,
    segments: &'a Segments,
}

/// A way under construction.
struct Walk<'w> {
    destination: Destination,
    source: Option<IpAddr>,
    legs: Vec<Leg>,
    found: &'w mut Vec<Path>,
    steps: usize,
}

impl<'a> Walker<'a> {
    /// A walker over these segments.
    #[must_use]
    pub fn new(topology: &'a Topology, segments: &'a Segments) -> Self {
        Self { topology, segments }
    }

    /// The ways from a namespace to a destination; none to the namespace itself.
    #[must_use]
    pub fn paths(&self, from: NetnsId, destination: Destination) -> Vec<Path> {
        let mut found = Vec::new();
        let mut walk = Walk {
            destination,
            source: None,
            legs: Vec::new(),
            found: &mut found,
            steps: 0,
        };
        self.step(&mut walk, from, None);
        found
    }

    fn step(&self, walk: &mut Walk<'_>, at: NetnsId, iif: Option<u32>) {
        let Some(netns) = self.topology.namespaces.get(&at) else {
            return;
        };
        let decision = lookup(netns, walk.destination, walk.source, iif);
        let ways = match decision {
            Decision::Local if !walk.legs.is_empty() => return self.arrive(walk, Some(at)),
            Decision::Local | Decision::Nowhere => return,
            Decision::Send(ways) => ways,
        };
        let forwards = if walk.destination.is_ipv6() {
            netns.forwards_ipv6
        } else {
            netns.forwards_ipv4
        };
        let been_here = walk.legs.iter().any(|leg| leg.netns == at);
        walk.steps += 1;
        let too_many = walk.legs.len() >= MOST_LEGS || walk.steps > MOST_STEPS;
        if (iif.is_some() && !forwards) || been_here || too_many {
            return;
        }
        for way in ways {
            if walk.found.len() >= MOST_PATHS {
                return;
            }
            if walk.legs.is_empty() {
                walk.source = self.source(at, way.ifindex, walk.destination.is_ipv6());
            }
            self.send(walk, at, way);
        }
    }

    /// Sends it on by one way, to the next namespace or out of the host.
    fn send(&self, walk: &mut Walk<'_>, netns: NetnsId, way: Way) {
        let egress = Hop {
            netns,
            ifindex: way.ifindex,
        };
        let destination = match walk.destination {
            Destination::Address(address) => Some(address),
            Destination::Outside { .. } => None,
        };
        let next_hop = way.gateway.or(destination);
        let mut next = next_hop.and_then(|address| self.segments.owner(egress, address));
        let exits = self.segments.exits(egress);
        if next.is_none() && exits.is_empty() && (way.gateway.is_some() || destination.is_none()) {
            next = self.segments.only_router(egress);
        }
        let to: &[Hop] = match &next {
            Some(next) => std::slice::from_ref(next),
            None => exits,
        };
        for &last in to {
            if walk.found.len() >= MOST_PATHS {
                return;
            }
            let devices = self.segments.between(egress, last);
            if devices.is_empty() {
                continue;
            }
            walk.legs.push(Leg {
                netns,
                devices,
                route_mtu_bytes: way.mtu_bytes,
                mtu_locked: way.mtu_locked,
            });
            if next.is_some() {
                self.step(walk, last.netns, Some(last.ifindex));
            } else {
                self.arrive(walk, None);
            }
            walk.legs.pop();
        }
    }

    fn arrive(&self, walk: &mut Walk<'_>, to: Option<NetnsId>) {
        let destination = match walk.destination {
            Destination::Address(address) => Some(address),
            Destination::Outside { .. } => None,
        };
        walk.found.push(Path {
            from: walk.legs.first().map(|leg| leg.netns),
            legs: walk.legs.clone(),
            source: walk.source,
            to,
            destination,
            ipv6: walk.destination.is_ipv6(),
        });
    }

    /// The address a namespace sends from by a device: one of that device's, or any other.
    fn source(&self, netns: NetnsId, ifindex: u32, ipv6: bool) -> Option<IpAddr> {
        let links = &self.topology.namespaces.get(&netns)?.links;
        let own = links.get(&ifindex).into_iter();
        own.chain(links.values().filter(|link| !role::is_loopback(link)))
            .flat_map(|link| &link.addresses)
            .map(|own| own.address)
            .find(|address| address.is_ipv6() == ipv6 && !role::is_link_local(*address))
    }

    /// The same way from the other end.
    #[must_use]
    pub fn back(&self, path: &Path) -> Path {
        let legs = path.legs.iter().rev().map(|leg| {
            let devices: Vec<Hop> = leg.devices.iter().rev().copied().collect();
            let first = devices.first().copied();
            let netns = first.map_or(leg.netns, |device| device.netns);
            let way = first.and_then(|device| self.way_back(device, path.source, leg, path));
            Leg {
                netns,
                devices,
                route_mtu_bytes: way.and_then(|way| way.mtu_bytes),
                mtu_locked: way.is_some_and(|way| way.mtu_locked),
            }
        });
        Path {
            legs: legs.collect(),
            from: path.to,
            source: path.destination,
            to: path.from,
            destination: path.source,
            ipv6: path.ipv6,
        }
    }

    /// The route by which a namespace answers, if it leads back by the device packets come in by.
    fn way_back(&self, device: Hop, source: Option<IpAddr>, leg: &Leg, path: &Path) -> Option<Way> {
        // Whoever is beyond the last device has routes of their own.
        let leaves = path.to.is_none() && path.legs.last() == Some(leg);
        let netns = self.topology.namespaces.get(&device.netns)?;
        let destination = Destination::Address(source.filter(|_| !leaves)?);
        match lookup(netns, destination, None, None) {
            Decision::Send(ways) => ways.into_iter().find(|way| way.ifindex == device.ifindex),
            _ => None,
        }
    }
}
