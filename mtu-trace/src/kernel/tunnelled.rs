//! Packets in tunnels' packets: VXLAN (RFC 7348), Geneve (RFC 8926), GRE (RFC 2784, RFC 2890), IP in
//! IP (RFC 2003, RFC 2473, RFC 4213).
//!
//! Ports of VXLAN and Geneve are a matter of taste (4789, 8472, 6081, …), so UDP is taken for a tunnel
//! by what it carries: a header with the right constant bits, in which there is an Ethernet frame
//! with an IP packet that fits into the datagram.

use etherparse::{LaxPacketHeaders, TransportHeader};

use crate::kernel::headers::{flow, length, tcp_header, told_length};
use crate::model::event::{Inner, Tcp, UDP};
use crate::model::network::NetnsId;

const GRE: u8 = 47;
const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Ethernet in GRE and Geneve (`ETH_P_TEB`).
const ETHERTYPE_ETHERNET: u16 = 0x6558;
/// The length of an Ethernet header without a tag (IEEE 802.3), bytes.
const ETHERNET_BYTES: usize = 14;
/// The length of VXLAN's header, and of Geneve's without options, bytes.
const SHIM_BYTES: usize = 8;

/// The packet inside, where it begins in the outer payload, and the bytes of headers before it and its own,
/// from there on.
/// `payload` is what lies behind the outer transport header, or behind the outer IP header for a
/// protocol that is its own.
pub fn inner(netns: NetnsId, protocol: u8, payload: &[u8]) -> Option<(Inner, usize)> {
    let (offset, ethertype) = match protocol {
        UDP => vxlan(payload).or_else(|| geneve(payload))?,
        GRE => gre(payload)?,
        IPV4_IN_IP => (0, ETHERTYPE_IPV4),
        IPV6_IN_IP => (0, ETHERTYPE_IPV6),
        _ => return None,
    };
    let offset = match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => offset,
        ETHERTYPE_ETHERNET => {
            let kind = word(payload, offset + ETHERNET_BYTES - 2)?;
            if !matches!(kind, ETHERTYPE_IPV4 | ETHERTYPE_IPV6) {
                return None;
            }
            offset + ETHERNET_BYTES
        }
        _ => return None,
    };
    let (mut inner, length) = packet(netns, payload.get(offset..)?)?;
    inner.begins_at_bytes = u32::try_from(offset).ok()?;
    Some((inner, offset + length))
}

/// VXLAN: the I flag alone is set and reserved bits are zero.
fn vxlan(payload: &[u8]) -> Option<(usize, u16)> {
    let header = payload.get(..SHIM_BYTES)?;
    let constant = header[0] == 0x08 && header[1..4] == [0; 3] && header[7] == 0;
    constant.then_some((SHIM_BYTES, ETHERTYPE_ETHERNET))
}

/// Geneve, version 0: options are counted in words of four bytes.
fn geneve(payload: &[u8]) -> Option<(usize, u16)> {
    let header = payload.get(..SHIM_BYTES)?;
    let options = usize::from(header[0] & 0x3f) * 4;
    let constant = header[0] >> 6 == 0 && header[1] & 0x3f == 0 && header[7] == 0;
    let kind = word(payload, 2)?;
    constant.then_some((SHIM_BYTES + options, kind))
}

/// GRE, version 0, with checksum, key and sequence number where their bits say so.
fn gre(payload: &[u8]) -> Option<(usize, u16)> {
    let flags = word(payload, 0)?;
    if flags & 0x0007 != 0 {
        return None;
    }
    let optional = [0x8000, 0x2000, 0x1000];
    let words = optional.iter().filter(|bit| flags & **bit != 0).count();
    Some((4 + words * 4, word(payload, 2)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn packet(netns: NetnsId, bytes: &[u8]) -> Option<(Inner, usize)> {
    let headers = LaxPacketHeaders::from_ip(bytes).ok()?;
    let length_bytes = told_length(bytes)?;
    let length = length(&headers);
    let payload_bytes = length_bytes.saturating_sub(u32::try_from(length).unwrap_or(u32::MAX));
    let inner = Inner {
        flow: flow(netns, &headers)?,
        length_bytes,
        begins_at_bytes: 0,
        tcp: match &headers.transport {
            Some(TransportHeader::Tcp(tcp)) => Some(Tcp {
                payload_bytes,
                ..tcp_header(tcp)
            }),
            _ => None,
        },
    };
    Some((inner, length))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::model::event::TCP;

    const NETNS: NetnsId = NetnsId(7);

    fn segment() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 2], [203, 0, 113, 10], 64)
            .tcp(40_000, 80, 7001, 1000)
            .ack(99)
            .write(&mut bytes, &[b'x'; 100])
            .unwrap();
        bytes
    }

    fn framed() -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x08, 0x00]);
        frame.extend(segment());
        frame
    }

    fn check(protocol: u8, payload: &[u8], offset: usize) {
        let (inner, length) = inner(NETNS, protocol, payload).unwrap();
        assert_eq!(inner.flow.to_string(), "192.0.2.2:40000 -> 203.0.113.10:80");
        assert_eq!((inner.flow.protocol, inner.flow.netns), (TCP, NETNS));
        assert_eq!((inner.length_bytes, length), (140, offset + 40));
        let tcp = inner.tcp.unwrap();
        assert_eq!((tcp.seq, tcp.ack, tcp.payload_bytes), (7001, 99, 100));
        // Headers only: what a record keeps of it ends before the payload.
        assert_eq!(
            super::inner(NETNS, protocol, &payload[..length]).unwrap().0,
            inner
        );
    }

    #[test]
    fn vxlan_carries_frames() {
        let mut payload = vec![0x08, 0, 0, 0, 0, 0, 42, 0];
        payload.extend(framed());
        check(UDP, &payload, 22);
        payload[7] = 1;
        assert_eq!(inner(NETNS, UDP, &payload), None);
    }

    #[test]
    fn geneve_carries_frames_behind_options() {
        let mut payload = vec![0x01, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 4];
        payload.extend(framed());
        check(UDP, &payload, 26);
    }

    #[test]
    fn gre_carries_packets_and_frames() {
        let mut payload = vec![0, 0, 0x08, 0];
        payload.extend(segment());
        check(GRE, &payload, 4);
        let mut payload = vec![0x20, 0, 0x65, 0x58, 0, 0, 0, 42];
        payload.extend(framed());
        check(GRE, &payload, 22);
    }

    #[test]
    fn ip_carries_ip() {
        check(IPV4_IN_IP, &segment(), 0);
    }

    #[test]
    fn other_datagrams_are_no_tunnels() {
        for payload in [
            &b""[..],
            b"\x08",
            b"hello, this is no tunnel at all",
            &[0; 64],
        ] {
            assert_eq!(inner(NETNS, UDP, payload), None, "{payload:?}");
        }
    }
}
