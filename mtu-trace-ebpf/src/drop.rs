//! Packets freed on their way (`skb:kfree_skb`, or the function it is in).

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_stack;
use aya_ebpf::macros::{kprobe, raw_tracepoint};
use aya_ebpf::programs::{ProbeContext, RawTracePointContext};
use aya_log_ebpf::debug;
use mtu_trace_common::layout::{Member, extra};
use mtu_trace_common::map::{DeviceKey, lru};
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::kind;

use crate::call::{Called as _, caller};
use crate::kernel::{entry, field, read};
use crate::maps::{DEVICES, DROPS};
use crate::scratch::{self, Owner, Scratch};
use crate::skb::{self, IPPROTO_TCP};

/// The SYN flag of a TCP header (RFC 9293, section 3.1).
const TCP_SYN: u8 = 0x02;

/// The tracepoint `kfree_skb(struct sk_buff *skb, void *location, enum skb_drop_reason reason,
/// struct sock *rx_sk)` (Linux 6.18); before 6.11 without `rx_sk`, before 5.17 without `reason`.
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn kfree_skb(ctx: RawTracePointContext) -> i32 {
    // The argument's position differs between kernels and a context may only be read at constant
    // offsets: read it as memory instead.
    let reason = || {
        entry(extra::KFREE_SKB_REASON_ARG)
            .and_then(|index| read::<u32>(ctx.as_ptr() as u64 + index * 8))
            .unwrap_or(0)
    };
    let _ignored = freed(&ctx, ctx.arg(0), ctx.arg(1), reason);
    0
}

/// `void kfree_skb(struct sk_buff *skb)` (Linux 5.10); a wrapper from 5.17 on.
#[kprobe]
pub fn kfree_skb_kprobe(ctx: ProbeContext) -> u32 {
    let _ignored = called(&ctx, 0, None);
    0
}

/// `void kfree_skb_reason(struct sk_buff *skb, enum skb_drop_reason reason)` (Linux 6.1); a wrapper
/// from 6.11 on.
#[kprobe]
pub fn kfree_skb_reason_kprobe(ctx: ProbeContext) -> u32 {
    let _ignored = called(&ctx, 0, Some(1));
    0
}

/// `void sk_skb_reason_drop(struct sock *sk, struct sk_buff *skb, enum skb_drop_reason reason)`
/// (Linux 6.18).
#[kprobe]
pub fn sk_skb_reason_drop_kprobe(ctx: ProbeContext) -> u32 {
    let _ignored = called(&ctx, 1, Some(2));
    0
}

/// A call of the function that frees a packet, by the positions of its arguments.
#[inline(always)]
fn called(ctx: &ProbeContext, skb: usize, reason: Option<usize>) -> Option<()> {
    let skb = ctx.argument(skb)?;
    // It frees what nobody else holds; `users` is a `refcount_t`.
    if skb == 0 || field::<u32>(skb, Member::SkbUsers)? > 1 {
        return None;
    }
    let reason = reason.and_then(|at| ctx.argument(at)).unwrap_or(0) as u32;
    // What has been sent is freed there, too (`dev_consume_skb_any`).
    if entry(extra::CONSUMED) == Some(u64::from(reason)) {
        return None;
    }
    freed(ctx, skb, caller(ctx)?, || reason)
}

#[inline(always)]
fn freed(
    ctx: &impl EbpfContext,
    skb: u64,
    location: u64,
    reason: impl FnOnce() -> u32,
) -> Option<()> {
    scratch::with(Owner::Drop, |scratch| {
        skb::parse(skb, scratch)?;
        skb::place(skb, scratch)?;
        scratch.record.key.site = location;
        if is_of_interest(scratch) && scratch.count((&DROPS, lru::DROPS), EventClass::Losses) {
            scratch.record.reason = reason();
            scratch.record.conntrack = skb::conntrack(skb).unwrap_or(0);
            calls(ctx, scratch);
            scratch.send(kind::DROP);
            debug!(ctx, "drop at {:x}", location);
        }
        Some(())
    })
}

/// Notes in which functions this happens; where the kernel cannot tell, there are none.
#[inline(always)]
fn calls(ctx: &impl EbpfContext, scratch: &mut Scratch) {
    let stack = &mut scratch.record.stack;
    let bytes = size_of_val(stack) as u32;
    // SAFETY: the helper writes at most so many bytes, which are the record's own.
    let _unknown = unsafe { bpf_get_stack(ctx.as_ptr(), stack.as_mut_ptr().cast(), bytes, 0) };
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
    let key = DeviceKey {
        netns_inode: record.device.netns_inode,
        ifindex: record.device.ifindex,
    };
    // SAFETY: the value is read at once; user space replaces it as a whole.
    let onward = unsafe { DEVICES.get(&key) };
    // What lies ahead of a device that the buffer still has, as in a switch.
    onward.is_some_and(|limits| above(limits.ingress_bytes) || above(limits.egress_bytes))
        || above(record.device.mtu)
        || above(record.route.mtu)
        || above(record.route_mtu)
        || above(record.peer.mtu)
        || record.key.flow.protocol == IPPROTO_TCP
            && (record.l3_len > record.headers_len || scratch.tcp_flags & TCP_SYN != 0)
}
