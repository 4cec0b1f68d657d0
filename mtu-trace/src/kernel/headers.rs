//! Packet headers to what events say of them. Nothing here trusts a length in a header.

use std::net::SocketAddr;

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{
    Icmpv4Type, Icmpv6Type, LaxPacketHeaders, LaxPayloadSlice, NetHeaders, TcpHeader,
    TransportHeader,
};

use crate::kernel::tunnelled;
use crate::model::event::{Flow, IcmpError, Inner, Quoted, TCP, Tcp, UDP};
use crate::model::network::NetnsId;

/// The length of a UDP header (RFC 768), bytes.
const UDP_BYTES: usize = 8;

/// What a packet's headers say besides its flow.
#[derive(Default)]
pub struct Headers {
    /// Its TCP header; the record knows how much payload there is.
    pub tcp: Option<Tcp>,
    /// The ICMP error it is.
    pub icmp_error: Option<IcmpError>,
    /// The packet it carries.
    pub inner: Option<Inner>,
    /// Bytes of headers, quoted and inner ones included: what lies behind is payload.
    pub length: usize,
}

/// Parses a packet from its IP header on. What is cut off or odd is left out.
pub fn parse(netns: NetnsId, head: &[u8]) -> Headers {
    let Ok(packet) = LaxPacketHeaders::from_ip(head) else {
        return Headers::default();
    };
    let mut headers = Headers {
        length: length(&packet),
        ..Headers::default()
    };
    let rest = payload(&packet.payload);
    let mtu_bytes = match &packet.transport {
        Some(TransportHeader::Tcp(tcp)) => {
            headers.tcp = Some(tcp_header(tcp));
            return headers;
        }
        Some(TransportHeader::Icmpv4(icmp)) => match icmp.icmp_type {
            Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded {
                next_hop_mtu,
            }) => next_hop_mtu.into(),
            _ => return headers,
        },
        Some(TransportHeader::Icmpv6(icmp)) => match icmp.icmp_type {
            Icmpv6Type::PacketTooBig { mtu } => mtu,
            _ => return headers,
        },
        transport => {
            let protocol = flow(netns, &packet).map_or(0, |flow| flow.protocol);
            let rest = match (transport, piece(&packet)) {
                (Some(_), _) | (None, Piece::Whole) => rest,
                (None, Piece::First) if protocol == UDP => {
                    headers.length += UDP_BYTES;
                    rest.get(UDP_BYTES..).unwrap_or_default()
                }
                (None, Piece::First) => rest,
                (None, Piece::Later) => return headers,
            };
            if protocol == TCP
                && let Ok((tcp, _)) = TcpHeader::from_slice(rest)
            {
                headers.length += tcp.header_len();
                headers.tcp = Some(tcp_header(&tcp));
            } else if let Some((mut inner, length)) = tunnelled::inner(netns, protocol, rest) {
                inner.begins_at_bytes += u32::try_from(headers.length).unwrap_or(0);
                headers.length += length;
                headers.inner = Some(inner);
            }
            return headers;
        }
    };
    let (quoted, length) = quoted(netns, rest);
    headers.length += length;
    headers.icmp_error = Some(IcmpError { mtu_bytes, quoted });
    headers
}

/// What part of a packet this is.
enum Piece {
    Whole,
    /// The first, which has the headers: it is known by what they tell, which is lost with it.
    First,
    Later,
}

fn piece(packet: &LaxPacketHeaders<'_>) -> Piece {
    let offset = match &packet.net {
        Some(NetHeaders::Ipv4(ip, _)) => Some(ip.fragment_offset),
        Some(NetHeaders::Ipv6(_, extensions)) => {
            let fragment = extensions.fragment.as_ref();
            fragment.map(|fragment| fragment.fragment_offset)
        }
        _ => None,
    };
    match &packet.payload {
        LaxPayloadSlice::Ip(ip) if ip.fragmented => match offset {
            Some(offset) if offset.value() > 0 => Piece::Later,
            _ => Piece::First,
        },
        _ => Piece::Whole,
    }
}

/// The flow of an IP packet; ports are 0 where no transport header tells them.
pub(crate) fn flow(netns: NetnsId, packet: &LaxPacketHeaders<'_>) -> Option<Flow> {
    let (source, destination, protocol) = match packet.net.as_ref()? {
        NetHeaders::Ipv4(ip, _) => (ip.source.into(), ip.destination.into(), ip.protocol.0),
        NetHeaders::Ipv6(ip, _) => {
            let protocol = match &packet.payload {
                LaxPayloadSlice::Ip(ip) => ip.ip_number.0,
                LaxPayloadSlice::Tcp { .. } => TCP,
                LaxPayloadSlice::Udp { .. } => UDP,
                _ => ip.next_header.0,
            };
            (ip.source.into(), ip.destination.into(), protocol)
        }
        NetHeaders::Arp(_) => return None,
    };
    let (from, to) = match &packet.transport {
        Some(TransportHeader::Tcp(tcp)) => (tcp.source_port, tcp.destination_port),
        Some(TransportHeader::Udp(udp)) => (udp.source_port, udp.destination_port),
        _ => (0, 0),
    };
    Some(Flow {
        netns,
        protocol,
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    })
}

