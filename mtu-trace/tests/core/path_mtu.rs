//! Path MTU discovery that works, and that works too late.

use std::net::SocketAddr;

use mtu_trace::testing::{
    Confidence, Direction, Event, EventKind, Flow, PacketKind, PathMtu, Severity, Timers, UDP,
    Verdict,
};

use super::black_hole::hole;
use super::network::{HOST, ROUTED, SERVER, VETH, VETHOUT, device, told};
use super::packet::{MSS, Places, Shown};
use super::scenario::{Conn, NS_PER_MS, START_NS, again, at, opening, run};

/// A first flight of ten that dies at the router, and a sender that hears of it after half a round
/// trip and sends smaller segments.
pub fn healthy_events(places: &Places, rtt_ms: u64) -> Vec<Event> {
    let conn = Conn::new(0);
    let mut events = opening(places, conn);
    for nth in 0..10 {
        let drop = places.forward(conn, nth);
        events.push(at(100, drop.clone()));
        events.push(at(100, drop.signalled()));
    }
    let mut resent = conn.server_resends(0, 0);
    resent.mss_cache = 1398;
    resent.pmtu_bytes = 1450;
    resent.end_seq = resent.seq.wrapping_add(1398);
    let heard = 100 + rtt_ms / 2;
    events.push(at(heard, again(resent)));
    events.push(at(heard + 1, conn.server_stands(0, 1398)));
    events.push(at(heard + rtt_ms, conn.server_stands(4, 1398)));
    events.push(at(heard + rtt_ms, conn.client_stands(4)));
    events.push(at(heard + 2 * rtt_ms, conn.server_stands(14, 1398)));
    events
}

#[test]
fn working_discovery_is_never_a_black_hole() {
    for rtt_ms in [0, 2, 300] {
        let outcome = run(healthy_events(&Places::new(ROUTED), rtt_ms), 5000);
        outcome.never(Verdict::MtuBlackHole);
        outcome.never(Verdict::PmtudSlow);
        let finding = outcome.only();
        assert_eq!(finding.verdict, Verdict::PmtudWorking, "RTT {rtt_ms} ms");
        assert_eq!(finding.severity, Severity::Info);
        assert_eq!(finding.confidence, Confidence::Confirmed);
        assert!(!finding.ongoing);
        assert_eq!(finding.first_seen_ns, START_NS + 100 * NS_PER_MS);
        let pmtud = finding.pmtud.unwrap();
        assert_eq!((pmtud.signalled, pmtud.delivered), (true, Some(true)));
        assert_eq!(pmtud.blocked_at, None);
        assert_eq!(finding.boundary.unwrap().netns.cookie, Some(HOST.0));
        let evidence = finding.evidence;
        assert_eq!(
            (evidence.oversized_drops, evidence.icmp_generated),
            (10, 10)
        );
        assert_eq!((evidence.retransmits, evidence.attempts), (1, 1));
        assert_eq!(evidence.sender_mss, Some(1398));
        let connection = finding.connection.unwrap();
        assert_eq!(connection.direction, Direction::Download);
    }
}

#[test]
fn working_discovery_is_seen_from_the_receiver_alone() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = vec![at(0, told(&places.topology)), at(50, conn.client_known())];
    events.extend((0..10).map(|nth| at(100, places.forward(conn, nth))));
    events.extend((1..10).map(|tick| at(tick * 50, conn.client_stands(0))));
    events.push(at(600, conn.client_stands(10)));
    let outcome = run(events, 2000);
    outcome.never(Verdict::MtuBlackHole);
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::PmtudWorking);
    assert_eq!(finding.connection.unwrap().direction, Direction::Download);
}

#[test]
fn repeated_discovery_on_one_connection_is_no_stall() {
    // The learned MTU is forgotten every ten minutes and learned again.
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for round in 0..5u32 {
        let ms = 100 + u64::from(round) * 600_000;
        let first = round * 10;
        events.push(at(ms - 10, conn.server_stands(first, 1398)));
        events.push(at(ms, places.forward(conn, first)));
        let mut resent = conn.server_resends(first, 0);
        resent.pmtu_bytes = 1450;
        events.push(at(ms + 1, again(resent)));
        events.push(at(ms + 50, conn.server_stands(first + 10, 1398)));
    }
    let outcome = run(events, 2_500_000);
    outcome.never(Verdict::MtuBlackHole);
    assert_eq!(outcome.only().verdict, Verdict::PmtudWorking);
}

