//! Which way a namespace sends a packet: its rules and routes, as the kernel's `fib_lookup` reads
//! them.
//!
//! Rules with conditions that only a real packet can meet (marks, ports, users) are passed over: a
//! path that is there without them is looked at.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::network::{
    Address, EncapsulatedWhen, Inside, Link, MAIN_TABLE, Netns, NetnsId, NextHop, Route,
    RouteEncapsulation, RouteKind, Topology,
};

/// Where a packet is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// To this address, looked up in the routes.
    Address(IpAddr),
    /// To wherever the default route leads.
    Outside {
        /// Whether it is that of IPv6.
        ipv6: bool,
    },
}

impl Destination {
    /// The address that is looked up; `None` for wherever the default route leads.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Outside { .. } => None,
        }
    }

    /// Whether it is reached by IPv6.
    pub fn is_ipv6(self) -> bool {
        match self {
            Self::Address(address) => address.is_ipv6(),
            Self::Outside { ipv6 } => ipv6,
        }
    }
}

/// What a namespace does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is its own.
    Local,
    /// It sends it on by one of these ways.
    Send(Vec<Way>),
    /// It drops or refuses it.
    Nowhere,
}

/// A way on that a route decides for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Interface index of the device.
    pub ifindex: u32,
    /// The next router; `None` if the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// MTU of the route, if it has one of its own.
    pub mtu_bytes: Option<u32>,
    /// Whether that is locked: packets go without DF.
    pub mtu_locked: bool,
    /// What the route puts before each packet.
    pub encapsulation: Option<RouteEncapsulation>,
}

/// Number of the default table (`RT_TABLE_DEFAULT`).
const DEFAULT: u32 = 253;
/// Number of the local table (`RT_TABLE_LOCAL`).
const LOCAL: u32 = 255;
/// Two routes of half the Internet each stand for a default route with many VPNs.
const MOST_GENERAL_BITS: u8 = 1;

/// Looks up a destination in a namespace. `source` and `iif` are those of the packet, where known.
pub fn lookup(
    netns: &Netns,
    destination: Destination,
    source: Option<IpAddr>,
    iif: Option<u32>,
) -> Decision {
    let address = destination.address();
    if address.is_some_and(|address| netns.owner(address).is_some()) {
        return Decision::Local;
    }
    let Some(inside) = &netns.inside else {
        return connected(netns, destination);
    };
    let iif = iif.and_then(|ifindex| netns.links.get(&ifindex));
    // A device of a VRF has that one's table only (`l3mdev_fib_rule_match`).
    let vrf = iif.and_then(|link| netns.links.get(&link.master?)?.vrf_table);
    let tables = tables(inside, destination, source, iif, vrf).into_iter();
    let mut decisions = tables.filter_map(|table| search(netns, inside, table, destination));
    decisions.next().unwrap_or(Decision::Nowhere)
}

/// The tables to be asked, in order.
fn tables(
    inside: &Inside,
    destination: Destination,
    source: Option<IpAddr>,
    iif: Option<&Link>,
    vrf: Option<u32>,
) -> Vec<u32> {
    let ipv6 = destination.is_ipv6();
    let mut rules: Vec<_> = inside.rules.iter().filter(|it| it.ipv6 == ipv6).collect();
    if rules.is_empty() {
        return vrf
            .into_iter()
            .chain([LOCAL, MAIN_TABLE, DEFAULT])
            .collect();
    }
    rules.sort_by_key(|rule| rule.priority);
    let meets = |wanted: Option<Address>, address: Option<IpAddr>| {
        wanted.is_none_or(|wanted| address.is_some_and(|address| contains(wanted, address)))
    };
    rules.retain(|rule| {
        let comes_in = |name: &String| iif.is_some_and(|link| link.name == *name);
        !rule.conditional
            && meets(rule.source, source)
            && meets(rule.destination, destination.address())
            && rule.iif.as_ref().is_none_or(comes_in)
            && rule.oif.is_none()
    });
    let tables = rules.into_iter();
    tables
        .filter_map(|rule| if rule.l3mdev { vrf } else { rule.table })
        .collect()
}

