//! Path MTUs taken over: an ICMP error has arrived, or a tunnel has found one, and it is kept to.

use super::*;

/// `tcp_v4_mtu_reduced`, by a socket of IPv4.
pub const TOLD: TraceHook = TraceHook {
    name: hook::TOLD,
    attachments: at_entry!("tcp_v4_mtu_reduced" at hook::TOLD),
    shows: "IPv4 sockets that were told of a smaller path MTU",
    lost: "that a sender was told is known from its segment size alone",
    optional: true,
    record: records!(kind::PATH_MTU, decode),
};

/// `tcp_v6_mtu_reduced`, by a socket of IPv6.
pub const TOLD6: TraceHook = TraceHook {
    name: hook::TOLD6,
    attachments: at_entry!("tcp_v6_mtu_reduced" at hook::TOLD6),
    shows: "IPv6 sockets that were told of a smaller path MTU",
    ..TOLD
};

/// `__ip_rt_update_pmtu`, for a route of IPv4.
pub const ROUTE: TraceHook = TraceHook {
    name: hook::ROUTE,
    attachments: at_entry!("ip_rt_update_pmtu" at hook::ROUTE),
    shows: "IPv4 routes that keep a smaller path MTU",
    lost: "that a sender of datagrams was told is not seen",
    ..TOLD
};

/// `__ip6_rt_update_pmtu`, for a route of IPv6.
pub const ROUTE6: TraceHook = TraceHook {
    name: hook::ROUTE6,
    attachments: at_entry!("ip6_rt_update_pmtu" at hook::ROUTE6),
    shows: "IPv6 routes that keep a smaller path MTU",
    ..ROUTE
};

fn decode(_: &Decoder, record: &record::PathMtuRecord, _: &Topology) -> Decoded {
    let told = PathMtu {
        flow: flow(&record.key),
        mtu_bytes: record.mtu,
        before_bytes: (record.before != 0).then_some(record.before),
        count: record.count,
    };
    EventKind::PathMtu(told).into()
}
