//! Reads a `struct sk_buff`: what packet it is, how long it is on the wire, where it is.

use aya_ebpf::helpers::bpf_probe_read_kernel_buf;
use mtu_trace_common::layout::Member;
use mtu_trace_common::map::FlowKey;
use mtu_trace_common::record::{DeviceRecord, HEAD_BYTES, conntrack};

use crate::kernel::{device_into, field, pointer, read, veth_peer};
use crate::scratch::Scratch;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

/// ICMP for IPv4 (IANA protocol number).
pub const IPPROTO_ICMP: u8 = 1;
/// TCP's number (IANA protocol number).
pub const IPPROTO_TCP: u8 = 6;
/// UDP's number (IANA protocol number).
pub const IPPROTO_UDP: u8 = 17;
/// ICMP for IPv6 (IANA protocol number).
pub const IPPROTO_ICMPV6: u8 = 58;

/// IPv6 extension headers (IANA protocol numbers).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTH: u8 = 51;
const DEST_OPTIONS: u8 = 60;
/// Extension headers followed before giving up. A choice: more than any sender uses, few enough for the
/// verifier.
const MAX_EXTENSIONS: usize = 6;
/// Index of the MTU among a route's metrics (`RTAX_MTU - 1`).
const RTAX_MTU_INDEX: u64 = 1;
/// Of the kinds of segmentation (`SKB_GSO_*` of `linux/skbuff.h`, Linux 5.10 to 7.2) those inside a tunnel:
/// GRE, IP in IP and UDP, with and without checksums.
const GSO_TUNNELS: u32 = 0x3f << 6;
/// Those of TCP, by IPv4 and IPv6.
const GSO_TCP: u32 = 1 | 1 << 4;
/// Index of the locks among a route's metrics (`RTAX_LOCK - 1`), and the bit of the MTU's there.
const RTAX_LOCK_INDEX: u64 = 0;
const RTAX_MTU_LOCK: u32 = 1 << 2;
/// Flag bits in `dst_entry._metrics` and `sk_buff._skb_refdst`.
const METRICS_FLAGS: u64 = 3;
const REFDST_NOREF: u64 = 1;

/// Reads the headers of an IP packet into the scratch area; `None` for anything else.
#[inline(always)]
pub fn parse(skb: u64, to: &mut Scratch) -> Option<()> {
    let ethertype = u16::from_be(field(skb, Member::SkbProtocol)?);
    if !matches!(
        ethertype,
        ETH_P_IP | ETH_P_IPV6 | ETH_P_8021Q | ETH_P_8021AD
    ) {
        return None;
    }
    let head: u64 = field(skb, Member::SkbHead)?;
    let data: u64 = field(skb, Member::SkbData)?;
    let network = u64::from(field::<u16>(skb, Member::SkbNetworkHeader)?);
    let skb_len: u32 = field(skb, Member::SkbLen)?;
    let tail: u32 = field(skb, Member::SkbTail)?;
    let end: u32 = field(skb, Member::SkbEnd)?;
    let gso_size: u16 = field(head + u64::from(end), Member::SharedGsoSize).unwrap_or(0);

    to.ip_header = head + network;
    to.linear = tail.saturating_sub(network as u32);
    // On the way down the data begins at the Ethernet header, further up behind the IP header:
    // count from the IP header in either case.
    to.record.l3_len = skb_len.wrapping_add(data.wrapping_sub(to.ip_header) as u32);
    to.record.gso_size = u32::from(gso_size);
    to.record.ethertype = u32::from(ethertype);
    let first: u8 = read(to.ip_header)?;
    let first_fragment = match first >> 4 {
        4 => ipv4(to)?,
        6 => ipv6(to)?,
        _ => return None,
    };
    if first_fragment {
        // A header that cannot be read leaves ports and sequence number unset.
        let _unreadable = transport(to);
    }
    if gso_size > 0 {
        // What is to be cut inside no tunnel has the headers that were read.
        let _plain = tunnelled(skb, head, network, head + u64::from(end), to);
    }
    Some(())
}

