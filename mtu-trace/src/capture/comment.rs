//! What happened to a packet, in a line: the comment of its block, and what a table of events says.

use crate::{
    core::sites::oversized,
    model::{
        event::{Packet, PacketKind},
        network::Topology,
    },
};

/// What happened: `dropped by ip_forward: 1500 > 1450 (PKT_TOO_BIG)`.
#[must_use]
pub fn describe(packet: &Packet, topology: &Topology) -> String {
    let mut words = match &packet.what {
        PacketKind::Dropped { function, reason } => {
            let mut words = format!("dropped by {function}");
            if let Some(site) = oversized(packet, topology) {
                words.push_str(&format!(": {} > {}", site.packet_bytes, site.limit_bytes));
            }
            if let Some(reason) = reason {
                words.push_str(&format!(" ({reason})"));
            }
            words
        }
        PacketKind::IcmpSent => format!(
            "an ICMP error about this packet of {} bytes is sent",
            packet.length_bytes
        ),
        PacketKind::Seen {
            egress,
            limit_bytes,
        } => {
            let way = if *egress { "leaves by" } else { "comes in by" };
            let device = packet.device.name.as_deref().unwrap_or("?");
            match limit_bytes {
                Some(limit) => format!("{way} {device}: {} > {limit}", packet.length_bytes),
                None => format!("{way} {device}"),
            }
        }
    };
    if let Some(error) = &packet.icmp_error {
        words.push_str(&format!("; it tells of an MTU of {}", error.mtu_bytes));
    }
    if packet.gso {
        words.push_str(&format!(
            "; {} bytes to be cut into packets of {}",
            packet.buffer_bytes, packet.length_bytes
        ));
    }
    if packet.count > 1 {
        words.push_str(&format!("; {} like it so far", packet.count));
    }
    words
}