/// A TCP header as events have it.
pub(crate) fn tcp_header(tcp: &TcpHeader) -> Tcp {
    Tcp {
        seq: tcp.sequence_number,
        ack: tcp.acknowledgment_number,
        syn: tcp.syn,
        has_ack: tcp.ack,
        payload_bytes: 0,
    }
}

/// The packet an ICMP error quotes and the length of its headers. Routers may quote no more than
/// eight bytes behind the IP header (RFC 792): the ports and, of TCP, the sequence number.
fn quoted(netns: NetnsId, bytes: &[u8]) -> (Option<Quoted>, usize) {
    let Ok(packet) = LaxPacketHeaders::from_ip(bytes) else {
        return (None, 0);
    };
    let mut length = length(&packet);
    let Some(flow) = flow(netns, &packet) else {
        return (None, length);
    };
    let (seq, ack) = match &packet.transport {
        Some(TransportHeader::Tcp(tcp)) => {
            (Some(tcp.sequence_number), Some(tcp.acknowledgment_number))
        }
        _ => (None, None),
    };
    let mut quoted = Quoted { flow, seq, ack };
    if packet.transport.is_none()
        && flow.protocol == TCP
        && let [a, b, c, d, e, f, g, h, ..] = *payload(&packet.payload)
    {
        quoted.flow.source.set_port(u16::from_be_bytes([a, b]));
        quoted.flow.destination.set_port(u16::from_be_bytes([c, d]));
        quoted.seq = Some(u32::from_be_bytes([e, f, g, h]));
        length += 8;
    }
    (Some(quoted), length)
}

/// What lies behind the headers of an IP packet: of an ICMP error, the packet it quotes.
pub(crate) fn behind(head: &[u8]) -> &[u8] {
    LaxPacketHeaders::from_ip(head).map_or(&[], |packet| payload(&packet.payload))
}

/// The length an IP packet's header tells, itself included, bytes.
pub(crate) fn told_length(head: &[u8]) -> Option<u32> {
    match LaxPacketHeaders::from_ip(head).ok()?.net? {
        NetHeaders::Ipv4(ip, _) => Some(ip.total_len.into()),
        // The header itself does not count (RFC 8200, section 3).
        NetHeaders::Ipv6(ip, _) => Some(u32::from(ip.payload_length) + 40),
        NetHeaders::Arp(_) => None,
    }
}

/// Bytes of all headers: there may be more behind the payload than there is payload.
pub(crate) fn length(packet: &LaxPacketHeaders<'_>) -> usize {
    let net = packet.net.as_ref().map_or(0, NetHeaders::header_len);
    let transport = packet.transport.as_ref();
    net + transport.map_or(0, TransportHeader::header_len)
}

fn payload<'a>(payload: &LaxPayloadSlice<'a>) -> &'a [u8] {
    match payload {
        LaxPayloadSlice::Ip(ip) => ip.payload,
        LaxPayloadSlice::Udp { payload, .. }
        | LaxPayloadSlice::Tcp { payload, .. }
        | LaxPayloadSlice::Icmpv4 { payload, .. }
        | LaxPayloadSlice::Icmpv6 { payload, .. } => payload,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, TcpHeader};

    use super::*;

    const NETNS: NetnsId = NetnsId(7);

    fn segment() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut tcp = TcpHeader::new(40_000, 80, 7001, 1000);
        tcp.ack = true;
        tcp.acknowledgment_number = 99;
        tcp.write(&mut bytes).unwrap();
        bytes.extend([b'x'; 12]);
        bytes
    }

    fn v4(offset: u16) -> Vec<u8> {
        let segment = segment();
        let mut ip =
            Ipv4Header::new(32, 64, IpNumber::TCP, [192, 0, 2, 2], [203, 0, 113, 10]).unwrap();
        ip.more_fragments = true;
        ip.fragment_offset = offset.try_into().unwrap();
        let mut bytes = ip.to_bytes().to_vec();
        bytes.extend(segment);
        bytes
    }

    fn v6(offset: u16) -> Vec<u8> {
        let segment = segment();
        let ip = Ipv6Header {
            payload_length: 8 + 32,
            next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
            hop_limit: 64,
            source: [0x20; 16],
            destination: [0x21; 16],
            ..Ipv6Header::default()
        };
        let mut bytes = ip.to_bytes().to_vec();
        let offset = offset.try_into().unwrap();
        let fragment = Ipv6FragmentHeader::new(IpNumber::TCP, offset, true, 5);
        bytes.extend(fragment.to_bytes());
        bytes.extend(segment);
        bytes
    }

    #[test]
    fn a_first_fragment_is_known_by_its_segment() {
        for (packet, before) in [(v4(0), 20), (v6(0), 48)] {
            let headers = parse(NETNS, &packet);
            let tcp = headers.tcp.unwrap();
            assert_eq!((tcp.seq, tcp.ack, tcp.has_ack), (7001, 99, true));
            assert_eq!(headers.length, before + 20);
        }
    }

    #[test]
    fn later_fragments_have_no_header() {
        for packet in [v4(3), v6(3)] {
            assert_eq!(parse(NETNS, &packet).tcp, None);
        }
    }
}
