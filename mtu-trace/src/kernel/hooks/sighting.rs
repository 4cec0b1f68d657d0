//! Packets at boundary devices: those too big to go on, and ICMP errors on their way.

use mtu_trace_common::record::direction;

use super::*;

/// What comes in by devices.
pub const INGRESS: TraceHook = TraceHook {
    name: "tc:ingress",
    attachments: &[
        on(Mechanism::Tcx, "mtu_trace_in", TcAttachType::Ingress),
        on(Mechanism::Clsact, "mtu_trace_in", TcAttachType::Ingress),
    ],
    shows: "oversized packets and ICMP errors that come in by boundary devices",
    lost: "how far an ICMP error came is not seen",
    optional: false,
    record: records!(kind::SIGHTING, decode),
};

/// What leaves by devices.
pub const EGRESS: TraceHook = TraceHook {
    name: "tc:egress",
    attachments: &[
        on(Mechanism::Tcx, "mtu_trace_out", TcAttachType::Egress),
        on(Mechanism::Clsact, "mtu_trace_out", TcAttachType::Egress),
    ],
    shows: "oversized packets and ICMP errors that leave by boundary devices",
    ..INGRESS
};

const fn on(mechanism: Mechanism, program: &'static str, direction: TcAttachType) -> Attachment {
    Attachment {
        mechanism,
        point: AttachPoint::Devices(program, direction),
        misses: None,
    }
}

fn decode(decoder: &Decoder, record: &PacketRecord, topology: &Topology) -> Decoded {
    let what = PacketKind::Seen {
        egress: record.direction == direction::EGRESS,
        limit_bytes: (record.limit != 0).then_some(record.limit),
    };
    decoder.packet(record, what, topology).into()
}
