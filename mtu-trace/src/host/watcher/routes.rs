//! Routes and learned path MTUs, as `RTM_GETROUTE` tells them, and policy routing rules, as
//! `RTM_GETRULE` does.
//!
//! There can be more routes than are worth keeping: a router with the whole Internet's has a
//! million. What is kept first is what decides on packet sizes and on the usual way (see
//! [`RouteRank`]); the others are counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{parse_i32, parse_u16, parse_u32};

use crate::base::netlink::{attribute, attributes, ip_address, string, unicast};
use crate::base::text::printable;
use crate::model::network::{
    Address, EncapsulatedWhen, LearnedPathMtu, NextHop, PolicyRule, Route, RouteEncapsulation,
    RouteKind,
};

/// Routes kept of each family at most, and path MTUs too.
pub(crate) const MOST: usize = 4096;

/// Size of `struct rtmsg` (`linux/rtnetlink.h`) and of `struct fib_rule_hdr`, bytes.
const HEADER_BYTES: usize = 12;
/// Size of `struct rtnexthop` (`linux/rtnetlink.h`), bytes.
const HOP_BYTES: usize = 8;
/// Of `linux/rtnetlink.h`.
const RTAX_LOCK: u16 = 1;
const RTAX_MTU: u16 = 2;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
/// Of `linux/lwtunnel.h`, `linux/mpls_iptunnel.h` and `linux/seg6_iptunnel.h`.
const LWTUNNEL_MPLS: u16 = 1;
const LWTUNNEL_SEG6: u16 = 5;
const LWTUNNEL_BPF: u16 = 6;
const LWT_BPF_XMIT_HEADROOM: u16 = 4;
const MPLS_IPTUNNEL_DST: u16 = 1;
const SEG6_IPTUNNEL_SRH: u16 = 1;
const SEG6_INLINE: u32 = 0;
const RTNH_F_DEAD: u32 = 1;
const RTM_F_CLONED: u32 = libc::RTM_F_CLONED;
/// Where `rta_expires` is in `struct rta_cacheinfo`.
const EXPIRES_AT: usize = 8;
/// Of `linux/fib_rules.h`.
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FLOW: u16 = 11;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_OIFNAME: u16 = 17;
const FRA_PAD: u16 = 18;
const FRA_L3MDEV: u16 = 19;
const FRA_PROTOCOL: u16 = 21;
/// What `FRA_SUPPRESS_PREFIXLEN` is, which is always told, if nothing is suppressed.
const NOTHING: u32 = u32::MAX;

/// A family by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family(pub u8);

pub(crate) const IPV4: Family = Family(libc::AF_INET as u8);
pub(crate) const IPV6: Family = Family(libc::AF_INET6 as u8);

impl Family {
    /// A prefix of this family.
    pub fn prefix(self, address: IpAddr, prefix_len: u8) -> Option<Address> {
        let is_of_it = address.is_ipv6() == (self == IPV6);
        let fits = is_of_it && IpNet::new(address, prefix_len).is_ok();
        fits.then_some(Address {
            address,
            prefix_len,
        })
    }

    /// The prefix of all addresses, or as many bits of it.
    fn any(self, prefix_len: u8) -> Option<Address> {
        let ipv6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let ipv4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        self.prefix(if self == IPV6 { ipv6 } else { ipv4 }, prefix_len)
    }
}

/// Which routes are kept when there are too many, the first most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RouteRank {
    /// Default routes, those with an MTU of their own, and networks that are directly connected.
    Decisive,
    /// Networks behind a router, and those that nothing is sent to.
    Network,
    /// Single hosts, the namespace's own addresses among them.
    Host,
}

impl RouteRank {
    fn of(route: &Route) -> Self {
        let to = route.destination;
        let is_connected =
            route.kind == RouteKind::Unicast && route.hops.iter().any(|hop| hop.gateway.is_none());
        match to.prefix_len {
            0 => Self::Decisive,
            _ if route.mtu_bytes.is_some() => Self::Decisive,
            32 if to.address.is_ipv4() => Self::Host,
            128 => Self::Host,
            _ if is_connected => Self::Decisive,
            _ => Self::Network,
        }
    }
}

/// Routes of one family while they come in.
#[derive(Debug, Default)]
pub(crate) struct RouteCollector {
    /// By rank, each with its place in the kernel's order.
    ranks: [Vec<(usize, Route)>; 3],
    seen: usize,
}