#[test]
fn recovery_by_probing_is_slow_and_no_black_hole_in_the_end() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, |nth| places.veth(conn, nth)));
    // At the fifth timeout the sender tries a smaller segment, and it arrives.
    let mut probe = conn.server_resends(0, 4);
    probe.mss_cache = 1024;
    probe.end_seq = probe.seq.wrapping_add(1024);
    events.push(at(6500, again(probe)));
    events.push(at(6502, conn.server_stands(7, 1024)));
    events.push(at(6502, conn.client_stands(7)));
    events.push(at(6520, conn.server_stands(14, 1024)));
    let outcome = run(events, 8000);
    assert_eq!(outcome.ever.get("mtu-black-hole"), Some(&800));
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::PmtudSlow);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(!finding.ongoing);
    assert_eq!(finding.evidence.retransmits, 5);
    assert_eq!(finding.evidence.stalled_ms, 6402);
    // Probing lowers the segment size, not the path MTU: nobody was told.
    assert!(!finding.pmtud.unwrap().signalled);
}

#[test]
fn silence_of_a_strangers_connection_says_nothing() {
    // Neither end is here: it may have come down, and it may have given up.
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let events = vec![
        at(0, told(&places.topology)),
        at(100, places.forward(conn, 0)),
        at(310, places.forward(conn, 0)),
    ];
    run(events, 5000).nothing();
}

/// Four datagrams of one flow at a place.
fn datagrams(places: &Places, place: fn(&Places, Conn, u32) -> Shown) -> Vec<Event> {
    let mut events = vec![at(0, told(&places.topology))];
    for ms in [100, 310, 730, 1560] {
        let datagram = place(places, Conn::new(0), 0).with(|packet| {
            packet.flow.protocol = UDP;
            packet.tcp = None;
        });
        events.push(at(ms, datagram));
    }
    events
}

#[test]
fn datagrams_that_die_again_and_again_are_a_hole() {
    let silent = run(datagrams(&Places::new(VETH), Places::veth), 9000).only();
    assert_eq!(silent.verdict, Verdict::MtuBlackHole);
    assert_eq!(silent.confidence, Confidence::Likely);
    assert_eq!(silent.connection.unwrap().protocol, "udp");
    assert!(!silent.ongoing);
    // Nothing is known of a message, and nobody says what got through.
    let routed = run(datagrams(&Places::new(ROUTED), Places::forward), 9000).only();
    assert_eq!(routed.verdict, Verdict::MtuBlackHole);
    assert_eq!(routed.confidence, Confidence::Suspected);
}

#[test]
fn a_sender_of_datagrams_that_was_told_and_stops_has_come_down() {
    let places = Places::new(ROUTED);
    let mut events = datagrams(&places, Places::forward);
    let signals: Vec<Event> = datagrams(&places, |places, conn, nth| {
        places.forward(conn, nth).signalled()
    });
    events.extend(signals.into_iter().skip(1));
    let finding = run(events, 9000).only();
    assert_eq!(finding.verdict, Verdict::PmtudWorking);
    assert_eq!(finding.confidence, Confidence::Suspected);
}

/// What a socket or a route keeps to from now on, where functions of the kernel are seen.
pub fn path_mtu(flow: Flow, mtu_bytes: u32) -> EventKind {
    EventKind::PathMtu(PathMtu {
        flow,
        mtu_bytes,
        before_bytes: Some(1500),
        count: 1,
    })
}

/// The route to where a flow goes.
fn route(flow: Flow) -> Flow {
    Flow {
        protocol: 0,
        source: "0.0.0.0:0".parse().unwrap(),
        destination: SocketAddr::new(flow.destination.ip(), 0),
        ..flow
    }
}

#[test]
fn a_socket_that_was_told_was_told_whatever_else_was_seen() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, |nth| places.forward(conn, nth)));
    let unheard = run(events.clone(), 5000).only().pmtud.unwrap();
    assert_eq!((unheard.signalled, unheard.delivered), (false, None));
    // Neither another connection's socket nor its own other end is the sender, nor is a router.
    let other = [
        path_mtu(conn.client.flow, 1450),
        path_mtu(Conn::new(1).server.flow, 1450),
        path_mtu(route(conn.forwarded()), 1450),
    ];
    let others = events
        .iter()
        .cloned()
        .chain(other.map(|told| at(101, told)));
    let unheard = run(others.collect(), 5000).only().pmtud.unwrap();
    assert_eq!((unheard.signalled, unheard.delivered), (false, None));
    events.push(at(101, path_mtu(conn.server.flow, 1450)));
    let finding = run(events, 5000).only();
    let pmtud = finding.pmtud.unwrap();
    assert_eq!((pmtud.signalled, pmtud.delivered), (true, Some(true)));
    let notes = finding.evidence.notes.join("\n");
    assert!(
        notes.contains("1 times by the sender's socket; MTU 1450"),
        "{notes}"
    );
}

