//! Packets freed before they arrived.

use super::*;

/// `skb:kfree_skb`, or the function that has it.
pub const DROPS: TraceHook = TraceHook {
    name: hook::DROPS,
    attachments: &[
        at(Mechanism::RawTracepoint, &[("kfree_skb", "kfree_skb")]),
        at(
            Mechanism::Kprobe,
            &[("sk_skb_reason_drop_kprobe", "sk_skb_reason_drop")],
        ),
        at(
            Mechanism::Kprobe,
            &[("kfree_skb_reason_kprobe", "kfree_skb_reason")],
        ),
        at(Mechanism::Kprobe, &[("kfree_skb_kprobe", "kfree_skb")]),
    ],
    shows: "packets dropped, where and why; ICMP errors that are filtered",
    lost: "no drop is seen: black holes are known from ICMP and passing packets, never confirmed",
    optional: false,
    record: records!(kind::DROP, decode),
};

fn decode(decoder: &Decoder, record: &PacketRecord, topology: &Topology) -> Decoded {
    let what = PacketKind::Dropped {
        function: decoder.function(record.key.site),
        reason: decoder.types.drop_reason(record.reason).map(Into::into),
    };
    Decoded {
        count: Some(ToldCount::Drop(record.key, record.count)),
        ..decoder.packet(record, what, topology).into()
    }
}
