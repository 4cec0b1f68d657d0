//! Segments sent again, or not (`tcp:tcp_retransmit_skb`, or the functions that lead to it), and why: a socket's
//! retransmission timer (RFC 6298) or a tail loss probe (RFC 8985, section 7), and whether it then takes
//! all that is outstanding for lost.

use aya_ebpf::macros::{fexit, kprobe, kretprobe, map, raw_tracepoint};
use aya_ebpf::maps::{LruHashMap, PerCpuArray};
use aya_ebpf::programs::{FExitContext, ProbeContext, RawTracePointContext, RetProbeContext};
use mtu_trace_common::layout::Member;
use mtu_trace_common::map::{Aggregate, FlowKey, TimerCounts, flag, lru};
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::{RetransmitRecord, kind};

use crate::call::{Called, at_entry, traced};
use crate::kernel::{copy, field};
use crate::maps::{CONNECTIONS, RETRANSMITS, TIMERS, UNSENT};
use crate::{ring, socket};

/// The segment that [`inner`] has told of on this CPU and when (ns), which [`outer`] need not tell again.
#[map]
static TOLD: PerCpuArray<(u64, u64)> = PerCpuArray::with_max_entries(1, 0);

/// What a call on this CPU was given, which its return does not tell: that of the outer function, then
/// that of the inner one. A task that is interrupted between the two may take another's for its own, which
/// costs one count.
#[map]
static CALLS: PerCpuArray<(u64, u64)> = PerCpuArray::with_max_entries(2, 0);
const OUTER: u32 = 0;
const INNER: u32 = 1;

/// For how long that is the same call, ns: where the compiler has split the function, nothing takes it
/// back, and another segment has that address later. A choice: one function returns to the other at once.
const SAME_CALL_NS: u64 = 1_000_000;

/// How many arguments either function has; the result stands behind them.
const ARGUMENTS: usize = 3;

const EBUSY: i32 = 16;

/// Width of the bit field `icsk_ca_state`.
const CA_STATE_MASK: u32 = 0x1f;

/// The tracepoint `tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb, int err)`
/// (Linux 6.18), which also fires where the segment could not be sent. It is for every socket of the host,
/// those in containers included. Where it has no `err`, the kernel refuses to attach this.
#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn tcp_retransmit_result(ctx: RawTracePointContext) -> i32 {
    let error: u64 = ctx.arg(2);
    let _ignored = tried(ctx.arg(0), ctx.arg(1), error as i32);
    0
}

/// The same up to 6.12, `tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb)`, which
/// fires for what was sent only.
#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn tcp_retransmit_skb(ctx: RawTracePointContext) -> i32 {
    let _ignored = tried(ctx.arg(0), ctx.arg(1), 0);
    0
}

/// `int tcp_retransmit_skb(struct sock *sk, struct sk_buff *skb, int segs)` (Linux 6.18), at its return.
#[fexit]
pub fn tcp_retransmit_skb_fexit(ctx: FExitContext) -> i32 {
    let _ignored = traced_call(&ctx, outer);
    0
}

/// `int __tcp_retransmit_skb(struct sock *sk, struct sk_buff *skb, int segs)` (Linux 6.18). Tail loss
/// probes call it themselves, the rest by [`outer`]'s function, unless the compiler has split it: GCC 12
/// has that call the part that does the work (Debian's 6.1).
#[fexit]
pub fn tcp_retransmit_inner_fexit(ctx: FExitContext) -> i32 {
    let _ignored = traced_call(&ctx, inner);
    0
}

#[inline(always)]
fn traced_call(
    ctx: &FExitContext,
    returned: impl FnOnce(u64, u64, i32) -> Option<()>,
) -> Option<()> {
    let error = traced(ctx, ARGUMENTS)? as i32;
    returned(traced(ctx, 0)?, traced(ctx, 1)?, error)
}

/// The same by kprobes, which note the call.
#[kprobe]
pub fn tcp_retransmit_skb_kprobe(ctx: ProbeContext) -> u32 {
    let _ignored = note(&ctx, OUTER);
    0
}

/// This one notes the call of the inner function.
#[kprobe]
pub fn tcp_retransmit_inner_kprobe(ctx: ProbeContext) -> u32 {
    let _ignored = note(&ctx, INNER);
    0
}

/// The return has the result.
#[kretprobe]
pub fn tcp_retransmit_skb_kretprobe(ctx: RetProbeContext) -> u32 {
    let _ignored = noted(OUTER).and_then(|(sk, skb)| outer(sk, skb, ctx.ret()));
    0
}

/// This one has the result of the inner function.
#[kretprobe]
pub fn tcp_retransmit_inner_kretprobe(ctx: RetProbeContext) -> u32 {
    let _ignored = noted(INNER).and_then(|(sk, skb)| inner(sk, skb, ctx.ret()));
    0
}

#[inline(always)]
fn note(call: &impl Called, which: u32) -> Option<()> {
    let noted = (call.argument(0)?, call.argument(1)?);
    // SAFETY: the pointer is to this CPU's own slot, valid while the program runs.
    unsafe { *CALLS.get_ptr_mut(which)? = noted };
    Some(())
}

#[inline(always)]
fn noted(which: u32) -> Option<(u64, u64)> {
    // SAFETY: as above.
    let noted = unsafe { core::mem::take(&mut *CALLS.get_ptr_mut(which)?) };
    if noted.0 == 0 { None } else { Some(noted) }
}

