//! The life of TCP sockets (`sock:inet_sock_set_state`, or `tcp_set_state` that leads to it), and how a
//! `struct sock` is read.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use mtu_trace_common::layout::Member;
use mtu_trace_common::map::{ConnectionEntry, FlowKey, SocketEnd, flag, lru};
use mtu_trace_common::record::{ClosedRecord, kind};

use crate::call::{Called, at_entry};
use crate::kernel::{field, netns_key, offset, read};
use crate::maps::{CONNECTIONS, ENDED, PATH_MTUS, RETRANSMITS, TIMERS, UNSENT, WATCHED};
use crate::ring;
use crate::skb::IPPROTO_TCP;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const TCP_ESTABLISHED: u32 = 1;
const TCP_SYN_SENT: u32 = 2;
const TCP_CLOSE: u32 = 7;
/// `::ffff:0:0/96`, an IPv4 address on an IPv6 socket (RFC 4291, section 2.5.5.2).
const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The tracepoint `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
/// (Linux 6.18).
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    let _ignored = changes(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

at_entry! {
    /// `void tcp_set_state(struct sock *sk, int state)` (Linux 6.18), before it is set.
    (tcp_set_state_fentry, tcp_set_state_kprobe) = called
}

#[inline(always)]
fn called(call: &impl Called) -> Option<()> {
    let [sk, new_state] = [call.argument(0)?, call.argument(1)?];
    let old_state: u8 = field(sk, Member::SockState)?;
    changes(sk, u32::from(old_state), new_state as u32)
}

#[inline(always)]
fn changes(sk: u64, old_state: u32, new_state: u32) -> Option<()> {
    match new_state {
        TCP_ESTABLISHED => established(sk, old_state),
        TCP_CLOSE => closed(sk, old_state),
        _ => None,
    }
}

/// Keeps the initial sequence numbers, which survive every NAT on the path.
///
/// `snd_una` and `rcv_nxt` have both moved past the SYN by now: in `tcp_rcv_synsent_state_process`
/// for the side that opened, in `tcp_create_openreq_child` for the other. With TCP Fast Open they
/// are past the first data too (RFC 7413). The side that opened counts its SYN as acknowledged.
#[inline(always)]
fn established(sk: u64, old_state: u32) -> Option<()> {
    let acked = field::<u64>(sk, Member::TcpBytesAcked).unwrap_or(0) as u32;
    let received = field::<u64>(sk, Member::TcpBytesReceived).unwrap_or(0) as u32;
    let (flags, sent) = if old_state == TCP_SYN_SENT {
        (flag::KNOWN | flag::ACTIVE, acked.max(1))
    } else {
        (flag::KNOWN, acked + 1)
    };
    let connection = ConnectionEntry {
        opened_ns: ring::now(),
        iss: field::<u32>(sk, Member::TcpSndUna)?.wrapping_sub(sent),
        irs: field::<u32>(sk, Member::TcpRcvNxt)?
            .wrapping_sub(1)
            .wrapping_sub(received),
        flags,
        ..ConnectionEntry::default()
    };
    let key = key(sk)?;
    ring::put(&CONNECTIONS, lru::CONNECTIONS, &key, &connection);
    // It had the same addresses.
    ring::take_out(&ENDED, lru::ENDED, &key);
    Some(())
}

#[inline(always)]
fn closed(sk: u64, old_state: u32) -> Option<()> {
    let key = key(sk)?;
    let now = ring::now();
    let member = |member| field::<u32>(sk, member).unwrap_or(0);
    let total = |member| field::<u64>(sk, member).unwrap_or(0);
    let end = SocketEnd {
        bytes_acked: total(Member::TcpBytesAcked),
        bytes_received: total(Member::TcpBytesReceived),
        last_state: old_state,
        error: member(Member::SockErr),
        unacknowledged: member(Member::TcpSndNxt).wrapping_sub(member(Member::TcpSndUna)),
        reserved: 0,
    };
    // Values, not pointers: the compiler would fold tests of pointers into arithmetic on them, which
    // the verifier refuses.
    // SAFETY: the values are read once.
    let mut watched = unsafe { WATCHED.get(&key) }.map_or(0, |&value| u64::from(value));
    if let Some(connection) = CONNECTIONS.get_ptr(&key) {
        // SAFETY: the map's value stays valid while the program runs; only this socket's CPU
        // writes there.
        let mut ended = unsafe { *connection };
        ended.closed_ns = now;
        ended.end = end;
        watched |= u64::from(ended.flags & flag::RETRANSMITTED);
        ring::put(&ENDED, lru::ENDED, &key, &ended);
        ring::take_out(&CONNECTIONS, lru::CONNECTIONS, &key);
    }
    // SAFETY: as above.
    watched |= unsafe { RETRANSMITS.get(&key) }.map_or(0, |value| value.count);
    // SAFETY: as above.
    watched |= unsafe { UNSENT.get(&key) }.map_or(0, |value| value.count);
    // The next connection of the same tuple is counted afresh.
    ring::take_out(&TIMERS, lru::TIMERS, &key);
    ring::take_out(&PATH_MTUS, lru::PATH_MTUS, &key);
    if watched == 0 {
        return None;
    }
    ring::send(kind::CLOSED, now, |record: &mut ClosedRecord| {
        record.key = key;
        record.end = end;
    });
    ring::take_out(&RETRANSMITS, lru::RETRANSMITS, &key);
    ring::take_out(&UNSENT, lru::UNSENT, &key);
    ring::take_out(&WATCHED, lru::WATCHED, &key);
    Some(())
}

/// A TCP socket's addresses as seen from itself.
#[inline(always)]
pub fn key(sk: u64) -> Option<FlowKey> {
    if field::<u16>(sk, Member::SockProtocol)? != u16::from(IPPROTO_TCP) {
        return None;
    }
    let mut key = FlowKey {
        netns: netns_key(sk, Member::SockNet)?,
        source_port: u16::from_be(field(sk, Member::InetSport)?),
        destination_port: u16::from_be(field(sk, Member::SockDport)?),
        protocol: IPPROTO_TCP,
        ..FlowKey::default()
    };
    match field::<u16>(sk, Member::SockFamily)? {
        AF_INET => ipv4(sk, &mut key)?,
        AF_INET6 => {
            let local = sk + offset(Member::SockV6RcvSaddr)?;
            if read::<[u8; 12]>(local)? == V4_MAPPED {
                ipv4(sk, &mut key)?;
            } else {
                key.family = 6;
                key.source = read(local)?;
                key.destination = field(sk, Member::SockV6Daddr)?;
            }
        }
        _ => return None,
    }
    Some(key)
}

#[inline(always)]
fn ipv4(sk: u64, key: &mut FlowKey) -> Option<()> {
    key.family = 4;
    key.source[..4].copy_from_slice(&field::<[u8; 4]>(sk, Member::SockRcvSaddr)?);
    key.destination[..4].copy_from_slice(&field::<[u8; 4]>(sk, Member::SockDaddr)?);
    Some(())
}
