//! ipvlan: devices that are the same lower device's.

use crate::core::sites::site::{Function, Limit, Site};
use crate::core::sites::veth::VETH;
use crate::model::event::Packet;
use crate::model::network::{LinkKind, Topology};

/// Another ipvlan of the same device, which has the packet's destination (`ipvlan_rcv_frame`, by
/// `dev_forward_skb`). The buffer tells the one that sends; it has no other end. That one is an end of
/// the connection, which announces a segment size that fits: nothing is expected.
pub static IPVLAN: Site = Site {
    name: "ipvlan",
    functions: &[],
    shared: Some((
        &[
            Function::any(&["__dev_forward_skb2", "__dev_forward_skb"]),
            Function::any(&["____dev_forward_skb"]),
            Function::any(&["dev_forward_skb"]),
            Function::any(&["ipvlan_rcv_frame"]),
        ],
        is_sent_by_one,
    )),
    limit: Limit::Sibling,
    expected: |_| false,
    ..VETH
};

fn is_sent_by_one(packet: &Packet, topology: &Topology) -> bool {
    let device = &packet.device;
    let link = topology.link(device.netns, device.ifindex);
    link.is_some_and(|link| link.kind == LinkKind::Ipvlan)
}