/// The headers of a tunnel's packet that is still to be cut: each of the packets has the inner ones, too
/// (`skb_gso_transport_seglen`). `None` for one that is no tunnel's.
#[inline(always)]
fn tunnelled(skb: u64, head: u64, network: u64, shared: u64, to: &mut Scratch) -> Option<()> {
    let kinds: u32 = field(shared, Member::SharedGsoType)?;
    if kinds & GSO_TUNNELS == 0 {
        return None;
    }
    let inner = u64::from(field::<u16>(skb, Member::SkbInnerTransportHeader)?);
    let own = if kinds & GSO_TCP == 0 {
        8
    } else {
        let offset: u8 = read(head + inner + 12)?;
        u32::from(offset >> 4) * 4
    };
    to.record.headers_len = (inner as u32).checked_sub(network as u32)? + own;
    Some(())
}

/// Reads the IP header; tells whether this fragment has the transport header.
#[inline(always)]
fn ipv4(to: &mut Scratch) -> Option<bool> {
    let header: [u8; 20] = read(to.ip_header)?;
    let flow = &mut to.record.key.flow;
    flow.family = 4;
    flow.protocol = header[9];
    flow.source[..4].copy_from_slice(&header[12..16]);
    flow.destination[..4].copy_from_slice(&header[16..20]);
    to.record.headers_len = u32::from(header[0] & 0x0f) * 4;
    Some(u16::from_be_bytes([header[6], header[7]]) & 0x1fff == 0)
}

/// The same behind the extension headers (RFC 8200, section 4).
#[inline(always)]
fn ipv6(to: &mut Scratch) -> Option<bool> {
    let flow = &mut to.record.key.flow;
    flow.family = 6;
    flow.source = read(to.ip_header + 8)?;
    flow.destination = read(to.ip_header + 24)?;
    let mut next: u8 = read(to.ip_header + 6)?;
    let mut offset = 40u32;
    let mut first_fragment = true;
    for _ in 0..MAX_EXTENSIONS {
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTH | DEST_OPTIONS) {
            break;
        }
        let header: [u8; 4] = read(to.ip_header + u64::from(offset))?;
        offset += match next {
            FRAGMENT => {
                first_fragment = u16::from_be_bytes([header[2], header[3]]) & 0xfff8 == 0;
                8
            }
            // Units of 4 bytes past the second (RFC 4302).
            AUTH => (u32::from(header[1]) + 2) * 4,
            // Units of 8 bytes past the first.
            _ => (u32::from(header[1]) + 1) * 8,
        };
        next = header[0];
    }
    to.record.key.flow.protocol = next;
    to.record.headers_len = offset;
    Some(first_fragment)
}

#[inline(always)]
fn transport(to: &mut Scratch) -> Option<()> {
    let address = to.ip_header + u64::from(to.record.headers_len);
    let flow = &mut to.record.key.flow;
    match flow.protocol {
        IPPROTO_TCP => {
            let header: [u8; 14] = read(address)?;
            ports(flow, header.first_chunk()?);
            to.has_seq = true;
            to.seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            to.tcp_flags = header[13];
            to.record.headers_len += u32::from(header[12] >> 4) * 4;
        }
        IPPROTO_UDP => {
            ports(flow, &read(address)?);
            to.record.headers_len += 8;
        }
        IPPROTO_ICMP | IPPROTO_ICMPV6 => {
            let header: [u8; 2] = read(address)?;
            to.icmp_type = header[0];
            to.icmp_code = header[1];
            to.record.headers_len += 8;
            if to.is_too_big_message() {
                let _unreadable = quoted_ports(to, address + 8);
            }
        }
        _ => {}
    }
    Some(())
}

