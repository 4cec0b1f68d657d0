//! Captures: what was kept is read again exactly, and means the same.

use std::sync::Arc;

use mtu_trace::testing::{
    Analysis, Count, Encoder, Event, EventKind, Flow, Inside, LearnedPathMtu, Link, Netns, NetnsId,
    PacketKind, PartEnd, PartHeader, PathMtu, Store, Timers, Topology,
};
use proptest::prelude::*;

use super::black_hole::{filtered_events, silent_events};
use super::network::{ROUTED, VETH};
use super::packet::Places;
use super::path_mtu::healthy_events;
use super::properties;
use super::recording::{header, kept, parts, read};
use super::reports::json;
use super::scenario::{Conn, NS_PER_MS, START_NS, again, at, ends, evicted, timeline};

pub fn findings(events: &[Event]) -> String {
    let mut analysis = Analysis::default();
    for event in events {
        analysis.apply(event);
    }
    json(analysis.findings())
}

/// A scenario with packets whose headers are there.
pub fn captured_events() -> Vec<Event> {
    let mut events = timeline(filtered_events(&Places::new(ROUTED)), 4000);
    for (number, event) in events.iter_mut().enumerate() {
        if let EventKind::Packet(packet) = &mut event.kind {
            packet.head = (0..20 + number % 41).map(|at| at as u8).collect();
        }
    }
    events
}

/// What a part begins with: the network and both ends of the connection.
fn opening() -> Vec<Event> {
    let events = captured_events().into_iter();
    let mut opening: Vec<Event> = events
        .filter(|event| !matches!(event.kind, EventKind::Tick))
        .collect();
    opening.truncate(3);
    opening
}

#[test]
fn events_come_back_and_mean_the_same() {
    let scenarios = [
        captured_events(),
        timeline(silent_events(VETH, Places::veth), 4000),
        timeline(healthy_events(&Places::new(ROUTED), 2), 4000),
    ];
    for events in scenarios {
        let file = kept(&events);
        let (again, reader) = read(&file);
        assert_eq!(again, events);
        assert_eq!(findings(&again), findings(&events));
        assert_eq!(*reader.header(), header());
        assert_eq!(reader.condition().notes(), Vec::<String>::new());
        let end = PartEnd {
            ended_ns: events.last().unwrap().time_ns,
            hooks: Vec::new(),
            events: events.len() as u64,
            continued: false,
        };
        assert_eq!(reader.end(), Some(&end));
    }
}

/// Events of every kind: what only functions of the kernel tell, and what cannot be seen, too.
pub fn every_kind() -> Vec<Event> {
    let conn = Conn::new(0);
    let mut events = captured_events();
    let mut resent = conn.server_resends(0, 1);
    resent.timers = Some(Timers {
        timeouts: 2,
        probes: 1,
        losses: 2,
    });
    events.insert(3, at(1, EventKind::Limited(vec!["no names".to_owned()])));
    let flow = conn.server.flow;
    for (protocol, before_bytes) in [(flow.protocol, Some(1500)), (0, None)] {
        let told = PathMtu {
            flow: Flow { protocol, ..flow },
            mtu_bytes: 1450,
            before_bytes,
            count: 3,
        };
        events.push(at(4000, EventKind::PathMtu(told)));
    }
    events.push(at(4000, again(resent)));
    let blind = vec!["icmp:icmp_send".to_owned(), "tc:egress".to_owned()];
    events.push(at(4001, EventKind::Blind(blind)));
    events.push(at(4002, EventKind::Lost(7)));
    let function = "ip_forward".into();
    for count in [
        Count::Dropped {
            flow,
            function,
            count: 9,
            last_ns: START_NS,
        },
        Count::Retransmitted {
            flow,
            count: 3,
            last_ns: START_NS,
        },
    ] {
        events.push(at(4003, EventKind::Count(count)));
    }
    events.push(at(4004, conn.server_stands(3, 1448)));
    events.push(at(4005, ends(conn.server, 1, 110)));
    events
}

#[test]
fn what_functions_tell_comes_back_in_each_part() {
    let mut events = every_kind();
    events.insert(4, at(1, evicted(Store::Drops, 16_384, 3)));
    for most in [1, 7, 20] {
        let files = parts(&events, most);
        let (again, _) = read(&files.concat());
        assert_eq!(again, events);
        // What cannot be seen is so in all of them.
        let (carried, _) = read(files.last().unwrap());
        let limited = |event: &Event| matches!(event.kind, EventKind::Limited(_));
        assert!(carried.iter().any(limited), "{carried:?}");
        let forgotten = |event: &Event| matches!(event.kind, EventKind::Evicted(_));
        assert!(carried.iter().any(forgotten), "{carried:?}");
    }
}

#[test]
fn parts_together_are_the_whole() {
    let events = captured_events();
    for most in [1, 7, 20] {
        let files = parts(&events, most);
        let (again, reader) = read(&files.concat());
        assert_eq!(again, events);
        assert_eq!(reader.condition().notes(), Vec::<String>::new());
    }
}

