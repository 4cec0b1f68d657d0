//! Tunnels of the IP layer: GRE, IP in IP, SIT, IPsec's interfaces. Each has its own function to send, and
//! that compares with the path MTU of its underlay, less what it adds, and tells the sender.

use crate::core::sites::output::OUTPUT;
use crate::core::sites::site::{Crossing, Function, Gso, Limit, Site, Tells};
use crate::core::sites::tunnel::{TunnelOutcome, does};
use crate::model::event::Packet;
use crate::model::network::{LinkKind, Topology};

/// Those over IPv4 (`tnl_update_pmtu`, which frees nothing itself), with or without FOU or GUE.
pub static IP_TUNNEL: Site = Site {
    name: "ip-tunnel",
    functions: IP_TUNNEL_FUNCTIONS,
    limit: Limit::TunnelRoute,
    gso: Gso::Passes,
    expected: |crossing| does(crossing, TunnelOutcome::Tells) && is_into(crossing, OVER_IPV4),
    ..OUTPUT
};

/// The same as a port of a bridge: frames have no route, so that no message can be sent (`icmp_send`).
pub static BRIDGED_IP_TUNNEL: Site = Site {
    name: "bridged-ip-tunnel",
    functions: &[],
    shared: Some((IP_TUNNEL_FUNCTIONS, is_port)),
    tells: Tells::Nobody,
    expected: |crossing| does(crossing, TunnelOutcome::Drops),
    ..IP_TUNNEL
};

/// Those over IPv6 that carry packets (`ip6_tnl_xmit`).
pub static IP6_TUNNEL: Site = Site {
    name: "ip6-tunnel",
    functions: &[Function::any(&["ip6_tnl_start_xmit", "ip6_tnl_xmit"])],
    expected: |crossing| {
        does(crossing, TunnelOutcome::Tells) && is_into(crossing, &[LinkKind::Ip6tnl])
    },
    ..IP_TUNNEL
};

/// Those over IPv6 that are GRE (`ip6gre_tunnel_xmit`).
pub static IP6_GRE: Site = Site {
    name: "ip6-gre",
    functions: &[
        Function::any(&["ip6gre_tunnel_xmit"]),
        Function::any(&["ip6erspan_tunnel_xmit"]),
    ],
    expected: |crossing| does(crossing, TunnelOutcome::Tells) && is_into(crossing, GRE_OVER_IPV6),
    ..IP_TUNNEL
};

/// IPv6 over IPv4 (`ipip6_tunnel_xmit`). Once that has lowered the route's MTU, `ip6_fragment` is first.
pub static SIT: Site = Site {
    name: "sit",
    functions: &[Function::any(&["sit_tunnel_xmit", "ipip6_tunnel_xmit"])],
    expected: |crossing| {
        does(crossing, TunnelOutcome::Tells) && is_into(crossing, &[LinkKind::Sit])
    },
    ..IP_TUNNEL
};

/// IPsec's interfaces. How much IPsec adds depends on the ciphers of each connection, so nothing is expected
/// of them.
pub static IPSEC_INTERFACE: Site = Site {
    name: "ipsec-interface",
    functions: &[
        Function::any(&["xfrmi_xmit", "xfrmi_xmit2"]),
        Function::any(&["vti_tunnel_xmit", "vti_xmit"]),
        Function::any(&["vti6_tnl_xmit", "vti6_xmit"]),
    ],
    gso: Gso::Measured,
    expected: |_| false,
    ..IP_TUNNEL
};

const IP_TUNNEL_FUNCTIONS: &[Function] = &[
    Function::any(&["ip_tunnel_xmit"]),
    Function::any(&["ip_md_tunnel_xmit"]),
];

const OVER_IPV4: &[LinkKind] = &[
    LinkKind::Gre,
    LinkKind::Gretap,
    LinkKind::Erspan,
    LinkKind::Ipip,
];
const GRE_OVER_IPV6: &[LinkKind] = &[LinkKind::Ip6gre, LinkKind::Ip6gretap, LinkKind::Ip6erspan];

fn is_into(crossing: &Crossing<'_>, kinds: &[LinkKind]) -> bool {
    matches!(crossing, Crossing::Wrap(wrapping) if kinds.contains(&wrapping.link.kind))
}

/// Whether a packet's device is a port of a bridge.
fn is_port(packet: &Packet, topology: &Topology) -> bool {
    let link = topology.link(packet.device.netns, packet.device.ifindex);
    link.is_some_and(|link| link.master.is_some())
}
