//! Packets freed on their way (`skb:kfree_skb`).

use aya_ebpf::{EbpfContext as _, macros::raw_tracepoint, programs::RawTracePointContext};
use aya_log_ebpf::debug;
use mtu_trace_common::{layout::extra, record::kind};

use crate::{
    aggregate::Pace,
    kernel::{device_netns_key, entry, read},
    maps::DROPS,
    scratch::{self, Owner, Scratch},
    skb::{self, IPPROTO_TCP},
};

const TCP_SYN: u8 = 0x02;

/// `kfree_skb(struct sk_buff *skb, void *location)` up to 5.16, then with
/// `enum skb_drop_reason reason`, from 6.11 also `struct sock *rx_sk`.
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn kfree_skb(ctx: RawTracePointContext) -> i32 {
    scratch::with(Owner::Drop, |scratch| record(&ctx, scratch));
    0
}

#[inline(always)]
fn record(ctx: &RawTracePointContext, scratch: &mut Scratch) -> Option<()> {
    let skb: u64 = ctx.arg(0);
    let location: u64 = ctx.arg(1);
    skb::parse(skb, scratch)?;
    skb::place(skb, scratch)?;
    if !is_of_interest(scratch) {
        return None;
    }
    scratch.record.key.site = location;
    scratch.record.key.flow.netns = device_netns_key(&scratch.record.device);
    if !scratch.count(&DROPS, Pace::Losses) {
        return None;
    }
    // The argument's position differs between kernels and a context may only be read at constant
    // offsets: read it as memory instead.
    scratch.record.reason = entry(extra::KFREE_SKB_REASON_ARG)
        .and_then(|index| read::<u32>(ctx.as_ptr() as u64 + index * 8))
        .unwrap_or(0);
    scratch.send(kind::DROP);
    debug!(ctx, "drop at {:x}", location);
    Some(())
}

/// Whether a freed packet can matter to a stalled connection.
///
/// Ordinary traffic frees packets too: the last FIN in `tcp_v4_rcv`, segments for closed sockets,
/// multicast nobody listens to. What carries neither data nor a SYN cannot stall a connection.
#[inline(always)]
fn is_of_interest(scratch: &Scratch) -> bool {
    if scratch.is_too_big_message() {
        return true;
    }
    let record = &scratch.record;
    let wire = scratch.wire_len();
    let above = |limit: u32| limit != 0 && wire > limit;
    if above(record.device.mtu)
        || above(record.route.mtu)
        || above(record.route_mtu)
        || above(record.peer.mtu)
    {
        return true;
    }
    record.key.flow.protocol == IPPROTO_TCP
        && (scratch.payload_len() > 0 || scratch.tcp_flags & TCP_SYN != 0)
}
