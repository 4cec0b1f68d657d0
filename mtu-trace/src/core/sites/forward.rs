//! Routers: a namespace that sends on what it has received.

use crate::core::sites::output::{OUTPUT, OUTPUT_FUNCTIONS};
use crate::core::sites::site::{Crossing, Function, Remedy, Site, Tells, is_made_here, is_sent_on};
use crate::model::event::TOO_BIG;

/// A router forwards: it tells the sender (RFC 1812, section 4.2.2.9; RFC 4443, section 3.2).
///
/// The limit is that of `ip_dst_mtu_maybe_forward` and `ip6_dst_mtu_maybe_forward`.
pub static FORWARD: Site = Site {
    name: "forward",
    functions: FORWARD_FUNCTIONS,
    reason: TOO_BIG,
    expected: |crossing| matches!(crossing, Crossing::Router { cuts: false }),
    remedy: Remedy::ClampSegments,
    ..OUTPUT
};

/// A router that has let a packet pass, and finds it too long when it sends it: of IPv6 the MTU of a route
/// that is not locked counts only then (`ip6_fragment`).
pub static FORWARD_ROUTE: Site = Site {
    name: "forward-route",
    functions: &[],
    shared: Some((OUTPUT_FUNCTIONS, is_sent_on)),
    expected: |crossing| matches!(crossing, Crossing::RouteMtu),
    remedy: Remedy::ClampSegments,
    ..OUTPUT
};

/// A router that puts what it sends on into a packet of its own first, by the encapsulation of a route
/// (`seg6_input`), and then forwards that: the message goes to the router itself.
pub static FORWARD_WRAPPED: Site = Site {
    name: "forward-wrapped",
    functions: &[],
    shared: Some((FORWARD_FUNCTIONS, is_made_here)),
    tells: Tells::Tunnel,
    expected: |crossing| matches!(crossing, Crossing::RouteWraps),
    remedy: Remedy::Nothing,
    ..FORWARD
};

const FORWARD_FUNCTIONS: &[Function] = &[
    Function::ipv4(&["ip_forward"]),
    Function::ipv6(&["ip6_forward"]),
];
