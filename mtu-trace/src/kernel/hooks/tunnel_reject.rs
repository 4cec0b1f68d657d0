//! Packets that a bridged tunnel has no room for: it turns each into a message to its sender, and from
//! that message the packet is read.

use super::*;
use crate::kernel::headers;
use crate::model::event::{Packet, Tcp};

/// `skb_tunnel_check_pmtu`, at its return.
pub const TUNNEL: TraceHook = TraceHook {
    name: hook::TUNNEL,
    attachments: &[
        at(Mechanism::Fexit, &[("tunnel_check_fexit", hook::TUNNEL)]),
        at(
            Mechanism::Kretprobe,
            &[
                ("tunnel_check_kprobe", hook::TUNNEL),
                ("tunnel_check_kretprobe", hook::TUNNEL),
            ],
        ),
    ],
    shows: "packets that a bridged tunnel has no room for and turns into messages to their senders",
    lost: "such packets are known from the message alone, if that is seen",
    optional: true,
    record: records!(kind::TUNNEL, decode),
};

fn decode(decoder: &Decoder, record: &PacketRecord, topology: &Topology) -> Decoded {
    let what = PacketKind::Seen {
        egress: false,
        limit_bytes: None,
    };
    let message = decoder.packet(record, what, topology);
    rejected(message, record.gso_size).into()
}

/// The packet that is gone, dropped where `message` was made of it; the limit is the MTU that this
/// tells, as that of the route. A message that quotes nothing readable stays what it is.
/// `gso_size` is the payload of each segment, 0 for one packet.
fn rejected(message: Packet, gso_size: u32) -> Packet {
    let Some(error) = message.icmp_error else {
        return message;
    };
    let head = headers::behind(&message.head);
    let (Some(quoted), Some(whole_bytes)) = (error.quoted, headers::told_length(head)) else {
        return message;
    };
    let parsed = headers::parse(message.flow.netns, head);
    let headers_bytes = u32::try_from(parsed.length).unwrap_or(0);
    let gso = gso_size > 0;
    let payload_bytes = whole_bytes.saturating_sub(headers_bytes);
    Packet {
        what: PacketKind::Dropped {
            function: hook::TUNNEL.into(),
            reason: None,
        },
        flow: quoted.flow,
        route: None,
        peer: None,
        route_input: None,
        route_mtu_bytes: Some(error.mtu_bytes).filter(|&mtu| mtu > 0),
        length_bytes: if gso {
            gso_size.saturating_add(headers_bytes)
        } else {
            whole_bytes
        },
        buffer_bytes: whole_bytes,
        gso,
        tcp: parsed.tcp.map(|tcp| Tcp {
            payload_bytes,
            ..tcp
        }),
        icmp_error: None,
        inner: parsed.inner,
        head: head.get(..parsed.length).unwrap_or(head).to_vec(),
        ..message
    }
}
