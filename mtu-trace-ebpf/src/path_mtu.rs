//! Path MTU discovery at its end: the message has arrived, and the sender heeds it.

use mtu_trace_common::layout::Member;
use mtu_trace_common::map::{FlowKey, lru};
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::{PathMtuRecord, kind};

use crate::call::{Called, at_entry};
use crate::kernel::{field, netns_key, pointer, read};
use crate::maps::PATH_MTUS;
use crate::{ring, socket};

/// Offset of the destination in an IPv6 header (RFC 8200, section 3).
const IPV6_DESTINATION: u64 = 24;

at_entry! {
    /// `void tcp_v4_mtu_reduced(struct sock *sk)` (Linux 6.18): a message about one of the socket's packets.
    (tcp_v4_mtu_reduced_fentry, tcp_v4_mtu_reduced_kprobe) = told_to_socket
}

at_entry! {
    /// `void tcp_v6_mtu_reduced(struct sock *sk)` (Linux 6.18).
    (tcp_v6_mtu_reduced_fentry, tcp_v6_mtu_reduced_kprobe) = told_to_socket
}

at_entry! {
    /// `void __ip_rt_update_pmtu(struct rtable *rt, struct flowi4 *fl4, u32 mtu)` (Linux 6.18):
    /// whatever is sent there from now on.
    (ip_rt_update_pmtu_fentry, ip_rt_update_pmtu_kprobe) = kept_for_route
}

at_entry! {
    /// `void __ip6_rt_update_pmtu(struct dst_entry *dst, const struct sock *sk,
    /// const struct ipv6hdr *iph, u32 mtu, bool confirm_neigh)` (Linux 6.18).
    (ip6_rt_update_pmtu_fentry, ip6_rt_update_pmtu_kprobe) = kept_for_route6
}

#[inline(always)]
fn told_to_socket(call: &impl Called) -> Option<()> {
    let sk = call.argument(0)?;
    let mtu = field(sk, Member::TcpMtuInfo)?;
    let before = field(sk, Member::IcskPmtuCookie).unwrap_or(0);
    send(&socket::key(sk)?, mtu, before)
}

#[inline(always)]
fn kept_for_route(call: &impl Called) -> Option<()> {
    // A `struct rtable` begins with its `struct dst_entry`.
    let mut key = towards(call.argument(0)?, 4)?;
    let address: [u8; 4] = field(call.argument(1)?, Member::Flowi4Daddr)?;
    key.destination[..4].copy_from_slice(&address);
    send(&key, call.argument(2)? as u32, 0)
}

#[inline(always)]
fn kept_for_route6(call: &impl Called) -> Option<()> {
    let mut key = towards(call.argument(0)?, 6)?;
    key.destination = match call.argument(2)? {
        0 => field(call.argument(1)?, Member::SockV6Daddr)?,
        header => read(header + IPV6_DESTINATION)?,
    };
    send(&key, call.argument(3)? as u32, 0)
}

/// The key of a route by its `struct dst_entry`, without its destination: it has neither ports nor
/// source.
#[inline(always)]
fn towards(dst: u64, family: u8) -> Option<FlowKey> {
    Some(FlowKey {
        netns: netns_key(pointer(dst, Member::DstDev)?, Member::DevNet)?,
        family,
        ..FlowKey::default()
    })
}

#[inline(always)]
fn send(key: &FlowKey, mtu: u32, before: u32) -> Option<()> {
    let now = ring::now();
    // The MTU stands for the sequence number: another one is news.
    let counted = ring::add(
        (&PATH_MTUS, lru::PATH_MTUS),
        key,
        Some(mtu),
        now,
        EventClass::Losses,
    );
    if !counted.emit {
        return None;
    }
    ring::send(kind::PATH_MTU, now, |record: &mut PathMtuRecord| {
        record.key = *key;
        record.count = counted.count;
        record.mtu = mtu;
        record.before = before;
    });
    Some(())
}
