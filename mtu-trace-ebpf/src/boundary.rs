//! The tc programs on boundary devices: packets too big to go on, and ICMP on its way.
//!
//! They look and never touch: every packet goes on to the next program.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use mtu_trace_common::layout::Member;
use mtu_trace_common::map::{DeviceKey, lru};
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::{direction, kind};

use crate::kernel::{device_into, pointer};
use crate::maps::{DEVICES, DROPS, SMALLEST_LIMIT};
use crate::scratch::{self, Owner, Scratch};
use crate::skb::{self, IPPROTO_ICMP, IPPROTO_ICMPV6};

const ETH_P_IP_BE: u32 = 0x0800u16.to_be() as u32;
const ETH_P_IPV6_BE: u32 = 0x86ddu16.to_be() as u32;
/// Length of an Ethernet header.
const ETH_HLEN: u32 = 14;
/// IPv6 with room for extension headers, and the longest TCP header (RFC 9293, section 3.1).
const LONGEST_GSO_HEADERS: u32 = 140;

/// At tc ingress, `int (struct __sk_buff *skb)` (`include/uapi/linux/bpf.h`, Linux 6.18): packets that
/// the device received. `TC_ACT_UNSPEC` and `TCX_NEXT` are the same value.
#[classifier]
pub fn mtu_trace_in(ctx: TcContext) -> i32 {
    look(&ctx, Owner::Ingress, direction::INGRESS)
}

/// At tc egress, by the same prototype: packets that the device is about to send.
#[classifier]
pub fn mtu_trace_out(ctx: TcContext) -> i32 {
    look(&ctx, Owner::Egress, direction::EGRESS)
}

#[inline(always)]
fn look(ctx: &TcContext, owner: Owner, direction: u32) -> i32 {
    if may_exceed(ctx) || is_icmp(ctx) {
        let _ignored = scratch::with(owner, |scratch| sight(ctx, direction, scratch));
    }
    TC_ACT_UNSPEC
}

#[inline(always)]
fn sight(ctx: &TcContext, direction: u32, scratch: &mut Scratch) -> Option<()> {
    // A tc program gets the kernel's own `struct sk_buff`; only direct access goes through the
    // `__sk_buff` view of it.
    let skb = ctx.as_ptr() as u64;
    skb::parse(skb, scratch)?;
    let address = pointer(skb, Member::SkbDev)?;
    device_into(address, &mut scratch.record.device)?;
    let key = DeviceKey {
        netns_inode: scratch.record.device.netns_inode,
        ifindex: scratch.record.device.ifindex,
    };
    // SAFETY: the value is read once and copied; user space replaces it as a whole.
    let limits = unsafe { DEVICES.get(&key) }?;
    let limit = if direction == direction::INGRESS {
        limits.ingress_bytes
    } else {
        limits.egress_bytes
    };
    let exceeds = limit != 0 && scratch.wire_len() > limit;
    if !exceeds && !scratch.is_too_big_message() {
        return None;
    }
    skb::place(skb, scratch)?;
    scratch.record.key.site =
        u64::from(key.ifindex) << 1 | u64::from(direction == direction::EGRESS);
    scratch.record.direction = direction;
    let class = if exceeds {
        scratch.record.limit = limit;
        EventClass::Passing
    } else {
        EventClass::Losses
    };
    if scratch.count((&DROPS, lru::DROPS), class) {
        scratch.send(kind::SIGHTING);
    }
    Some(())
}

/// The fast path: whether the packet could be above any device's limit.
#[inline(always)]
fn may_exceed(ctx: &TcContext) -> bool {
    let smallest = SMALLEST_LIMIT.get(0).map_or(0, |&smallest| smallest);
    if smallest == 0 {
        return false;
    }
    // SAFETY: the context is the program's own `__sk_buff`.
    let gso_size = unsafe { (*ctx.skb.skb).gso_size };
    // The lengths compared here are upper bounds: the slow path knows the exact ones.
    if gso_size == 0 {
        ctx.len() > smallest
    } else {
        gso_size + LONGEST_GSO_HEADERS > smallest
    }
}

/// Whether it is ICMP or ICMPv6 without extension headers.
#[inline(always)]
fn is_icmp(ctx: &TcContext) -> bool {
    // SAFETY: the context is the program's own `__sk_buff`.
    let protocol = unsafe { (*ctx.skb.skb).protocol };
    let (at, number) = match protocol {
        ETH_P_IP_BE => (9, IPPROTO_ICMP),
        ETH_P_IPV6_BE => (6, IPPROTO_ICMPV6),
        _ => return false,
    };
    // Devices without an Ethernet header have the IP header first: try both places.
    ctx.load::<u8>(ETH_HLEN as usize + at) == Ok(number) || ctx.load::<u8>(at) == Ok(number)
}
