//! A look at one namespace from inside: routes, rules, learned path MTUs, where tunnels send frames,
//! and settings.
//!
//! The hub cannot ask for these from outside: only links and addresses can be asked of another
//! namespace.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::{fs, io};

use netlink_packet_core::parse_u32;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{RouteFlags, RouteMessage};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::base::netlink::{Netlink, attributes, unicast};
use crate::host::watcher::routes::{Family, IPV4, IPV6, MOST, RouteCollector, path_mtu};
use crate::host::watcher::rules::rule;
use crate::model::network::{Fdb, Inside, LearnedPathMtu, PolicyRule, Route, Sysctls};

/// Size of `struct ndmsg`, and where `ndm_ifindex` is in it.
const NEIGHBOUR_HEADER_BYTES: usize = 12;
const NEIGHBOUR_INDEX_AT: usize = 4;

impl Inside {
    /// Looks at the namespace of the calling thread. `vxlans` are the interface indices of its
    /// devices that have a table of where frames go.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be asked: half an answer would be misleading.
    pub(crate) fn read(vxlans: &[u32]) -> io::Result<Self> {
        let requests = Netlink::open(NETLINK_ROUTE)?.strict()?;
        let mut inside = Self {
            sysctls: sysctls(),
            ..Self::default()
        };
        for (family, name) in [(IPV4, AddressFamily::Inet), (IPV6, AddressFamily::Inet6)] {
            let (routes, left_out) = routes(&requests, family, name)?;
            inside.routes.extend(routes);
            inside.routes_left_out += left_out;
            inside.rules.extend(rules(&requests, family, name)?);
            inside.path_mtus.extend(path_mtus(&requests, family, name)?);
        }
        // Stable: the kernel asks those of equal priority in its order.
        inside.rules.sort_by_key(|rule| rule.priority);
        inside.fdb = fdb(&requests, vxlans)?;
        Ok(inside)
    }
}

fn routes(
    requests: &Netlink,
    family: Family,
    name: AddressFamily,
) -> io::Result<(Vec<Route>, usize)> {
    let mut message = RouteMessage::default();
    message.header.address_family = name;
    let request = RouteNetlinkMessage::GetRoute(message);
    let kept = dump(requests, &request, |kept: &mut RouteCollector, payload| {
        kept.take(family, payload);
    })?;
    Ok(kept.finish())
}

/// Under strict checking the kernel answers with these and no routes if `RTM_F_CLONED` is set, else
/// with routes only (`ip_valid_fib_dump_req`); before Linux 5.3 with none, or with both.
fn path_mtus(
    requests: &Netlink,
    family: Family,
    name: AddressFamily,
) -> io::Result<BTreeSet<LearnedPathMtu>> {
    let mut message = RouteMessage::default();
    message.header.address_family = name;
    message.header.flags = RouteFlags::Cloned;
    let request = RouteNetlinkMessage::GetRoute(message);
    dump(
        requests,
        &request,
        |found: &mut BTreeSet<LearnedPathMtu>, payload| {
            if found.len() < MOST {
                found.extend(path_mtu(family, payload));
            }
        },
    )
}

fn rules(requests: &Netlink, family: Family, name: AddressFamily) -> io::Result<Vec<PolicyRule>> {
    let mut message = RuleMessage::default();
    message.header.family = name;
    let request = RouteNetlinkMessage::GetRule(message);
    dump(
        requests,
        &request,
        |rules: &mut Vec<PolicyRule>, payload| {
            if rules.len() < MOST {
                rules.extend(rule(family, payload));
            }
        },
    )
}

fn fdb(requests: &Netlink, vxlans: &[u32]) -> io::Result<Vec<Fdb>> {
    let mut all = Vec::new();
    for &ifindex in vxlans {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = ifindex;
        let request = RouteNetlinkMessage::GetNeighbour(message);
        let remotes = dump(requests, &request, |remotes: &mut BTreeSet<_>, payload| {
            if remotes.len() < MOST {
                remotes.extend(remote(ifindex, payload));
            }
        })?;
        all.extend(remotes.into_iter().map(|remote| Fdb { ifindex, remote }));
    }
    Ok(all)
}

/// Where an `RTM_NEWNEIGH` sends frames, if it is of the given device and sends them to one host.
fn remote(ifindex: u32, payload: &[u8]) -> Option<IpAddr> {
    let found = payload.get(NEIGHBOUR_INDEX_AT..NEIGHBOUR_INDEX_AT + 4)?;
    if parse_u32(found).ok()? != ifindex {
        return None;
    }
    let remote = attributes(payload.get(NEIGHBOUR_HEADER_BYTES..)?)
        .find(|nla| nla.kind() == libc::NDA_DST)?;
    unicast(remote.value())
}

/// A dump, empty if the kernel does not have what is asked for, such as IPv6 or rules.
fn dump<C: Default>(
    requests: &Netlink,
    request: &RouteNetlinkMessage,
    each: impl FnMut(&mut C, &[u8]),
) -> io::Result<C> {
    match requests.dump(request, C::default, each) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)
            ) =>
        {
            Ok(C::default())
        }
        answer => answer,
    }
}

/// `/proc/sys/net` is that of the reading thread's namespace, not of its process.
fn sysctls() -> Sysctls {
    let read = |name: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys/net").join(name)).ok()?;
        text.trim().parse().ok()
    };
    Sysctls {
        ip_no_pmtu_disc: read("ipv4/ip_no_pmtu_disc"),
        tcp_mtu_probing: read("ipv4/tcp_mtu_probing"),
        ip_forward_use_pmtu: read("ipv4/ip_forward_use_pmtu"),
        icmp_ratelimit: read("ipv4/icmp_ratelimit"),
        icmp_ratemask: read("ipv4/icmp_ratemask"),
        bridge_nf_call_iptables: read("bridge/bridge-nf-call-iptables"),
        bridge_nf_call_ip6tables: read("bridge/bridge-nf-call-ip6tables"),
    }
}
