//! The decoder: records of any bytes, and records that lie.

use std::collections::BTreeMap;

use etherparse::PacketBuilder;
use mtu_trace::testing::{
    DecodeError, Decoder, EventKind, KernelTypes, NetnsId, Packet, Topology, flow, key,
};
use mtu_trace_common::map::{DropKey, FlowKey};
use mtu_trace_common::record::{self, HEAD_BYTES, RecordHeader, kind};
use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes};

use super::network::{EXT0, HOST, ROUTED, network};
use super::scenario::Conn;

fn decoder() -> Decoder {
    let types = KernelTypes {
        drop_reasons: BTreeMap::from([(93, "PKT_TOO_BIG".to_owned())]),
        ..KernelTypes::default()
    };
    Decoder::new(types, None)
}

/// A TCP segment as it is on the wire.
fn segment(payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 2], [198, 51, 100, 9], 64)
        .tcp(40_000, 80, 0x0102_0304, 501)
        .ack(0x0506_0708)
        .write(&mut bytes, &vec![0xaa; payload])
        .unwrap();
    bytes
}

/// The message about a packet, which it quotes at the given length.
fn message(about: &[u8], quoted: usize) -> Vec<u8> {
    use etherparse::Icmpv4Type;
    use etherparse::icmpv4::DestUnreachableHeader;
    let mut bytes = Vec::new();
    let unreachable = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1450 };
    PacketBuilder::ipv4([198, 51, 100, 1], [192, 0, 2, 2], 64)
        .icmpv4(Icmpv4Type::DestinationUnreachable(unreachable))
        .write(&mut bytes, &about[..quoted.min(about.len())])
        .unwrap();
    bytes
}

/// A record of a drop at the host's outer device.
fn record(packet: &[u8]) -> record::PacketRecord {
    let mut record = record::PacketRecord::new_zeroed();
    let len = u32::try_from(packet.len()).unwrap();
    let head = packet.len().min(HEAD_BYTES);
    record.header = RecordHeader {
        kind: kind::DROP,
        len: u32::try_from(size_of::<record::PacketRecord>()).unwrap(),
        time_ns: 1_000,
    };
    record.key = DropKey {
        flow: FlowKey {
            netns: HOST.0,
            ..key(&Conn::new(0).client.flow)
        },
        site: 0xffff_ffff_8100_0000,
    };
    record.device.netns_cookie = HOST.0;
    record.device.ifindex = EXT0.1;
    record.device.mtu = 1500;
    record.has_device = 1;
    record.count = 1;
    record.reason = 93;
    record.l3_len = len;
    record.headers_len = 40;
    record.head_len = u32::try_from(head).unwrap();
    record.head[..head].copy_from_slice(&packet[..head]);
    record
}

