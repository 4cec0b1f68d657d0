//! Open vSwitch: the ports of a datapath.

use crate::core::sites::bridge::BRIDGE_PORT;
use crate::core::sites::site::{Function, Limit, Site};
use crate::model::event::{NO_REASON, Packet, PacketKind, TOO_BIG};
use crate::model::network::{Link, LinkKind, Topology};

/// A port of an Open vSwitch datapath (`ovs_vport_send`, which frees as its last act and so is seen as
/// its caller; `do_output` after fragments were put together): the port's own MTU, without room for a
/// tag. The buffer tells the port that the packet came in by. Flows are not read, so nothing is
/// expected.
pub static DATAPATH_PORT: Site = Site {
    name: "datapath-port",
    functions: &[],
    shared: Some((
        &[
            Function::any(&["do_execute_actions"]),
            Function::any(&["do_output"]),
            Function::any(&["ovs_vport_send"]),
        ],
        is_at_port,
    )),
    limit: Limit::OtherPort,
    slack_bytes: 0,
    expected: |_| false,
    ..BRIDGE_PORT
};

/// Whether a packet came in by a datapath, and the kernel gives no reason but the length: what a flow
/// drops has one of its own (`enum ovs_drop_reason`), and before there were such reasons it was no drop.
fn is_at_port(packet: &Packet, topology: &Topology) -> bool {
    let PacketKind::Dropped { reason, .. } = &packet.what else {
        return false;
    };
    let reason = reason.as_deref();
    let is_unexplained = reason.is_none_or(|reason| reason == NO_REASON || reason == TOO_BIG);
    let device = &packet.device;
    let link = |ifindex| topology.link(device.netns, ifindex);
    let is_datapath = |link: &Link| link.kind == LinkKind::OpenVswitch;
    is_unexplained
        && link(device.ifindex).is_some_and(|port| {
            let master = port.master.and_then(link);
            is_datapath(port) || master.is_some_and(is_datapath)
        })
}
