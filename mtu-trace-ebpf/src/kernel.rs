//! Reads kernel structures at the offsets user space resolved.
//!
//! Every address is untrusted: `bpf_probe_read_kernel` answers a bad one with an error, and the
//! caller gets `None`.

use aya_ebpf::helpers::{self, bpf_probe_read_kernel};
use mtu_trace_common::layout::{ABSENT, Member, extra};
use mtu_trace_common::record::DeviceRecord;
use zerocopy::FromZeros;

use crate::maps::LAYOUT;

/// Offset of a member, `None` where the running kernel lacks it.
#[inline(always)]
pub fn offset(member: Member) -> Option<u64> {
    entry(member as usize)
}

/// An entry of the table by position, for those that are no members.
#[inline(always)]
pub fn entry(index: usize) -> Option<u64> {
    match LAYOUT[index].load() {
        ABSENT => None,
        found => Some(u64::from(found)),
    }
}

/// Reads a value at a kernel address.
#[inline(always)]
pub fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address itself and fails on a bad one.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Reads a member of the structure at `base`.
#[inline(always)]
pub fn field<T>(base: u64, member: Member) -> Option<T> {
    read(base + offset(member)?)
}

/// Reads a member straight into a record, 0 if it cannot be read. Unlike [`field`] it takes no room
/// on the program's stack of 512 bytes.
#[inline(always)]
pub fn copy<T: FromZeros>(to: &mut T, base: u64, member: Member) {
    to.zero();
    let Some(offset) = offset(member) else {
        return;
    };
    // SAFETY: the destination is valid for its size, and any bytes are a valid `T`; the helper
    // checks the source itself and clears the destination on a bad one.
    unsafe {
        helpers::generated::bpf_probe_read_kernel(
            (&raw mut *to).cast(),
            size_of::<T>() as u32,
            (base + offset) as *const _,
        );
    }
}

/// Reads a pointer member; a null pointer is `None`.
#[inline(always)]
pub fn pointer(base: u64, member: Member) -> Option<u64> {
    field(base, member).filter(|&address: &u64| address != 0)
}

/// Cookie (0 where the kernel has none) and inode of a `struct net`.
#[inline(always)]
fn netns(net: u64) -> Option<(u64, u32)> {
    let inode = read(net + offset(Member::NetNs)? + offset(Member::NsInum)?)?;
    let cookie = field(net, Member::NetCookie).unwrap_or(0);
    Some((cookie, inode))
}

/// The number maps use for the namespace in this member: the cookie, else the inode.
#[inline(always)]
pub fn netns_key(base: u64, member: Member) -> Option<u64> {
    let (cookie, inode) = netns(pointer(base, member)?)?;
    Some(if cookie == 0 { inode.into() } else { cookie })
}

/// What is to know of a `struct net_device`.
#[inline(always)]
pub fn device_into(address: u64, to: &mut DeviceRecord) -> Option<()> {
    (to.netns_cookie, to.netns_inode) = netns(pointer(address, Member::DevNet)?)?;
    to.mtu = field(address, Member::DevMtu)?;
    to.is_veth = u32::from(is_veth(address));
    to.ifindex = field(address, Member::DevIfindex)?;
    Some(())
}

/// Whether the device was made by the veth driver, whose private area we know how to read.
#[inline(always)]
fn is_veth(device: u64) -> bool {
    pointer(device, Member::DevLinkOps)
        .and_then(|ops| pointer(ops, Member::LinkOpsKind))
        .and_then(read::<[u8; 5]>)
        .is_some_and(|kind| kind == *b"veth\0")
}

/// The other end of a veth: `netdev_priv(dev)->peer`.
///
/// Before 6.12 `net_device` has no `priv` member and the private area follows the structure; the
/// table holds the distance in either case.
#[inline(always)]
pub fn veth_peer(device: u64) -> Option<u64> {
    let private = device + entry(extra::NETDEV_PRIV)?;
    read(private + entry(extra::VETH_PRIV_PEER)?).filter(|&peer: &u64| peer != 0)
}
