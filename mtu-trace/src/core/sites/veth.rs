//! Devices that hand a packet to another one, without a wire between them.

use crate::core::sites::bridge::BRIDGE_PORT;
use crate::core::sites::site::{Crossing, Function, Limit, Site};
use crate::model::network::LinkKind;

/// The other end of a veth (`is_skb_forwardable`). netkit hands packets over without a test of their
/// length (`netkit_xmit`), and a macvlan hands those for another one to their lower device, which is
/// never smaller (`macvlan_queue_xmit`).
pub static VETH: Site = Site {
    name: "veth",
    functions: &[
        Function::any(&["__dev_forward_skb2", "__dev_forward_skb"]),
        // Where the compiler has put that into its callers.
        Function::any(&["____dev_forward_skb"]),
        Function::any(&["dev_forward_skb"]),
        Function::any(&["veth_xmit"]),
        Function::any(&["veth_forward_skb"]),
    ],
    limit: Limit::Peer,
    expected: |crossing| matches!(crossing, Crossing::HandOver { from } if from.kind == LinkKind::Veth),
    ..BRIDGE_PORT
};
