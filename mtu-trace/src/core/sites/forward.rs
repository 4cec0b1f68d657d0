//! Routers: a namespace that sends on what it has received.

use crate::core::sites::output::OUTPUT;
use crate::core::sites::site::{Crossing, Function, Remedy, Site};
use crate::model::event::TOO_BIG;

/// A router forwards: it tells the sender (RFC 1812, section 4.2.2.9; RFC 4443, section 3.2).
///
/// The limit is that of `ip_dst_mtu_maybe_forward` and `ip6_dst_mtu_maybe_forward`.
pub static FORWARD: Site = Site {
    name: "forward",
    functions: &[
        Function::ipv4(&["ip_forward"]),
        Function::ipv6(&["ip6_forward"]),
    ],
    reason: TOO_BIG,
    expected: |crossing| matches!(crossing, Crossing::Router { cuts: false }),
    remedy: Remedy::ClampSegments,
    ..OUTPUT
};
