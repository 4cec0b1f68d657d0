//! IPVS: the balancer sends on what is for its service.

use crate::core::sites::output::OUTPUT;
use crate::core::sites::site::{Function, Limit, Site};

/// The balancer has no room on its way to the server that it has chosen (`ensure_mtu_is_adequate`): it
/// tells the client. The buffer still has the service's address and the route to it, which is one of
/// this host; what the length was compared with is told in the message only. Services are not read, so
/// nothing is expected.
pub static BALANCER: Site = Site {
    name: "balancer",
    functions: &[
        Function::ipv4(&["ip_vs_nat_xmit"]),
        Function::ipv6(&["ip_vs_nat_xmit_v6"]),
        Function::ipv4(&["ip_vs_dr_xmit"]),
        Function::ipv6(&["ip_vs_dr_xmit_v6"]),
        Function::ipv4(&["ip_vs_tunnel_xmit"]),
        Function::ipv6(&["ip_vs_tunnel_xmit_v6"]),
        Function::ipv4(&["ip_vs_bypass_xmit"]),
        Function::ipv6(&["ip_vs_bypass_xmit_v6"]),
        Function::ipv4(&["ip_vs_icmp_xmit"]),
        Function::ipv6(&["ip_vs_icmp_xmit_v6"]),
    ],
    limit: Limit::Told,
    ..OUTPUT
};
