use std::cell::Cell;

use super::*;
use crate::kernel::sizes::HostFacts;
use crate::model::event::{Closed, TcpState};
use crate::model::network::NetnsId;

const SECOND: u64 = 1_000_000_000;
/// Time of the first packet, ns.
const BEGIN: u64 = 100 * SECOND;

/// Those of a tracer with so many MiB.
fn sizes(memory: u64) -> Sizes {
    Sizes::of(&HostFacts {
        memory_bytes: memory << 20,
        cpus: 1,
        conntrack_max: None,
        tcp_sockets: 0,
    })
}

/// A map of connections as the kernel would answer.
#[derive(Default)]
struct Table {
    all: Vec<KeptSocket>,
    watched: Vec<Flow>,
    scans: Cell<u32>,
}

impl ConnectionTable for Table {
    fn connection(&self, socket: &Flow) -> Option<KeptSocket> {
        let mut all = self.all.iter();
        all.find(|kept| kept.socket.flow == *socket).copied()
    }

    fn connections(&self) -> impl Iterator<Item = KeptSocket> {
        self.scans.set(self.scans.get() + 1);
        self.all.iter().copied()
    }

    fn watch(&mut self, socket: &Flow) {
        self.watched.push(*socket);
    }
}

fn flow(netns: u64, source: &str, destination: &str) -> Flow {
    Flow {
        netns: NetnsId(netns),
        protocol: TCP,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// A client's socket in a container of namespace 1, behind a NAT.
fn client() -> Socket {
    Socket {
        flow: flow(1, "10.0.0.2:40000", "198.51.100.9:443"),
        opened_ns: BEGIN - SECOND,
        isn: Some(Isn {
            iss: 5_000,
            irs: 9_000,
        }),
        active: Some(true),
    }
}

/// The same flow behind the NAT, in namespace 2.
fn translated() -> Flow {
    flow(2, "192.0.2.1:61000", "198.51.100.9:443")
}

/// A packet of the client, 1000 bytes into the stream.
fn clue(time_ns: u64) -> Clue {
    Clue {
        time_ns,
        seq: 6_000,
        ack: Some(9_100),
    }
}

fn table(all: &[Socket]) -> Table {
    Table {
        all: all.iter().copied().map(KeptSocket::from).collect(),
        ..Table::default()
    }
}

/// The sockets that events announce.
fn told(events: &[Event]) -> Vec<Flow> {
    let sockets = events.iter().filter_map(|event| match &event.kind {
        EventKind::Connection(socket) => Some(socket.flow),
        _ => None,
    });
    sockets.collect()
}

#[test]
fn own_addresses_are_found_at_once_in_either_direction() {
    for wanted in [client().flow, client().flow.reversed()] {
        let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[client()]));
        // The last look through everything was a moment ago.
        lookup.scanned_ns = BEGIN;
        lookup.want(wanted, clue(BEGIN));
        assert!(lookup.is_waiting());
        let events = lookup.look(&mut table, BEGIN, BEGIN - 7);
        assert_eq!(told(&events), [client().flow]);
        assert_eq!(events[0].time_ns, BEGIN - 7);
        assert_eq!((table.scans.get(), lookup.is_waiting()), (0, false));
        assert_eq!(lookup.lookups[&wanted], Lookup::Found(client().flow));
        assert_eq!(table.watched, [client().flow]);
    }
}

#[test]
fn a_translated_flow_is_found_by_its_numbers_when_a_scan_is_due() {
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[client()]));
    lookup.scanned_ns = BEGIN - SCAN_EVERY_NS + 1;
    lookup.want(translated(), clue(BEGIN));
    assert!(lookup.look(&mut table, BEGIN, BEGIN).is_empty());
    assert_eq!(lookup.lookups[&translated()], Lookup::Wanted(clue(BEGIN)));
    let events = lookup.look(&mut table, BEGIN + 1, BEGIN);
    assert_eq!(told(&events), [client().flow]);
    // It is announced once.
    lookup.want(translated(), clue(BEGIN + SECOND));
    lookup.scanned_ns = 0;
    assert!(lookup.look(&mut table, BEGIN + SECOND, BEGIN).is_empty());
}

#[test]
fn what_is_hurried_is_not_kept_waiting() {
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[client()]));
    lookup.scanned_ns = BEGIN;
    lookup.want(translated(), clue(BEGIN));
    lookup.scanned_ns = 0;
    assert_eq!(lookup.look(&mut table, BEGIN, BEGIN).len(), 1);
}

#[test]
fn a_search_in_vain_is_given_up_and_left_alone_for_a_while() {
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[]));
    lookup.want(translated(), clue(BEGIN));
    for tries in 1..MOST_TRIES {
        lookup.scanned_ns = 0;
        lookup.look(&mut table, BEGIN, BEGIN);
        let state = Lookup::Scanning(clue(BEGIN), tries);
        assert_eq!(lookup.lookups[&translated()], state);
        assert!(lookup.is_waiting() && lookup.unseen.is_empty());
    }
    lookup.scanned_ns = 0;
    lookup.look(&mut table, BEGIN, BEGIN);
    assert_eq!(lookup.lookups[&translated()], Lookup::GivenUp(BEGIN));
    assert!(!lookup.is_waiting() && !lookup.unseen.is_empty());
    assert_eq!(table.scans.get(), MOST_TRIES);

    lookup.want(translated(), clue(BEGIN + MISSED_NS - 1));
    assert!(!lookup.is_waiting());
    lookup.want(translated(), clue(BEGIN + MISSED_NS));
    assert!(lookup.is_waiting());
}