#[test]
fn to_be_told_of_a_wider_place_is_not_to_be_told() {
    // The first router's message arrives, the second one's does not.
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, |nth| places.forward(conn, nth)));
    events.extend((0..5).map(|nth| {
        at(
            200 + u64::from(nth) * 100,
            places.blocked_in_output(conn, nth),
        )
    }));
    events.push(at(101, path_mtu(conn.server.flow, 1480)));
    let finding = run(events, 5000).only();
    let pmtud = finding.pmtud.unwrap();
    assert_eq!(pmtud.delivered, Some(false));
    assert_eq!(pmtud.blocked_at.unwrap().hook, Some("OUTPUT"));
}

#[test]
fn what_a_silent_place_asked_for_was_not_sent() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, |nth| places.veth(conn, nth)));
    events.push(at(100, places.veth(conn, 0).signalled()));
    let finding = run(events, 5000).only();
    assert!(finding.boundary.unwrap().silent);
    assert!(!finding.pmtud.unwrap().signalled);
}

#[test]
fn a_sender_of_datagrams_whose_route_was_told_and_that_stops_has_come_down() {
    let places = Places::new(ROUTED);
    let flow = places.forward(Conn::new(0), 0).0.flow;
    let mut events = datagrams(&places, Places::forward);
    // The router's own packets are none of the sender's.
    events.push(at(1600, path_mtu(route(flow), 1450)));
    let finding = run(events.clone(), 9000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    let senders = Flow {
        netns: SERVER,
        ..route(flow)
    };
    events.push(at(1600, path_mtu(senders, 1450)));
    let finding = run(events, 9000).only();
    assert_eq!(finding.verdict, Verdict::PmtudWorking);
    assert_eq!(finding.pmtud.unwrap().delivered, Some(true));
}

#[test]
fn a_tunnel_that_refuses_a_packet_has_told_its_sender() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let refused = |nth| {
        places
            .forward(conn, nth)
            .dropped("skb_tunnel_check_pmtu", "NOT_SPECIFIED")
            .with(|packet| {
                packet.route = None;
                packet.device = device(&places.topology, VETHOUT);
                packet.route_mtu_bytes = Some(1400);
            })
    };
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, refused));
    let finding = run(events, 5000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    let boundary = finding.boundary.unwrap();
    assert_eq!(
        (boundary.limit_bytes, boundary.packet_bytes),
        (Some(1400), 1500)
    );
    assert_eq!(boundary.egress.as_deref(), Some("vethout"));
    assert!(!boundary.silent);
    assert!(finding.evidence.icmp_generated > 0);
}

#[test]
fn why_segments_were_sent_again_is_told() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, |nth| places.veth(conn, nth)));
    let mut last = conn.server_resends(0, 4);
    last.timers = Some(Timers {
        timeouts: 5,
        probes: 1,
        losses: 5,
    });
    events.push(at(6000, again(last)));
    let finding = run(events, 7000).only();
    let notes = finding.evidence.notes.join("\n");
    assert!(
        notes.contains("tcp_retransmit_timer: 5 timeouts"),
        "{notes}"
    );
    assert!(
        notes.contains("tcp_send_loss_probe: 1 tail loss probes"),
        "{notes}"
    );
}

#[test]
fn super_packets_above_the_mtu_are_no_oversized_packets() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for nth in 0..4 {
        // Twenty thousand bytes in segments that fit, dropped for a reason of their own.
        let big = places.forward(conn, nth);
        let big = big.dropped("ip_forward", "NOT_SPECIFIED").with(|packet| {
            packet.gso = true;
            packet.buffer_bytes = 20_000;
            packet.length_bytes = 1400;
            if let Some(tcp) = &mut packet.tcp {
                tcp.payload_bytes = 19_948;
            }
        });
        events.push(at(100 + u64::from(nth) * 400, big.clone()));
        let seen = big.with(|packet| {
            packet.what = PacketKind::Seen {
                egress: true,
                limit_bytes: Some(1450),
            };
        });
        events.push(at(100, seen));
    }
    events.push(at(3000, conn.server_stands(100, MSS)));
    run(events, 5000).nothing();
}