#[test]
fn a_part_alone_has_what_is_needed_and_says_what_is_not_there() {
    let events = captured_events();
    let files = parts(&events, 20);
    let (first, reader) = read(&files[0]);
    assert_eq!(first, events[..20]);
    let notes = reader.condition().notes().concat();
    assert!(notes.contains("goes on in another part"), "{notes}");

    let (second, reader) = read(&files[1]);
    let notes = reader.condition().notes().concat();
    assert!(notes.contains("begins with part 2"), "{notes}");
    let (carried, own) = second.split_at(second.len() - 20);
    assert_eq!(own, &events[20..40]);
    assert_eq!(carried, opening());
    // What goes on is found again without what came before.
    let (later, _) = read(&parts(&events, 4)[1..].concat());
    assert!(findings(&later).contains("mtu-black-hole"));

    // With one missing, the state is told again.
    let gap = [files[0].as_slice(), &files[2]].concat();
    let (with_gap, reader) = read(&gap);
    assert_eq!(reader.condition().missing_parts, [2]);
    assert_eq!(with_gap[..20], events[..20]);
    assert_eq!(with_gap[20..23], opening());
}

#[test]
fn another_recording_behind_is_left_out() {
    let events = captured_events();
    let mut other = Encoder::new(PartHeader {
        recording: 8,
        ..header()
    });
    let mut file = kept(&events);
    let length = file.len();
    file.extend(other.opening().unwrap());
    other.event(&events[0], &mut file).unwrap();
    let (again, reader) = read(&file);
    assert_eq!(again, events);
    let offset = reader.condition().other.unwrap();
    // Its first block is the section header, which has nothing of ours in it.
    assert!(offset > length as u64 && offset < length as u64 + 400);
}

#[test]
fn a_connection_that_is_closed_is_not_told_again() {
    let events = opening();
    let mut encoder = Encoder::new(header());
    let mut file = encoder.opening().unwrap();
    for event in &events {
        encoder.event(event, &mut file).unwrap();
    }
    let EventKind::Connection(socket) = events[1].kind else {
        panic!("{:?}", events[1]);
    };
    let closed = at(60, ends(socket, 1, 0));
    encoder.event(&closed, &mut file).unwrap();
    let (_, opening) = encoder.next_part(START_NS).unwrap();
    let (carried, _) = read(&opening);
    assert_eq!(carried, [events[0].clone(), events[2].clone()]);
}

#[test]
fn names_of_any_length_come_back() {
    let mut events = captured_events();
    for event in &mut events {
        if let EventKind::Packet(packet) = &mut event.kind {
            packet.what = PacketKind::Dropped {
                function: "f".repeat(150_000).into(),
                reason: None,
            };
        }
    }
    let (again, _) = read(&kept(&events));
    assert!(again == events);
}

#[test]
fn names_of_a_stranger_are_made_printable() {
    let mut events = captured_events();
    for event in &mut events {
        if let EventKind::Packet(packet) = &mut event.kind {
            packet.device.name = Some("\u{1b}[2Jeth0".into());
        }
    }
    let (again, _) = read(&kept(&events));
    let names: Vec<&str> = again
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Packet(packet) => packet.device.name.as_deref(),
            _ => None,
        })
        .collect();
    assert!(!names.is_empty());
    assert!(
        names.iter().all(|name| *name == "\\x1b[2Jeth0"),
        "{names:?}"
    );
}

/// A network that differs from another in this or that.
fn topologies() -> impl Strategy<Value = Topology> {
    let links = prop::collection::btree_map(1..5u32, (0..3u32, "[a-z]{1,3}"), 0..4);
    let netns = (links, 0..3u8, any::<bool>(), prop::option::of("[a-z]{1,3}"));
    prop::collection::btree_map(1..5u64, netns, 0..4).prop_map(|all| {
        let namespaces = all.into_iter().map(|(id, (links, inside, gone, name))| {
            let links = links.into_iter().map(|(ifindex, (mtu, name))| {
                let link = Link {
                    name,
                    mtu_bytes: 1400 + mtu,
                    ..Link::default()
                };
                (ifindex, link)
            });
            let netns = Netns {
                links: links.collect(),
                gone,
                name,
                inside: (inside > 0).then(|| {
                    Arc::new(Inside {
                        path_mtus: vec![LearnedPathMtu {
                            destination: [192, 0, 2, inside].into(),
                            mtu_bytes: 1400,
                        }],
                        ..Inside::default()
                    })
                }),
                ..Default::default()
            };
            (NetnsId(id), netns)
        });
        Topology {
            namespaces: namespaces.collect(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_events_come_back(
        events in properties::events(),
        heads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..140), 120),
        times in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 20),
        most in 1..40usize,
    ) {
        let mut events = events;
        for (event, head) in events.iter_mut().zip(heads) {
            if let EventKind::Packet(packet) = &mut event.kind {
                packet.head = head;
            }
        }
        for (event, time_ns) in events.iter_mut().zip(times) {
            event.time_ns = time_ns;
        }
        let (again, reader) = read(&kept(&events));
        prop_assert_eq!(&again, &events);
        prop_assert!(reader.condition().notes().is_empty());
        prop_assert_eq!(findings(&again), findings(&events));
        let (again, _) = read(&parts(&events, most).concat());
        prop_assert_eq!(&again, &events);
    }

    #[test]
    fn any_network_comes_back(topologies in prop::collection::vec(topologies(), 1..8)) {
        let events: Vec<Event> = (0..)
            .zip(topologies)
            .map(|(number, topology)| Event {
                time_ns: START_NS + number * NS_PER_MS,
                kind: EventKind::Topology(Arc::new(topology)),
            })
            .collect();
        let (again, _) = read(&kept(&events));
        prop_assert_eq!(&again, &events);
        let (again, _) = read(&parts(&events, 3).concat());
        prop_assert_eq!(&again, &events);
    }
}