/// The ports of the packet that an ICMP error quotes: messages about different connections are
/// counted apart.
#[inline(always)]
fn quoted_ports(to: &mut Scratch, quoted: u64) -> Option<()> {
    let first: u8 = read(quoted)?;
    let length = match first >> 4 {
        4 => u64::from(first & 0x0f) * 4,
        // Behind extension headers it is not looked for: the message is counted all the same.
        _ => 40,
    };
    ports(&mut to.record.key.flow, &read(quoted + length)?);
    Some(())
}

#[inline(always)]
fn ports(flow: &mut FlowKey, header: &[u8; 4]) {
    flow.source_port = u16::from_be_bytes([header[0], header[1]]);
    flow.destination_port = u16::from_be_bytes([header[2], header[3]]);
}

/// Finds the devices and the namespace of a packet; `None` if it has neither a device nor a route.
#[inline(always)]
pub fn place(skb: u64, to: &mut Scratch) -> Option<()> {
    let dst = field::<u64>(skb, Member::SkbRefdst).unwrap_or(0) & !REFDST_NOREF;
    let mut route_address = 0;
    if dst != 0 {
        if let Some(address) = pointer(dst, Member::DstDev) {
            route_address = address;
            let _unset = device_into(address, &mut to.record.route);
        }
        if let Some(metrics) = pointer(dst, Member::DstMetrics) {
            let metrics = metrics & !METRICS_FLAGS;
            to.record.route_mtu = read(metrics + RTAX_MTU_INDEX * 4).unwrap_or(0);
            let locks: u32 = read(metrics + RTAX_LOCK_INDEX * 4).unwrap_or(0);
            to.record.route_mtu_locked = u16::from(locks & RTAX_MTU_LOCK != 0);
        }
        to.record.route_input = field(dst, Member::DstInput).unwrap_or(0);
    }
    let mut address = pointer(skb, Member::SkbDev).unwrap_or(0);
    if address != 0 && device_into(address, &mut to.record.device).is_some() {
        to.record.has_device = 1;
    } else {
        if to.record.route.ifindex == 0 {
            return None;
        }
        address = route_address;
        to.record.device = to.record.route;
    }
    if to.record.device.is_veth == 1
        && let Some(peer) = veth_peer(address)
        && device_into(peer, &mut to.record.peer).is_none()
    {
        to.record.peer = DeviceRecord::default();
    }
    to.record.iif = field(skb, Member::SkbIif).unwrap_or(0);
    to.record.key.flow.netns = match to.record.device.netns_cookie {
        0 => to.record.device.netns_inode.into(),
        cookie => cookie,
    };
    Some(())
}

/// What connection tracking makes of a packet ([`conntrack`]); `None` where the kernel has none.
#[inline(always)]
pub fn conntrack(skb: u64) -> Option<u32> {
    let nfct: u64 = field(skb, Member::SkbNfct)?;
    let state = nfct as u32 & conntrack::STATE;
    let is_tracked = nfct & !u64::from(conntrack::STATE) != 0;
    let tracked = if is_tracked { conntrack::TRACKED } else { 0 };
    Some(state | tracked | conntrack::KNOWN)
}

/// Copies the linear part of the packet from the IP header on, in steps whose sizes the verifier
/// can see.
#[inline(always)]
pub fn copy_head(to: &mut Scratch) {
    const STEP: usize = 16;
    let available = to.linear.min(to.record.l3_len) as usize;
    let mut copied = 0;
    while copied < HEAD_BYTES {
        if available <= copied {
            break;
        }
        // The last step may read past the linear data, into the same buffer; the length that goes
        // with the record leaves those bytes out.
        let source = (to.ip_header + copied as u64) as *const u8;
        let step = &mut to.record.head[copied..copied + STEP];
        // SAFETY: the helper checks the address itself.
        if unsafe { bpf_probe_read_kernel_buf(source, step) }.is_err() {
            break;
        }
        copied += STEP;
    }
    to.record.head_len = copied.min(available) as u32;
}
