//! Segments sent again (`tcp:tcp_retransmit_skb`, or the functions that lead to it), and why: a socket's
//! retransmission timer (RFC 6298) or a tail loss probe (RFC 8985, section 7), and whether it then takes
//! all that is outstanding for lost.

use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::RawTracePointContext;
use mtu_trace_common::layout::Member;
use mtu_trace_common::map::{TimerCounts, flag, lru};
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::{RetransmitRecord, kind};

use crate::call::{Called, at_entry};
use crate::kernel::{copy, field};
use crate::maps::{CONNECTIONS, RETRANSMITS, TIMERS};
use crate::{ring, socket};

/// The segment that [`outer`] has told on this CPU and when (ns), which [`inner`] need not tell again.
#[map]
static OUTER: PerCpuArray<(u64, u64)> = PerCpuArray::with_max_entries(1, 0);

/// For how long that is the same call, ns: where the compiler has split the function, nothing takes it
/// back, and another segment has that address later. A choice: one function calls the other at once.
const SAME_CALL_NS: u64 = 1_000_000;

/// Width of the bit field `icsk_ca_state`.
const CA_STATE_MASK: u32 = 0x1f;

/// The tracepoint `tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb, int err)`
/// (Linux 6.18); up to 6.12 without `err`. It fires for every socket of the host, those in containers included.
#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn tcp_retransmit_skb(ctx: RawTracePointContext) -> i32 {
    let _ignored = sent_again(&ctx);
    0
}

at_entry! {
    /// `int tcp_retransmit_skb(struct sock *sk, struct sk_buff *skb, int segs)` (Linux 6.18), before it
    /// is sent.
    (tcp_retransmit_skb_fentry, tcp_retransmit_skb_kprobe) = outer
}

at_entry! {
    /// `int __tcp_retransmit_skb(struct sock *sk, struct sk_buff *skb, int segs)` (Linux 6.18), before
    /// it is sent. Tail loss probes call it themselves, the rest by [`outer`]'s function, unless the
    /// compiler has split it: GCC 12 has that call the part that does the work (Debian's 6.1).
    (tcp_retransmit_inner_fentry, tcp_retransmit_inner_kprobe) = inner
}

#[inline(always)]
fn outer(call: &impl Called) -> Option<()> {
    // SAFETY: the pointer is to this CPU's own slot, valid while the program runs.
    unsafe { *OUTER.get_ptr_mut(0)? = (call.argument(1)?, ring::now()) };
    sent_again(call)
}

#[inline(always)]
fn inner(call: &impl Called) -> Option<()> {
    // SAFETY: as above.
    let (told, at_ns) = unsafe { core::mem::take(&mut *OUTER.get_ptr_mut(0)?) };
    if told == call.argument(1)? && ring::now().saturating_sub(at_ns) < SAME_CALL_NS {
        return None;
    }
    sent_again(call)
}

#[inline(always)]
fn sent_again(call: &impl Called) -> Option<()> {
    let sk = call.argument(0)?;
    let key = socket::key(sk)?;
    // `struct tcp_skb_cb` begins with `seq` and `end_seq` in every kernel.
    let [seq, end_seq]: [u32; 2] = field(call.argument(1)?, Member::SkbCb)?;
    let now = ring::now();
    let counted = ring::add(
        (&RETRANSMITS, lru::RETRANSMITS),
        &key,
        Some(seq),
        now,
        EventClass::Losses,
    );
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
        record.count = counted.count;
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