/// What the best route of a table says: that of the longest prefix, then of the lowest metric.
/// `None` leaves it to the next table.
fn search(
    netns: &Netns,
    inside: &Inside,
    table: u32,
    destination: Destination,
) -> Option<Decision> {
    let is_up = |hop: &&NextHop| {
        let link = hop.ifindex.and_then(|ifindex| netns.links.get(&ifindex));
        link.is_some_and(|link| link.up)
    };
    let best = inside
        .routes
        .iter()
        .filter(|route| route.table == table && fits(route, destination))
        // One by a device that is down is of no use (`RTNH_F_DEAD`).
        .filter(|it| it.kind != RouteKind::Unicast || it.hops.iter().any(|hop| is_up(&hop)))
        .min_by_key(|route| (Reverse(route.destination.prefix_len), route.metric))?;
    match best.kind {
        RouteKind::Local => Some(Decision::Local),
        RouteKind::Reject => Some(Decision::Nowhere),
        RouteKind::Throw => None,
        RouteKind::Unicast => {
            let hops = best.hops.iter().filter(is_up);
            let way = |hop: &NextHop| {
                Some(Way {
                    ifindex: hop.ifindex?,
                    gateway: hop.gateway,
                    mtu_bytes: best.mtu_bytes,
                    mtu_locked: best.mtu_locked,
                    encapsulation: best.encapsulation,
                })
            };
            Some(Decision::Send(hops.filter_map(way).collect()))
        }
    }
}

fn fits(route: &Route, destination: Destination) -> bool {
    match destination {
        Destination::Address(address) => contains(route.destination, address),
        Destination::Outside { ipv6 } => {
            route.destination.address.is_ipv6() == ipv6
                && route.destination.prefix_len <= MOST_GENERAL_BITS
        }
    }
}

/// What the addresses alone tell: every address makes a route to its network.
fn connected(netns: &Netns, destination: Destination) -> Decision {
    let Some(address) = destination.address() else {
        return Decision::Nowhere;
    };
    let links = netns.links.iter().filter(|(_, link)| link.up);
    let best = links
        .flat_map(|(&ifindex, link)| link.addresses.iter().map(move |own| (ifindex, *own)))
        .filter(|(_, own)| contains(*own, address))
        .max_by_key(|(_, own)| own.prefix_len);
    best.map_or(Decision::Nowhere, |(ifindex, _)| {
        Decision::Send(vec![Way {
            ifindex,
            ..Way::default()
        }])
    })
}

/// What a namespace compares with when it forwards to an address by a device, bytes, as far as its routes tell:
/// with the path MTU that it has learned, where it minds that, and less what the route puts before packets.
/// `None` where they do not lead there.
pub fn router_limit(topology: &Topology, netns: NetnsId, to: IpAddr, ifindex: u32) -> Option<u32> {
    let known = topology.namespaces.get(&netns)?;
    let Decision::Send(ways) = lookup(known, Destination::Address(to), None, None) else {
        return None;
    };
    let way = ways.into_iter().find(|way| way.ifindex == ifindex)?;
    let mtu_bytes = known.links.get(&ifindex)?.mtu_bytes;
    let own_bytes = learned(topology, netns, to).or(way.mtu_bytes);
    let sent = |it: &RouteEncapsulation| it.when == EncapsulatedWhen::Sent;
    let before_bytes = way.encapsulation.filter(sent).map_or(0, |it| it.bytes);
    Some(own_bytes.unwrap_or(mtu_bytes).saturating_sub(before_bytes))
}

/// The path MTU to an address that a namespace has learned and minds when it forwards, bytes
/// (`ip_dst_mtu_maybe_forward`); `None` where it has not, or does not mind it.
pub fn learned(topology: &Topology, netns: NetnsId, to: IpAddr) -> Option<u32> {
    let inside = topology.inside(netns)?;
    let minds = inside.sysctls.ip_forward_use_pmtu;
    let mut learned = inside.path_mtus.iter();
    let found = learned.find(|known| known.destination == to)?;
    (minds.is_some_and(|set| set != 0) && to.is_ipv4()).then_some(found.mtu_bytes)
}

/// Whether a network contains an address.
pub fn contains(network: Address, address: IpAddr) -> bool {
    let network = IpNet::new(network.address, network.prefix_len);
    network.is_ok_and(|network| network.contains(&address))
}

/// An address of a network that stands for all of them: the last but one, which is least often a
/// router's. Of a single address it is that one.
pub fn example(network: Address) -> IpAddr {
    match IpNet::new(network.address, network.prefix_len) {
        Ok(IpNet::V4(net)) if net.prefix_len() < 31 => {
            IpAddr::V4((net.broadcast().to_bits() - 1).into())
        }
        Ok(IpNet::V6(net)) if net.prefix_len() < 127 => {
            IpAddr::V6((net.broadcast().to_bits() - 1).into())
        }
        _ => network.address,
    }
}