fn decoded(record: &record::PacketRecord) -> Packet {
    let (event, _count) = decoder()
        .decode(record.as_bytes(), &network(ROUTED))
        .unwrap();
    match event.kind {
        EventKind::Packet(packet) => *packet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn segment_is_read_to_its_last_header() {
    let packet = decoded(&record(&segment(1460)));
    let tcp = packet.tcp.unwrap();
    assert_eq!((tcp.seq, tcp.ack), (0x0102_0304, 0x0506_0708));
    assert_eq!(tcp.payload_bytes, 1460);
    assert_eq!((packet.length_bytes, packet.buffer_bytes), (1500, 1500));
    assert_eq!(packet.device.name.as_deref(), Some("ext0"));
    assert_eq!(packet.head, segment(1460)[..40]);
    assert!(matches!(
        packet.what,
        mtu_trace::testing::PacketKind::Dropped { ref function, ref reason }
            if function == "0xffffffff81000000" && reason.as_deref() == Some("PKT_TOO_BIG")
    ));
}

#[test]
fn super_packet_has_the_length_of_a_segment() {
    let mut record = record(&segment(1460));
    record.l3_len = 20_040;
    record.gso_size = 1_448;
    let packet = decoded(&record);
    assert!(packet.gso);
    assert_eq!((packet.length_bytes, packet.buffer_bytes), (1488, 20_040));
    assert_eq!(packet.tcp.unwrap().payload_bytes, 20_000);
}

#[test]
fn message_tells_the_limit_and_the_packet() {
    // A router may quote eight bytes behind the IP header and no more (RFC 792).
    for (quoted, ack) in [
        (28, None),
        (40, Some(0x0506_0708)),
        (548, Some(0x0506_0708)),
    ] {
        let mut record = record(&message(&segment(1460), quoted));
        record.key.flow.protocol = 1;
        let packet = decoded(&record);
        assert_eq!(packet.tcp, None);
        let error = packet.icmp_error.unwrap();
        assert_eq!(error.mtu_bytes, 1450);
        let about = error.quoted.unwrap();
        assert_eq!(about.flow.netns, HOST);
        assert_eq!(about.flow.source.to_string(), "192.0.2.2:40000");
        assert_eq!(about.flow.destination.to_string(), "198.51.100.9:80");
        assert_eq!((about.seq, about.ack), (Some(0x0102_0304), ack), "{quoted}");
        // Two IP headers, an ICMP header, and of the TCP header what is quoted.
        assert_eq!(packet.head.len(), 28 + quoted.min(40));
    }
}

#[test]
fn what_a_tunnel_made_a_message_of_is_the_packet_again() {
    for (gso_size, length) in [(0, 1500), (1400, 1440)] {
        let mut record = record(&message(&segment(1460), 548));
        record.header.kind = kind::TUNNEL;
        record.key.flow.protocol = 1;
        record.gso_size = gso_size;
        record.route = record.device;
        let packet = decoded(&record);
        assert!(matches!(
            packet.what,
            mtu_trace::testing::PacketKind::Dropped { ref function, reason: None }
                if function == "skb_tunnel_check_pmtu"
        ));
        assert_eq!(packet.flow.source.to_string(), "192.0.2.2:40000");
        assert_eq!((packet.flow.netns, packet.flow.protocol), (HOST, 6));
        assert_eq!((packet.length_bytes, packet.buffer_bytes), (length, 1500));
        assert_eq!(packet.route_mtu_bytes, Some(1450));
        assert_eq!((packet.route, packet.icmp_error), (None, None));
        let tcp = packet.tcp.unwrap();
        assert_eq!((tcp.seq, tcp.payload_bytes), (0x0102_0304, 1460));
        assert_eq!(packet.head, segment(1460)[..40]);
    }
    // What quotes nothing is told as it is.
    let mut bare = record(&message(&[], 0));
    bare.header.kind = kind::TUNNEL;
    assert!(decoded(&bare).icmp_error.is_some());
}

#[test]
fn a_path_mtu_is_a_sockets_or_a_routes() {
    let socket = Conn::new(0).server.flow;
    let mut record = record::PathMtuRecord::new_zeroed();
    record.header.kind = kind::PATH_MTU;
    record.key = key(&socket);
    (record.mtu, record.before, record.count) = (1450, 1500, 3);
    let decoded = |record: &record::PathMtuRecord| {
        let event = decoder().decode(record.as_bytes(), &network(ROUTED));
        match event.unwrap().0.kind {
            EventKind::PathMtu(told) => told,
            other => panic!("{other:?}"),
        }
    };
    let told = decoded(&record);
    assert!(told.is_socket());
    assert_eq!((told.flow, told.mtu_bytes), (socket, 1450));
    assert_eq!((told.before_bytes, told.count), (Some(1500), 3));
    (record.key.protocol, record.before) = (0, 0);
    let told = decoded(&record);
    assert!(!told.is_socket());
    assert_eq!(told.before_bytes, None);
}

#[test]
fn short_records_say_what_is_missing() {
    let topology = Topology::default();
    let whole = record(&segment(0));
    let bytes = whole.as_bytes();
    assert_eq!(
        decoder().decode(&bytes[..15], &topology).unwrap_err(),
        DecodeError::Header(15)
    );
    assert_eq!(
        decoder().decode(&bytes[..100], &topology).unwrap_err(),
        DecodeError::Short {
            kind: kind::DROP,
            have: 100,
            want: bytes.len()
        }
    );
    let mut unknown = whole;
    unknown.header.kind = 99;
    assert_eq!(
        decoder().decode(unknown.as_bytes(), &topology).unwrap_err(),
        DecodeError::Kind(99)
    );
}

/// A record with the bytes where it claims its kind, as a ring buffer would hand it over: aligned.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    words
}

fn decode_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let words = aligned(bytes);
    let bytes = &words.as_bytes()[..bytes.len()];
    if let Ok((event, _count)) = decoder().decode(bytes, &network(ROUTED))
        && let EventKind::Packet(packet) = event.kind
    {
        prop_assert!(packet.head.len() <= HEAD_BYTES);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes_are_an_error_or_an_event(
        kind in 0..9u32,
        rest in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend(rest);
        decode_all(&bytes)?;
    }

    #[test]
    fn mutated_records_are_an_error_or_an_event(
        payload in 0..1460usize,
        quoted in prop::option::of(0..600usize),
        tunnel in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let packet = segment(payload);
        let mut record = match quoted {
            Some(quoted) => record(&message(&packet, quoted)),
            None => record(&packet),
        };
        if tunnel {
            record.header.kind = kind::TUNNEL;
        }
        let mut bytes = record.as_bytes().to_vec();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        decode_all(&bytes)?;
    }

    /// Whatever the IP header says of the packet's length: what is kept of it is headers.
    #[test]
    fn payload_is_never_kept(
        payload in 0..1460usize,
        total in prop_oneof![0..200u16, any::<u16>()],
        head_len in prop_oneof![0..200u32, any::<u32>()],
    ) {
        let mut packet = segment(payload);
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        let mut record = record(&packet);
        record.head_len = record.head_len.min(head_len);
        let head = decoded(&record).head;
        prop_assert!(head.len() <= 40);
        prop_assert_eq!(&head[..], &packet[..head.len()]);
        // Nor of one that a tunnel has quoted.
        let mut quoting = super::records::record(&message(&packet, 548));
        quoting.header.kind = kind::TUNNEL;
        let refused = decoded(&quoting);
        if refused.icmp_error.is_none() {
            prop_assert!(refused.head.len() <= 40);
            prop_assert_eq!(&refused.head[..], &packet[..refused.head.len()]);
        }
    }

    #[test]
    fn keys_and_flows_are_the_same_thing(
        netns in any::<u64>(),
        ipv6 in any::<bool>(),
        addresses in any::<[[u8; 16]; 2]>(),
        ports in any::<[u16; 2]>(),
        protocol in any::<u8>(),
    ) {
        let cut = |mut address: [u8; 16]| {
            if !ipv6 {
                address[4..].fill(0);
            }
            address
        };
        let wanted = FlowKey {
            netns,
            source: cut(addresses[0]),
            destination: cut(addresses[1]),
            source_port: ports[0],
            destination_port: ports[1],
            family: if ipv6 { 6 } else { 4 },
            protocol,
            reserved: [0; 2],
        };
        let known = flow(&wanted);
        prop_assert_eq!(known.netns, NetnsId(netns));
        prop_assert_eq!(key(&known), wanted);
    }
}
