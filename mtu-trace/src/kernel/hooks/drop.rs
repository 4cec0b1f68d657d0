//! Packets freed before they arrived.

use mtu_trace_common::record::{PacketRecord, kind};

use crate::kernel::decode::{DecodeError, Decoded, Decoder, ToldCount, whole};
use crate::kernel::hooks::{RecordFormat, TraceHook, kprobe, tracepoint};
use crate::model::event::{Name, PacketKind, hook};
use crate::model::network::Topology;

/// `skb:kfree_skb`, or the function that has it.
pub const DROPS: TraceHook = TraceHook {
    name: hook::DROPS,
    attachments: &[
        tracepoint(&["kfree_skb"], "kfree_skb"),
        kprobe(&["sk_skb_reason_drop_kprobe"], "sk_skb_reason_drop"),
        kprobe(&["kfree_skb_reason_kprobe"], "kfree_skb_reason"),
        kprobe(&["kfree_skb_kprobe"], "kfree_skb"),
    ],
    shows: "packets dropped, where and why; ICMP errors that are filtered",
    lost: "no drop is seen: black holes are known from ICMP and passing packets, never confirmed",
    optional: false,
    record: Some(RecordFormat {
        kind: kind::DROP,
        decode,
    }),
};

fn decode(
    decoder: &mut Decoder,
    bytes: &[u8],
    topology: &Topology,
) -> Result<Decoded, DecodeError> {
    let record: &PacketRecord = whole(kind::DROP, bytes)?;
    let what = PacketKind::Dropped {
        function: decoder.function(record.key.site).into(),
        reason: decoder.drop_reason(record.reason).map(Name::from),
    };
    Ok(Decoded {
        count: Some(ToldCount::Drop(record.key, record.count)),
        ..decoder.packet(record, what, topology).into()
    })
}