#[test]
fn a_socket_that_had_ended_is_no_later_packets() {
    let mut table = table(&[client()]);
    table.all[0].closed_ns = BEGIN;
    for (time_ns, is_found) in [(BEGIN + LINGER_NS, true), (BEGIN + LINGER_NS + 1, false)] {
        for wanted in [client().flow, translated()] {
            let mut lookup = SocketLookup::new(&sizes(256));
            lookup.want(wanted, clue(time_ns));
            let events = lookup.look(&mut table, time_ns, time_ns);
            assert_eq!(!events.is_empty(), is_found, "{wanted}");
        }
    }
}

#[test]
fn an_end_that_is_over_is_announced_with_it() {
    let mut table = table(&[client()]);
    table.all[0].closed_ns = BEGIN;
    table.all[0].closed = Some(Closed {
        flow: client().flow,
        last_state: TcpState::ESTABLISHED,
        error: 110,
        bytes_acked: 0,
        bytes_received: 0,
        unacknowledged: 1,
    });
    let mut lookup = SocketLookup::new(&sizes(256));
    lookup.want(client().flow, clue(BEGIN));
    let events = lookup.look(&mut table, BEGIN, BEGIN);
    assert!(matches!(events[1].kind, EventKind::Closed(_)));
    assert!(lookup.announced.next(9, BEGIN).is_empty());
}

#[test]
fn the_other_end_comes_with_a_socket() {
    let server = Socket {
        flow: flow(3, "198.51.100.9:443", "192.0.2.1:61000"),
        isn: Some(Isn {
            iss: 9_000,
            irs: 5_000,
        }),
        active: Some(false),
        ..client()
    };
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[server, client()]));
    lookup.want(client().flow, clue(BEGIN));
    let events = lookup.look(&mut table, BEGIN, BEGIN);
    assert_eq!(told(&events), [client().flow, server.flow]);
    assert_eq!(lookup.announced.next(9, BEGIN).len(), 2);
}

#[test]
fn addresses_of_a_closed_socket_may_be_anothers() {
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[client()]));
    lookup.want(translated(), clue(BEGIN));
    lookup.look(&mut table, BEGIN, BEGIN);
    lookup.close(&client().flow);
    assert_eq!(lookup.lookups.get(&translated()), None);
    assert!(lookup.announced.next(9, BEGIN).is_empty());
}

#[test]
fn sockets_older_than_the_trace_are_known_by_their_addresses() {
    let old = |flow| Socket {
        flow,
        isn: None,
        active: None,
        ..client()
    };
    let same_remote = old(flow(1, "10.0.0.2:61000", "198.51.100.9:443"));
    let another = old(flow(1, "10.0.0.2:40000", "203.0.113.1:443"));
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[]));
    lookup.unseen.push(translated());
    let events = lookup.unseen(&mut table, &[another, same_remote], BEGIN);
    assert_eq!(told(&events), [same_remote.flow]);
    assert!(lookup.unseen.is_empty());
}

#[test]
fn sockets_are_asked_about_in_turn_and_for_as_long_as_they_matter() {
    let sockets = [1, 2, 3].map(|netns| Socket {
        flow: Flow {
            netns: NetnsId(netns),
            ..client().flow
        },
        ..client()
    });
    let (mut lookup, mut table) = (SocketLookup::new(&sizes(256)), table(&[]));
    for socket in sockets {
        lookup.add(socket, &mut table, BEGIN);
    }
    let mut asked = [
        lookup.announced.next(2, BEGIN),
        lookup.announced.next(1, BEGIN),
    ]
    .concat();
    asked.sort_unstable();
    assert_eq!(asked, sockets.map(|socket| socket.flow));
    assert!(lookup.announced.next(2, BEGIN + 121 * SECOND).is_empty());
}

#[test]
fn only_so_many_flows_are_looked_for_at_once() {
    let mut lookup = SocketLookup::new(&sizes(256));
    let most = Store::Searches.usual_bound();
    for netns in 0..=most {
        let netns = NetnsId(netns);
        lookup.want(
            Flow {
                netns,
                ..translated()
            },
            clue(BEGIN),
        );
    }
    assert_eq!(lookup.open.len() as u64, most);
    assert_eq!(lookup.left_out, 1);
}

#[test]
fn announced_sockets_are_bounded_and_open_ones_that_go_are_counted() {
    let mut announced = Announced::new(20);
    let mut table = table(&[]);
    for number in 0..100 {
        let mut socket = client();
        socket.flow.source.set_port(number);
        let kept = KeptSocket::from(socket);
        assert_eq!(
            announced
                .announce(&kept, &mut table, BEGIN + u64::from(number))
                .len(),
            1
        );
        // Every other one ends at once.
        if number % 2 == 0 {
            announced.close(&socket.flow);
        }
    }
    let kept: Vec<u16> = (0..100)
        .filter(|&port| {
            let mut socket = client();
            socket.flow.source.set_port(port);
            announced.contains(&socket.flow)
        })
        .collect();
    assert!(kept.len() <= 20 && kept.contains(&99), "{kept:?}");
    let open = kept.iter().filter(|port| *port % 2 == 1).count() as u64;
    assert_eq!(announced.forgotten, 50 - open);
}