#[inline(always)]
fn inner(sk: u64, skb: u64, error: i32) -> Option<()> {
    // SAFETY: as above.
    unsafe { *TOLD.get_ptr_mut(0)? = (skb, ring::now()) };
    tried(sk, skb, error)
}

#[inline(always)]
fn outer(sk: u64, skb: u64, error: i32) -> Option<()> {
    // SAFETY: as above.
    let (told, at_ns) = unsafe { core::mem::take(&mut *TOLD.get_ptr_mut(0)?) };
    if told == skb && ring::now().saturating_sub(at_ns) < SAME_CALL_NS {
        return None;
    }
    tried(sk, skb, error)
}

/// Takes in that a segment was to be sent again: `error` is a negative errno where it was not. It was where
/// a queue or a device on its way dropped it (`NET_XMIT_DROP`, positive): that is a drop at a place.
#[inline(always)]
fn tried(sk: u64, skb: u64, error: i32) -> Option<()> {
    // What was sent before still waits in a queue of this host. The kernel counts that as no failure either
    // (`TCPRetransFail`).
    if error == -EBUSY {
        return None;
    }
    let error = error.min(0);
    let key = socket::key(sk)?;
    // `struct tcp_skb_cb` begins with `seq` and `end_seq` in every kernel.
    let [seq, end_seq]: [u32; 2] = field(skb, Member::SkbCb)?;
    let now = ring::now();
    let count = |map| ring::add(map, &key, Some(seq), now, EventClass::Losses);
    let (counted, sent, unsent);
    if error == 0 {
        counted = count((&RETRANSMITS, lru::RETRANSMITS));
        (sent, unsent) = (counted.count, so_far(&UNSENT, &key));
    } else {
        counted = count((&UNSENT, lru::UNSENT));
        (sent, unsent) = (so_far(&RETRANSMITS, &key), counted.count);
    }
    let (mut iss, mut irs, mut flags) = (0, 0, 0);
    if let Some(connection) = CONNECTIONS.get_ptr_mut(&key) {
        // SAFETY: the map's value stays valid while the program runs.
        let connection = unsafe { &mut *connection };
        connection.flags |= flag::RETRANSMITTED;
        (iss, irs, flags) = (connection.iss, connection.irs, connection.flags);
    }
    if !counted.emit {
        return None;
    }
    ring::send(kind::RETRANSMIT, now, |record: &mut RetransmitRecord| {
        record.key = key;
        record.count = sent;
        record.unsent = unsent;
        record.error = error;
        record.reserved = 0;
        record.seq = seq;
        record.end_seq = end_seq;
        record.iss = iss;
        record.irs = irs;
        record.flags = flags;
        // SAFETY: the value is read once and copied.
        record.timers = match unsafe { TIMERS.get(&key) } {
            Some(timers) => *timers,
            None => TimerCounts::default(),
        };
        record.state = byte(sk, Member::SockState);
        record.ca_state = byte(sk, Member::IcskCaState) & CA_STATE_MASK;
        record.retransmits = byte(sk, Member::IcskRetransmits);
        record.backoff = byte(sk, Member::IcskBackoff);
        copy(&mut record.bytes_acked, sk, Member::TcpBytesAcked);
        copy(&mut record.snd_una, sk, Member::TcpSndUna);
        copy(&mut record.mss_cache, sk, Member::TcpMssCache);
        copy(&mut record.pmtu, sk, Member::IcskPmtuCookie);
        copy(&mut record.packets_out, sk, Member::TcpPacketsOut);
        copy(&mut record.sacked_out, sk, Member::TcpSackedOut);
    });
    Some(())
}

/// How many of a socket's a map has counted.
#[inline(always)]
fn so_far(map: &LruHashMap<FlowKey, Aggregate>, key: &FlowKey) -> u64 {
    // SAFETY: the value is read once.
    unsafe { map.get(key) }.map_or(0, |known| known.count)
}

/// A one-byte member, 0 where it cannot be read.
#[inline(always)]
fn byte(sk: u64, member: Member) -> u32 {
    field::<u8>(sk, member).unwrap_or(0).into()
}

at_entry! {
    /// `void tcp_retransmit_timer(struct sock *sk)` (Linux 6.18).
    (tcp_retransmit_timer_fentry, tcp_retransmit_timer_kprobe) =
        |call| count(call, |timers| timers.timeouts += 1)
}

at_entry! {
    /// `void tcp_send_loss_probe(struct sock *sk)` (Linux 6.18).
    (tcp_send_loss_probe_fentry, tcp_send_loss_probe_kprobe) =
        |call| count(call, |timers| timers.probes += 1)
}

at_entry! {
    /// `void tcp_enter_loss(struct sock *sk)` (Linux 6.18).
    (tcp_enter_loss_fentry, tcp_enter_loss_kprobe) =
        |call| count(call, |timers| timers.losses += 1)
}

/// Counts for the socket that is the first argument. It is locked meanwhile: nobody else counts for
/// it.
#[inline(always)]
fn count(call: &impl Called, add: impl FnOnce(&mut TimerCounts)) -> Option<()> {
    let key = socket::key(call.argument(0)?)?;
    if let Some(known) = TIMERS.get_ptr_mut(&key) {
        // SAFETY: the map's value stays valid while the program runs.
        add(unsafe { &mut *known });
        return Some(());
    }
    let mut first = TimerCounts::default();
    add(&mut first);
    ring::put(&TIMERS, lru::TIMERS, &key, &first);
    Some(())
}
