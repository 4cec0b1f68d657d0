//! ICMP errors this host is about to send (`icmp:icmp_send`).

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use mtu_trace_common::record::kind;

use crate::{
    aggregate::Pace,
    kernel::device_netns_key,
    maps::ICMP_SENT,
    scratch::{self, Owner, Scratch},
    skb,
};

/// Destination unreachable, fragmentation needed (RFC 792, RFC 1191).
const DEST_UNREACH: u32 = 3;
const FRAG_NEEDED: u32 = 4;

/// `icmp_send(const struct sk_buff *skb, int type, int code)`; the packet is the offending one.
///
/// It fires behind the rate limit and before netfilter, so it does not prove that the message left.
#[raw_tracepoint(tracepoint = "icmp_send")]
pub fn icmp_send(ctx: RawTracePointContext) -> i32 {
    scratch::with(Owner::Icmp, |scratch| record(&ctx, scratch));
    0
}

#[inline(always)]
fn record(ctx: &RawTracePointContext, scratch: &mut Scratch) -> Option<()> {
    let skb: u64 = ctx.arg(0);
    let icmp_type: u32 = ctx.arg(1);
    let icmp_code: u32 = ctx.arg(2);
    if icmp_type != DEST_UNREACH || icmp_code != FRAG_NEEDED {
        return None;
    }
    skb::parse(skb, scratch)?;
    skb::place(skb, scratch)?;
    scratch.record.key.flow.netns = device_netns_key(&scratch.record.device);
    if !scratch.count(&ICMP_SENT, Pace::Losses) {
        return None;
    }
    scratch.record.icmp_type = icmp_type;
    scratch.record.icmp_code = icmp_code;
    scratch.send(kind::ICMP_SENT);
    Some(())
}