impl RouteCollector {
    /// Takes in one message.
    pub fn take(&mut self, family: Family, payload: &[u8]) {
        match route(family, payload) {
            Some(Read::Route(route)) => {
                if let Some(rank) = self.ranks.get_mut(RouteRank::of(&route) as usize)
                    && rank.len() < MOST
                {
                    rank.push((self.seen, route));
                }
                self.seen += 1;
            }
            Some(Read::Special) => self.seen += 1,
            None => {}
        }
    }

    /// The routes in the kernel's order, and how many were left out.
    pub fn finish(self) -> (Vec<Route>, usize) {
        let mut kept: Vec<_> = self.ranks.into_iter().flatten().take(MOST).collect();
        kept.sort_by_key(|&(place, _)| place);
        let left_out = self.seen - kept.len();
        (kept.into_iter().map(|(_, route)| route).collect(), left_out)
    }
}

/// What a message tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Route(Route),
    /// A route for packets of some sources or types of service only, which the model does not have.
    Special,
}

/// Reads an `RTM_NEWROUTE` of a route that is in use.
pub(crate) fn route(family: Family, payload: &[u8]) -> Option<Read> {
    let &[found, len, source_len, tos, table, _, _, kind] = payload.get(..8)?.as_array()?;
    let flags = parse_u32(payload.get(8..HEADER_BYTES)?).ok()?;
    // A kernel without one of the families answers with the others.
    if found != family.0 || flags & (RTM_F_CLONED | RTNH_F_DEAD) != 0 {
        return None;
    }
    if source_len != 0 || tos != 0 {
        return Some(Read::Special);
    }
    let mut route = Route {
        destination: family.any(len)?,
        table: u32::from(table),
        kind: match kind {
            libc::RTN_UNICAST => RouteKind::Unicast,
            libc::RTN_LOCAL | libc::RTN_BROADCAST | libc::RTN_ANYCAST | libc::RTN_MULTICAST => {
                RouteKind::Local
            }
            libc::RTN_BLACKHOLE | libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT => RouteKind::Reject,
            libc::RTN_THROW => RouteKind::Throw,
            _ => return None,
        },
        metric: 0,
        hops: Vec::new(),
        mtu_bytes: None,
        mtu_locked: false,
        encapsulation: None,
        source: None,
    };
    let mut only = NextHop::default();
    for nla in attributes(payload.get(HEADER_BYTES..)?) {
        let value = nla.value();
        match nla.kind() {
            libc::RTA_DST => route.destination = family.prefix(ip_address(value)?, len)?,
            libc::RTA_TABLE => route.table = parse_u32(value).ok()?,
            libc::RTA_PRIORITY => route.metric = parse_u32(value).ok()?,
            libc::RTA_PREFSRC => route.source = unicast(value),
            libc::RTA_OIF => only.ifindex = index(value),
            libc::RTA_GATEWAY => only.gateway = unicast(value),
            libc::RTA_VIA => only.gateway = via(value),
            libc::RTA_MULTIPATH => route.hops = hops(value),
            libc::RTA_METRICS => (route.mtu_bytes, route.mtu_locked) = mtu(value),
            _ => {}
        }
    }
    route.encapsulation = encapsulation(payload.get(HEADER_BYTES..)?);
    if route.hops.is_empty() && only != NextHop::default() {
        route.hops.push(only);
    }
    Some(Read::Route(route))
}

/// What a route with these attributes puts before packets. Several next hops with one each are not understood.
fn encapsulation(attributes: &[u8]) -> Option<RouteEncapsulation> {
    let told = attribute(attributes, RTA_ENCAP)?;
    let find = |kind| attribute(told, kind);
    let (bytes, when) = match parse_u16(attribute(attributes, RTA_ENCAP_TYPE)?).ok()? {
        // `mpls_encap_size`: labels are told as they are sent.
        LWTUNNEL_MPLS => {
            let labels = find(MPLS_IPTUNNEL_DST)?;
            (labels.len(), EncapsulatedWhen::Sent)
        }
        // `struct seg6_iptunnel_encap`: the mode, then the segment routing header, which counts its length
        // in units of 8 bytes past the first (RFC 8754, section 2).
        LWTUNNEL_SEG6 => {
            let [mode, header @ ..] = find(SEG6_IPTUNNEL_SRH)?.as_chunks::<4>().0 else {
                return None;
            };
            let srh_bytes = 8 * (1 + usize::from(header.first()?[1]));
            // Inserted, there is no header of IPv6 with it.
            let outer_bytes = if u32::from_ne_bytes(*mode) == SEG6_INLINE {
                0
            } else {
                40
            };
            (srh_bytes + outer_bytes, EncapsulatedWhen::Received)
        }
        LWTUNNEL_BPF => {
            let bytes = parse_u32(find(LWT_BPF_XMIT_HEADROOM)?).ok()?;
            (bytes as usize, EncapsulatedWhen::Sent)
        }
        _ => return None,
    };
    Some(RouteEncapsulation {
        bytes: u32::try_from(bytes).ok()?,
        when,
    })
}

