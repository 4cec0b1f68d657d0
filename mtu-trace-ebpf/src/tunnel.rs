//! A tunnel that turns a packet for which it has no room into a message to its sender
//! (`skb_tunnel_check_pmtu`): the packet is gone, and nothing was freed.

use aya_ebpf::macros::{fexit, kprobe, kretprobe, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{FExitContext, ProbeContext, RetProbeContext};
use mtu_trace_common::map::lru;
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::kind;

use crate::call::{Called as _, traced};
use crate::maps::ICMP_SENT;
use crate::scratch::{self, Owner};
use crate::skb;

/// How many arguments there are in `int skb_tunnel_check_pmtu(struct sk_buff *skb,
/// struct dst_entry *encap_dst, int headroom, bool reply)` (Linux 6.18); the result stands behind
/// them.
const ARGUMENTS: usize = 4;

/// The packet a call on this CPU is about: its return does not tell it. Tunnels send with bottom
/// halves off, so that no other call comes between.
#[map]
static LOOKED_AT: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// `skb_tunnel_check_pmtu` returns more than 0 where it has made the message, which the packet's
/// buffer then holds.
#[fexit]
pub fn tunnel_check_fexit(ctx: FExitContext) -> i32 {
    if let (Some(skb), Some(result)) = (traced(&ctx, 0), traced(&ctx, ARGUMENTS)) {
        let _ignored = returns(skb, result as i32);
    }
    0
}

/// The same by kprobes, of which this one notes the packet.
#[kprobe]
pub fn tunnel_check_kprobe(ctx: ProbeContext) -> u32 {
    if let (Some(slot), Some(skb)) = (LOOKED_AT.get_ptr_mut(0), ctx.argument(0)) {
        // SAFETY: the pointer is to this CPU's own slot, valid while the program runs.
        unsafe { *slot = skb };
    }
    0
}

/// This one has the result.
#[kretprobe]
pub fn tunnel_check_kretprobe(ctx: RetProbeContext) -> u32 {
    if let Some(slot) = LOOKED_AT.get_ptr_mut(0) {
        // SAFETY: as above.
        let skb = unsafe { core::mem::take(&mut *slot) };
        let _ignored = returns(skb, ctx.ret());
    }
    0
}

#[inline(always)]
fn returns(skb: u64, result: i32) -> Option<()> {
    if skb == 0 || result <= 0 {
        return None;
    }
    scratch::with(Owner::Tunnel, |scratch| {
        skb::parse(skb, scratch)?;
        if !scratch.is_too_big_message() {
            return None;
        }
        skb::place(skb, scratch)?;
        if scratch.count((&ICMP_SENT, lru::ICMP_SENT), EventClass::Losses) {
            scratch.send(kind::TUNNEL);
        }
        Some(())
    })
}
