//! Which way a namespace sends a packet: its rules and routes, as the kernel's `fib_lookup` reads
//! them. Pure.
//!
//! Rules with conditions that only a real packet can meet (marks, ports, users) are passed over: a
//! path that is there without them is looked at.

use std::net::IpAddr;

use crate::model::network::{Address, Inside, Link, Netns, NextHop, PolicyRule, Route, RouteKind};

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
    /// Whether it is reached by IPv6.
    #[must_use]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Interface index of the device.
    pub ifindex: u32,
    /// The next router; `None` if the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// MTU of the route, if it has one of its own.
    pub mtu_bytes: Option<u32>,
    /// Whether that is locked: packets go without DF.
    pub mtu_locked: bool,
}

/// Number of the main table (`RT_TABLE_MAIN`).
const MAIN: u32 = 254;
/// Number of the default table (`RT_TABLE_DEFAULT`).
const DEFAULT: u32 = 253;
/// Number of the local table (`RT_TABLE_LOCAL`).
const LOCAL: u32 = 255;
/// Two routes of half the Internet each stand for a default route with many VPNs.
const MOST_GENERAL_BITS: u8 = 1;

/// Looks up a destination in a namespace. `source` and `iif` are those of the packet, where known.
#[must_use]
pub fn lookup(
    netns: &Netns,
    destination: Destination,
    source: Option<IpAddr>,
    iif: Option<u32>,
) -> Decision {
    if let Destination::Address(address) = destination
        && owns(netns, address)
    {
        return Decision::Local;
    }
    let Some(inside) = &netns.inside else {
        return connected(netns, destination);
    };
    let iif = iif.and_then(|ifindex| netns.links.get(&ifindex));
    // A device of a VRF has that one's table only (`l3mdev_fib_rule_match`).
    let vrf = iif.and_then(|link| netns.links.get(&link.master?)?.vrf_table);
    for table in tables(inside, destination, source, iif, vrf) {
        if let Some(decision) = search(netns, inside, table, destination) {
            return decision;
        }
    }
    Decision::Nowhere
}

/// Whether an address is one of a namespace's own.
fn owns(netns: &Netns, address: IpAddr) -> bool {
    netns
        .links
        .values()
        .any(|link| link.addresses.iter().any(|own| own.address == address))
}

/// The tables to be asked, in order.
fn tables<'a>(
    inside: &'a Inside,
    destination: Destination,
    source: Option<IpAddr>,
    iif: Option<&'a Link>,
    vrf: Option<u32>,
) -> Vec<u32> {
    let ipv6 = destination.is_ipv6();
    let mut rules: Vec<&PolicyRule> = inside
        .rules
        .iter()
        .filter(|rule| rule.ipv6 == ipv6)
        .collect();
    if rules.is_empty() {
        return [vrf, Some(LOCAL), Some(MAIN), Some(DEFAULT)]
            .into_iter()
            .flatten()
            .collect();
    }
    rules.sort_by_key(|rule| rule.priority);
    let meets = |wanted: &Option<Address>, address: Option<IpAddr>| {
        wanted.is_none_or(|wanted| address.is_some_and(|address| contains(wanted, address)))
    };
    let address = match destination {
        Destination::Address(address) => Some(address),
        Destination::Outside { .. } => None,
    };
    rules
        .into_iter()
        .filter(|rule| {
            !rule.conditional
                && meets(&rule.source, source)
                && meets(&rule.destination, address)
                && rule
                    .iif
                    .as_ref()
                    .is_none_or(|name| iif.is_some_and(|link| link.name == *name))
                && rule.oif.is_none()
        })
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
    let best = inside
        .routes
        .iter()
        .filter(|route| route.table == table && fits(route, destination) && is_alive(netns, route))
        .min_by_key(|route| {
            (
                std::cmp::Reverse(route.destination.prefix_len),
                route.metric,
            )
        })?;
    Some(match best.kind {
        RouteKind::Local => Decision::Local,
        RouteKind::Reject => Decision::Nowhere,
        RouteKind::Throw => return None,
        RouteKind::Unicast => {
            let ways: Vec<Way> = best
                .hops
                .iter()
                .filter(|hop| is_up(netns, **hop))
                .filter_map(|hop| {
                    Some(Way {
                        ifindex: hop.ifindex?,
                        gateway: hop.gateway,
                        mtu_bytes: best.mtu_bytes,
                        mtu_locked: best.mtu_locked,
                    })
                })
                .collect();
            if ways.is_empty() {
                return None;
            }
            Decision::Send(ways)
        }
    })
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

/// Whether a route is of use: one by a device that is down is not (`RTNH_F_DEAD`).
fn is_alive(netns: &Netns, route: &Route) -> bool {
    route.kind != RouteKind::Unicast || route.hops.iter().any(|hop| is_up(netns, *hop))
}

fn is_up(netns: &Netns, hop: NextHop) -> bool {
    hop.ifindex
        .and_then(|ifindex| netns.links.get(&ifindex))
        .is_some_and(|link| link.up)
}

/// What the addresses alone tell: every address makes a route to its network.
fn connected(netns: &Netns, destination: Destination) -> Decision {
    let Destination::Address(address) = destination else {
        return Decision::Nowhere;
    };
    let links = netns.links.iter().filter(|(_, link)| link.up);
    let best = links
        .flat_map(|(&ifindex, link)| link.addresses.iter().map(move |own| (ifindex, *own)))
        .filter(|(_, own)| contains(*own, address))
        .max_by_key(|(_, own)| own.prefix_len);
    match best {
        Some((ifindex, _)) => Decision::Send(vec![Way {
            ifindex,
            gateway: None,
            mtu_bytes: None,
            mtu_locked: false,
        }]),
        None => Decision::Nowhere,
    }
}

/// Whether a network contains an address.
#[must_use]
pub fn contains(network: Address, address: IpAddr) -> bool {
    match (network.address, address) {
        (IpAddr::V4(network_bits), IpAddr::V4(address)) => {
            let differ = network_bits.to_bits() ^ address.to_bits();
            differ.leading_zeros() >= u32::from(network.prefix_len)
        }
        (IpAddr::V6(network_bits), IpAddr::V6(address)) => {
            let differ = network_bits.to_bits() ^ address.to_bits();
            differ.leading_zeros() >= u32::from(network.prefix_len)
        }
        _ => false,
    }
}

/// An address of a network that stands for all of them: the last but one, which is least often a
/// router's. Of a single address it is that one.
#[must_use]
pub fn example(network: Address) -> IpAddr {
    match network.address {
        IpAddr::V4(address) => {
            let host_bits = 32u32.saturating_sub(network.prefix_len.into());
            let hosts = u32::MAX.checked_shr(32 - host_bits).unwrap_or(0);
            let last = address.to_bits() | hosts;
            IpAddr::V4(if host_bits < 2 {
                address
            } else {
                (last - 1).into()
            })
        }
        IpAddr::V6(address) => {
            let host_bits = 128u32.saturating_sub(network.prefix_len.into());
            let hosts = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
            let last = address.to_bits() | hosts;
            IpAddr::V6(if host_bits < 2 {
                address
            } else {
                (last - 1).into()
            })
        }
    }
}
