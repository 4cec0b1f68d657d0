//! A look at one namespace from inside: routes, rules, learned path MTUs, where tunnels send frames,
//! and settings.
//!
//! The hub cannot ask for these from outside: only links and addresses can be asked of another
//! namespace.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::{fs, io};

use netlink_packet_core::parse_u32;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{RouteFlags, RouteMessage};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::base::netlink::{Netlink, attribute, unicast};
use crate::host::watcher::routes::{IPV4, IPV6, MOST, RouteCollector, path_mtu, rule};
use crate::model::network::{Fdb, Inside, Sysctls};

/// Size of `struct ndmsg`, and where `ndm_ifindex` is in it.
const NEIGHBOUR_HEADER_BYTES: usize = 12;
const NEIGHBOUR_INDEX_AT: usize = 4;

impl Inside {
    /// Looks at the namespace of the calling thread. `vxlans` are the interface indices of its
    /// devices that have a table of where frames go. Half an answer would be misleading, so one
    /// question that fails lets all of it fail.
    pub(crate) fn read(vxlans: &[u32]) -> io::Result<Self> {
        let requests = Netlink::open(NETLINK_ROUTE)?.strict()?;
        let mut inside = Self {
            sysctls: sysctls(),
            ..Self::default()
        };
        for family in [IPV4, IPV6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family.0.into();
            let request = RouteNetlinkMessage::GetRoute(message.clone());
            let collect = |kept: &mut RouteCollector, payload: &[u8]| kept.take(family, payload);
            let (routes, left_out) = dump(&requests, &request, collect)?.finish();
            inside.routes.extend(routes);
            inside.routes_left_out += left_out;

            // Under strict checking the kernel answers with path MTUs and no routes if `RTM_F_CLONED`
            // is set, else with routes only (`ip_valid_fib_dump_req`); before Linux 5.3 with none, or
            // with both.
            message.header.flags = RouteFlags::Cloned;
            let request = RouteNetlinkMessage::GetRoute(message);
            let read = |payload: &[u8]| path_mtu(family, payload);
            inside.path_mtus.extend(set(&requests, &request, read)?);

            let mut message = RuleMessage::default();
            message.header.family = family.0.into();
            let request = RouteNetlinkMessage::GetRule(message);
            let rules = dump(&requests, &request, |rules: &mut Vec<_>, payload| {
                if rules.len() < MOST {
                    rules.extend(rule(family, payload));
                }
            })?;
            inside.rules.extend(rules);
        }
        // Stable: the kernel asks those of equal priority in its order.
        inside.rules.sort_by_key(|rule| rule.priority);
        for &ifindex in vxlans {
            let mut message = NeighbourMessage::default();
            message.header.family = AddressFamily::Bridge;
            message.header.ifindex = ifindex;
            let request = RouteNetlinkMessage::GetNeighbour(message);
            let remotes = set(&requests, &request, |payload| remote(ifindex, payload))?;
            let fdb = remotes.into_iter().map(|remote| Fdb { ifindex, remote });
            inside.fdb.extend(fdb);
        }
        Ok(inside)
    }
}

/// Where an `RTM_NEWNEIGH` sends frames, if it is of the given device and sends them to one host.
fn remote(ifindex: u32, payload: &[u8]) -> Option<IpAddr> {
    let found = payload.get(NEIGHBOUR_INDEX_AT..NEIGHBOUR_INDEX_AT + 4)?;
    if parse_u32(found).ok()? != ifindex {
        return None;
    }
    unicast(attribute(
        payload.get(NEIGHBOUR_HEADER_BYTES..)?,
        libc::NDA_DST,
    )?)
}

/// What is read of the messages of a dump, at most [`MOST`] different things.
fn set<T: Ord>(
    requests: &Netlink,
    request: &RouteNetlinkMessage,
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<BTreeSet<T>> {
    dump(requests, request, |found: &mut BTreeSet<T>, payload| {
        if found.len() < MOST {
            found.extend(read(payload));
        }
    })
}

/// A dump, empty if the kernel does not have what is asked for, such as IPv6 or rules.
fn dump<C: Default>(
    requests: &Netlink,
    request: &RouteNetlinkMessage,
    each: impl FnMut(&mut C, &[u8]),
) -> io::Result<C> {
    requests
        .dump(request, each)
        .or_else(|error| match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => Ok(C::default()),
            _ => Err(error),
        })
}

/// `/proc/sys/net` is that of the reading thread's namespace, not of its process.
fn sysctls() -> Sysctls {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
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
