//! ICMP errors this host is about to send (`icmp:icmp_send`, `__icmp_send`, `icmp6_send`).

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::kind;

use crate::call::{Called, at_entry};
use crate::kernel::device_netns_key;
use crate::maps::ICMP_SENT;
use crate::scratch::{self, Owner, Scratch};
use crate::skb;

/// ICMP destination unreachable (RFC 792).
const DEST_UNREACH: u32 = 3;
/// Its code for fragmentation needed (RFC 1191).
const FRAG_NEEDED: u32 = 4;
/// ICMPv6 packet too big (RFC 4443, section 3.2).
const PACKET_TOO_BIG: u32 = 2;

/// The tracepoint `icmp_send(const struct sk_buff *skb, int type, int code)` (Linux 6.18); the packet
/// is the offending one.
///
/// It fires behind the rate limit and before netfilter, so it does not prove that the message left.
#[raw_tracepoint(tracepoint = "icmp_send")]
pub fn icmp_send(ctx: RawTracePointContext) -> i32 {
    let _ignored = frag_needed(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

at_entry! {
    /// `void __icmp_send(struct sk_buff *skb_in, int type, int code, __be32 info,
    /// const struct inet_skb_parm *parm)` (Linux 6.18), before the rate limit.
    (icmp_send_fentry, icmp_send_kprobe) = sends_icmp
}

at_entry! {
    /// `void icmp6_send(struct sk_buff *skb, u8 type, u8 code, __u32 info,
    /// const struct in6_addr *force_saddr, const struct inet6_skb_parm *parm)` (Linux 6.18), before
    /// the rate limit.
    (icmp6_send_fentry, icmp6_send_kprobe) = sends_icmp6
}

#[inline(always)]
fn sends_icmp(call: &impl Called) -> Option<()> {
    let [skb, icmp_type, icmp_code] = [call.argument(0)?, call.argument(1)?, call.argument(2)?];
    frag_needed(skb, icmp_type as u32, icmp_code as u32)
}

#[inline(always)]
fn sends_icmp6(call: &impl Called) -> Option<()> {
    let [skb, icmp_type] = [call.argument(0)?, call.argument(1)?];
    // Of an argument of a byte, only that one is told.
    if icmp_type as u8 as u32 != PACKET_TOO_BIG {
        return None;
    }
    scratch::with(Owner::Icmp6, |scratch| {
        record(skb, PACKET_TOO_BIG, 0, scratch)
    });
    Some(())
}

#[inline(always)]
fn frag_needed(skb: u64, icmp_type: u32, icmp_code: u32) -> Option<()> {
    if icmp_type != DEST_UNREACH || icmp_code != FRAG_NEEDED {
        return None;
    }
    scratch::with(Owner::Icmp, |scratch| {
        record(skb, icmp_type, icmp_code, scratch)
    });
    Some(())
}

#[inline(always)]
fn record(skb: u64, icmp_type: u32, icmp_code: u32, scratch: &mut Scratch) -> Option<()> {
    skb::parse(skb, scratch)?;
    skb::place(skb, scratch)?;
    scratch.record.key.flow.netns = device_netns_key(&scratch.record.device);
    if !scratch.count(&ICMP_SENT, EventClass::Losses) {
        return None;
    }
    scratch.record.icmp_type = icmp_type;
    scratch.record.icmp_code = icmp_code;
    scratch.send(kind::ICMP_SENT);
    Some(())
}
