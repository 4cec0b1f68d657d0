//! What a host sends itself, or cuts into pieces.

use crate::core::sites::site::{Function, Gso, Limit, Remedy, Site, Tells};
use crate::model::event::NO_REASON;

/// The functions of the IP layer that drop what is too long to be sent.
pub const OUTPUT_FUNCTIONS: &[Function] = &[
    Function::ipv4(&["ip_fragment"]),
    Function::ipv4(&["__ip_finish_output"]),
    Function::ipv4(&["ip_finish_output"]),
    Function::ipv4(&["ip_finish_output_gso"]),
    Function::ipv6(&["ip6_fragment"]),
    Function::ipv6(&["__ip6_finish_output"]),
    Function::ipv6(&["ip6_finish_output"]),
    Function::ipv6(&["ip6_xmit"]),
];

/// The host sends or fragments: it tells the sender. TCP heeds its own device's MTU, so nothing of
/// the kind is expected.
pub static OUTPUT: Site = Site {
    name: "output",
    functions: OUTPUT_FUNCTIONS,
    shared: None,
    limit: Limit::Route,
    slack_bytes: 0,
    gso: Gso::Measured,
    tells: Tells::Sender,
    reason: NO_REASON,
    expected: |_| false,
    remedy: Remedy::Nothing,
};

/// A place that no row of the table describes, but of which the kernel itself says that packets were
/// too big there. It is no row: nothing is expected of it, and no function belongs to it.
pub static UNLISTED: Site = Site {
    name: "unlisted",
    functions: &[],
    ..OUTPUT
};
