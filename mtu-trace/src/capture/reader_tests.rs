//! Files of earlier versions.

use std::collections::BTreeMap;

use crate::base::clock::Clock;
use crate::capture::blocks;
use crate::capture::format::{MAGIC, PartHeader};
use crate::capture::reader::Reader;
use crate::model::event::{Device, Event, EventKind, Flow, Name, Packet, PacketKind};
use crate::model::network::NetnsId;

fn header() -> PartHeader {
    PartHeader {
        tool_version: String::new(),
        hostname: String::new(),
        kernel: String::new(),
        machine: String::new(),
        clock: Clock {
            wall: "2026-03-04T05:06:07Z".parse().unwrap(),
            monotonic_ns: 0,
        },
        recording: 7,
        part: 1,
        began_ns: 0,
        hooks: Vec::new(),
    }
}

fn dropped(function: &str) -> Event {
    let netns = NetnsId(1);
    let packet = Packet {
        what: PacketKind::Dropped {
            function: Name::from(function),
            reason: None,
        },
        flow: Flow {
            netns,
            protocol: 6,
            source: "[2001:db8::1]:80".parse().unwrap(),
            destination: "192.0.2.1:40000".parse().unwrap(),
        },
        device: Device {
            netns,
            ifindex: 2,
            name: None,
            mtu_bytes: 1500,
        },
        has_device: true,
        route: None,
        peer: None,
        came_in: None,
        route_input: None,
        route_mtu_bytes: None,
        length_bytes: 1500,
        buffer_bytes: 1500,
        tag_bytes: 0,
        route_mtu_locked: false,
        gso: false,
        tcp: None,
        icmp_error: None,
        inner: None,
        count: 1,
        first_ns: 5,
        repeats: 0,
        netfilter_hook: None,
        ct_state: None,
        head: vec![0x45; 40],
    };
    Event {
        time_ns: 5,
        kind: EventKind::Packet(Box::new(packet)),
    }
}

#[test]
fn packets_of_version_1_are_read_from_as_many_options_as_they_fill() {
    let [a, b, c] = MAGIC;
    let header = BTreeMap::from([("header", header())]);
    let content = cbor4ii::serde::to_vec(vec![a, b, c, 1], &header).unwrap();
    let mut file = blocks::section("", "", "", "").unwrap();
    blocks::put_own(&mut file, &content).unwrap();
    let events = [dropped("ip_forward"), dropped(&"f".repeat(150_000))];
    for event in &events {
        let EventKind::Packet(packet) = &event.kind else {
            unreachable!("{event:?}");
        };
        let encoded = cbor4ii::serde::to_vec(Vec::new(), event).unwrap();
        file.extend(blocks::packet(0, 5, packet, "", &encoded).unwrap());
    }
    let mut reader = Reader::new(file.as_slice()).unwrap();
    let read: Vec<Event> = std::iter::from_fn(|| reader.next_event()).collect();
    assert!(read == events);
    assert_eq!(reader.condition().damage, None);
}
