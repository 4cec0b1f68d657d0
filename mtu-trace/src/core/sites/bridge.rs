//! Bridges: their ports, and bridge netfilter.

use crate::core::sites::output::OUTPUT_FUNCTIONS;
use crate::core::sites::site::{
    Crossing, Function, Gso, Limit, Remedy, Site, Tells, VLAN_HLEN_BYTES, is_bridged,
};
use crate::model::event::NO_REASON;

/// A bridge port, whatever the bridge's own MTU is (`is_skb_forwardable`).
pub static BRIDGE_PORT: Site = Site {
    name: "bridge-port",
    functions: &[Function::any(&["br_dev_queue_push_xmit"])],
    shared: None,
    limit: Limit::Egress,
    slack_bytes: VLAN_HLEN_BYTES,
    gso: Gso::Passes,
    tells: Tells::Nobody,
    reason: NO_REASON,
    expected: |crossing| matches!(crossing, Crossing::BridgePort { netfilter: false }),
    remedy: Remedy::RaiseMtu,
};

/// A bridge port where bridge netfilter sends packets through the IP layer, which asks for a message
/// that then finds no route.
pub static BRIDGE_NETFILTER: Site = Site {
    name: "bridge-netfilter",
    functions: &[Function::ipv4(&["br_nf_dev_queue_xmit"])],
    shared: Some((OUTPUT_FUNCTIONS, is_bridged)),
    slack_bytes: 0,
    expected: |crossing| matches!(crossing, Crossing::BridgePort { netfilter: true }),
    ..BRIDGE_PORT
};