/// Reads an `RTM_NEWROUTE` of a path MTU that was learned. Redirections are told in the same way,
/// with the MTU of the route they are for; but those do not expire.
pub(crate) fn path_mtu(family: Family, payload: &[u8]) -> Option<LearnedPathMtu> {
    let flags = parse_u32(payload.get(8..HEADER_BYTES)?).ok()?;
    if payload.first() != Some(&family.0) || flags & RTM_F_CLONED == 0 {
        return None;
    }
    let find = |kind| attribute(payload.get(HEADER_BYTES..)?, kind);
    let left = find(libc::RTA_CACHEINFO)?.get(EXPIRES_AT..EXPIRES_AT + 4)?;
    let expires = parse_i32(left).is_ok_and(|left| left > 0);
    let (mtu_bytes, _) = mtu(find(libc::RTA_METRICS)?);
    expires.then_some(LearnedPathMtu {
        destination: unicast(find(libc::RTA_DST)?)?,
        mtu_bytes: mtu_bytes?,
    })
}

/// The MTU among a route's metrics, and whether it is locked.
fn mtu(metrics: &[u8]) -> (Option<u32>, bool) {
    let find = |kind| parse_u32(attribute(metrics, kind)?).ok();
    let locks = find(RTAX_LOCK).unwrap_or(0);
    let mtu_bytes = find(RTAX_MTU).filter(|&mtu_bytes| mtu_bytes != 0);
    (mtu_bytes, locks & (1 << RTAX_MTU) != 0)
}

/// The next hops that are in use, of several.
fn hops(mut rest: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    // `struct rtnexthop`: length, flags, weight, interface; attributes follow.
    while let Some(&[a, b, flags, _, ref ifindex @ ..]) = rest.first_chunk::<HOP_BYTES>() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(inner) = rest.get(HOP_BYTES..length) else {
            break;
        };
        if u32::from(flags) & RTNH_F_DEAD == 0 {
            let gateway = attribute(inner, libc::RTA_GATEWAY).and_then(unicast);
            hops.push(NextHop {
                gateway: gateway.or_else(|| via(attribute(inner, libc::RTA_VIA)?)),
                ifindex: index(ifindex),
            });
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// `struct rtvia`: a family, which need not be that of the route, and an address.
fn via(value: &[u8]) -> Option<IpAddr> {
    unicast(value.get(2..)?)
}

fn index(value: &[u8]) -> Option<u32> {
    parse_u32(value).ok().filter(|&ifindex| ifindex != 0)
}

/// Reads an `RTM_NEWRULE`. What is not known to be no condition is taken for one.
pub(crate) fn rule(family: Family, payload: &[u8]) -> Option<PolicyRule> {
    let &[found, destination_len, source_len, tos, table, _, _, action] =
        payload.get(..8)?.as_array()?;
    let flags = parse_u32(payload.get(8..HEADER_BYTES)?).ok()?;
    if found != family.0 {
        return None;
    }
    let mut rule = PolicyRule {
        ipv6: family == IPV6,
        // With this flag the conditions must not be met.
        conditional: tos != 0 || flags & FIB_RULE_INVERT != 0,
        ..PolicyRule::default()
    };
    let mut table = u32::from(table);
    let prefix = |value: &[u8], len| family.prefix(ip_address(value)?, len);
    for nla in attributes(payload.get(HEADER_BYTES..)?) {
        let value = nla.value();
        match nla.kind() {
            FRA_PRIORITY => rule.priority = parse_u32(value).ok()?,
            FRA_TABLE => table = parse_u32(value).ok()?,
            FRA_SRC => rule.source = Some(prefix(value, source_len)?),
            FRA_DST => rule.destination = Some(prefix(value, destination_len)?),
            FRA_IIFNAME => rule.iif = Some(printable(string(value))),
            FRA_OIFNAME => rule.oif = Some(printable(string(value))),
            FRA_L3MDEV => rule.l3mdev = value.first().is_some_and(|&set| set != 0),
            FRA_SUPPRESS_PREFIXLEN => {
                rule.conditional |= parse_u32(value).ok() != Some(NOTHING);
            }
            // Where a rule leads, and who has made it.
            FRA_GOTO | FRA_FLOW | FRA_PAD | FRA_PROTOCOL => {}
            _ => rule.conditional = true,
        }
    }
    rule.table = Some(table).filter(|&table| action == FR_ACT_TO_TBL && table != 0);
    Some(rule)
}
