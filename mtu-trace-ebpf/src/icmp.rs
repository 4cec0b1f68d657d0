//! ICMP errors this host is about to send (`icmp:icmp_send`, `__icmp_send`, `icmp6_send`).

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use mtu_trace_common::map::lru;
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::kind;

use crate::call::{Called, at_entry};
use crate::maps::ICMP_SENT;
use crate::scratch::{self, Owner};
use crate::skb;

/// ICMP destination unreachable (RFC 792).
const DEST_UNREACH: u32 = 3;
/// Its code for fragmentation needed (RFC 1191).
const FRAG_NEEDED: u32 = 4;
/// ICMPv6 packet too big (RFC 4443, section 3.2).
const PACKET_TOO_BIG: u8 = 2;

/// The tracepoint `icmp_send(const struct sk_buff *skb, int type, int code)` (Linux 6.18); the packet
/// is the offending one.
///
/// It fires behind the rate limit and before netfilter, so it does not prove that the message left.
#[raw_tracepoint(tracepoint = "icmp_send")]
pub fn icmp_send(ctx: RawTracePointContext) -> i32 {
    let _ignored = sends_icmp(&ctx);
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
    let (icmp_type, icmp_code) = (call.argument(1)? as u32, call.argument(2)? as u32);
    if icmp_type != DEST_UNREACH || icmp_code != FRAG_NEEDED {
        return None;
    }
    record(call.argument(0)?, Owner::Icmp)
}

#[inline(always)]
fn sends_icmp6(call: &impl Called) -> Option<()> {
    // Of an argument of a byte, only that one is told.
    if call.argument(1)? as u8 != PACKET_TOO_BIG {
        return None;
    }
    record(call.argument(0)?, Owner::Icmp6)
}

#[inline(always)]
fn record(skb: u64, owner: Owner) -> Option<()> {
    scratch::with(owner, |scratch| {
        skb::parse(skb, scratch)?;
        skb::place(skb, scratch)?;
        if scratch.count((&ICMP_SENT, lru::ICMP_SENT), EventClass::Losses) {
            scratch.send(kind::ICMP_SENT);
        }
        Some(())
    })
}
