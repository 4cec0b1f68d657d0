//! Follows a packet from namespace to namespace, by the routes of each and what is joined at layer
//! 2 between them.
//!
//! Firewalls and address translation are not asked: a path is what routes allow. The way back is
//! the same way, which holds where the sender's address is translated too.

use std::net::IpAddr;

use crate::core::graph::route::{Decision, Destination, Way, learned, lookup};
use crate::core::graph::segment::Segments;
use crate::model::network::{Link, LinkId, NetnsId, RouteEncapsulation, Topology};

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
    pub devices: Vec<LinkId>,
    /// MTU of the route that led here, if it has one of its own, bytes.
    pub route_mtu_bytes: Option<u32>,
    /// Whether that is locked, so that packets go without DF.
    pub mtu_locked: bool,
    /// What the route puts before each packet.
    pub encapsulation: Option<RouteEncapsulation>,
    /// The path MTU that the namespace has learned and minds when it forwards
    /// (`net.ipv4.ip_forward_use_pmtu`), bytes.
    pub learned_mtu_bytes: Option<u32>,
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

/// The ways from a namespace to a destination over these segments.
pub fn paths(
    topology: &Topology,
    segments: &Segments,
    from: NetnsId,
    destination: Destination,
) -> Vec<Path> {
    let mut walk = Walk {
        topology,
        segments,
        destination,
        source: None,
        legs: Vec::new(),
        found: Vec::new(),
        steps: 0,
    };
    walk.step(from, None);
    walk.found
}

/// A way under construction.
struct Walk<'a> {
    topology: &'a Topology,
    segments: &'a Segments,
    destination: Destination,
    source: Option<IpAddr>,
    legs: Vec<Leg>,
    found: Vec<Path>,
    steps: usize,
}

impl Walk<'_> {
    fn step(&mut self, at: NetnsId, iif: Option<u32>) {
        let Some(netns) = self.topology.namespaces.get(&at) else {
            return;
        };
        let ways = match lookup(netns, self.destination, self.source, iif) {
            Decision::Local if !self.legs.is_empty() => return self.arrive(Some(at)),
            Decision::Local | Decision::Nowhere => return,
            Decision::Send(ways) => ways,
        };
        let forwards = if self.destination.is_ipv6() {
            netns.forwards_ipv6
        } else {
            netns.forwards_ipv4
        };
        let been_here = self.legs.iter().any(|leg| leg.netns == at);
        self.steps += 1;
        let too_many = self.legs.len() >= MOST_LEGS || self.steps > MOST_STEPS;
        if (iif.is_some() && !forwards) || been_here || too_many {
            return;
        }
        for way in ways {
            if self.legs.is_empty() {
                self.source = self.source_of(at, way.ifindex);
            }
            self.send(at, way);
        }
    }

    /// Sends it on by one way, to the next namespace or out of the host.
    fn send(&mut self, netns: NetnsId, way: Way) {
        let egress = LinkId {
            netns,
            ifindex: way.ifindex,
        };
        let destination = self.destination.address();
        let next_hop = way.gateway.or(destination);
        let mut next = next_hop.and_then(|address| self.segments.owner(egress, address));
        let exits = self.segments.exits(egress);
        if next.is_none() && exits.is_empty() && (way.gateway.is_some() || destination.is_none()) {
            next = self.segments.only_router(egress);
        }
        for &last in next.as_ref().map_or(exits, std::slice::from_ref) {
            if self.found.len() >= MOST_PATHS {
                return;
            }
            let devices = self.segments.between(egress, last);
            if devices.is_empty() {
                continue;
            }
            self.legs.push(Leg {
                netns,
                devices,
                route_mtu_bytes: way.mtu_bytes,
                mtu_locked: way.mtu_locked,
                encapsulation: way.encapsulation,
                learned_mtu_bytes: destination.and_then(|to| learned(self.topology, netns, to)),
            });
            if next.is_some() {
                self.step(last.netns, Some(last.ifindex));
            } else {
                self.arrive(None);
            }
            self.legs.pop();
        }
    }

    fn arrive(&mut self, to: Option<NetnsId>) {
        self.found.push(Path {
            from: self.legs.first().map(|leg| leg.netns),
            legs: self.legs.clone(),
            source: self.source,
            to,
            destination: self.destination.address(),
            ipv6: self.destination.is_ipv6(),
        });
    }

    /// The address a namespace sends from by a device: one of that device's, or any other.
    fn source_of(&self, netns: NetnsId, ifindex: u32) -> Option<IpAddr> {
        let links = &self.topology.namespaces.get(&netns)?.links;
        let others = links.values().filter(|link| !link.is_loopback());
        let mut addresses = links
            .get(&ifindex)
            .into_iter()
            .chain(others)
            .flat_map(Link::global_addresses)
            .map(|own| own.address);
        addresses.find(|address| address.is_ipv6() == self.destination.is_ipv6())
    }
}

impl Path {
    /// The same way from the other end.
    pub fn back(&self, topology: &Topology) -> Self {
        let legs = self.legs.iter().rev().map(|leg| {
            let devices: Vec<LinkId> = leg.devices.iter().rev().copied().collect();
            let first = devices.first().copied();
            let way = first.and_then(|device| self.way_back(topology, device, leg));
            Leg {
                netns: first.map_or(leg.netns, |device| device.netns),
                devices,
                route_mtu_bytes: way.and_then(|way| way.mtu_bytes),
                mtu_locked: way.is_some_and(|way| way.mtu_locked),
                encapsulation: way.and_then(|way| way.encapsulation),
                learned_mtu_bytes: self
                    .source
                    .and_then(|to| learned(topology, first?.netns, to)),
            }
        });
        Self {
            legs: legs.collect(),
            from: self.to,
            source: self.destination,
            to: self.from,
            destination: self.source,
            ipv6: self.ipv6,
        }
    }

    /// The route by which a namespace answers, if it leads back by the device packets come in by.
    fn way_back(&self, topology: &Topology, device: LinkId, leg: &Leg) -> Option<Way> {
        // Whoever is beyond the last device has routes of their own.
        let leaves = self.to.is_none() && self.legs.last() == Some(leg);
        let netns = topology.namespaces.get(&device.netns)?;
        let destination = Destination::Address(self.source.filter(|_| !leaves)?);
        match lookup(netns, destination, None, None) {
            Decision::Send(ways) => ways.into_iter().find(|way| way.ifindex == device.ifindex),
            _ => None,
        }
    }
}
