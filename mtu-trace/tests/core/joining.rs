//! Drops and messages that find their connection: before it is known, after it is gone, and when
//! another has its addresses.

use mtu_trace::testing::{Analysis, Direction, Event, EventKind, Isn, TcpState, Verdict};

use super::black_hole::{filtered, filtered_events, hole};
use super::network::{CONTAINER, EXT0, ROUTED, device, told};
use super::packet::{MSS, Places, Shown};
use super::scenario::{Conn, NS_PER_MS, START_NS, again, at, ends, opening, resend, run};

#[test]
fn drop_known_before_its_socket_joins_afterwards() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let both = [conn.client_known(), conn.server_known()];
    let reversed = [conn.server_known(), conn.client_known()];
    for sockets in [both, reversed] {
        let mut events = vec![at(0, told(&places.topology))];
        events.extend(hole(conn, 100, |nth| places.forward(conn, nth)));
        events.extend(sockets.map(|socket| at(300, socket)));
        let outcome = run(events, 4000);
        let finding = outcome.only();
        assert_eq!(finding.verdict, Verdict::MtuBlackHole);
        assert_eq!(finding.evidence.oversized_drops, 14);
        assert_eq!(finding.evidence.retransmits, 4);
        assert_eq!(finding.evidence.attempts, 5);
        let connection = finding.connection.unwrap();
        assert_eq!(connection.local.netns.unwrap().cookie, Some(CONTAINER.0));
        assert_eq!(connection.direction, Direction::Download);
        assert_eq!(outcome.analysis.state().connections().count(), 1);
    }
}

#[test]
fn drop_of_an_upload_known_before_its_socket_joins_afterwards() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    for sockets in [
        vec![conn.client_known()],
        vec![conn.client_known(), conn.server_known()],
        vec![conn.server_known(), conn.client_known()],
    ] {
        let mut events = vec![at(0, told(&places.topology))];
        for ms in [100, 310, 730, 1560] {
            events.push(at(ms, places.upload(conn, 0)));
        }
        events.extend(sockets.into_iter().map(|socket| at(200, socket)));
        let finding = run(events, 2000).only();
        assert_eq!(finding.verdict, Verdict::MtuBlackHole);
        assert_eq!(finding.evidence.oversized_drops, 4);
        let connection = finding.connection.unwrap();
        assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
        assert_eq!(connection.direction, Direction::Upload);
    }
}

#[test]
fn packets_on_both_sides_of_a_nat_join_the_socket_that_comes_later() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let outside = |nth| {
        // At the host's outer device the second NAT is not undone yet.
        places
            .forward(conn, nth)
            .dropped("nft_do_chain", "NETFILTER_DROP")
            .with(|packet| {
                packet.flow.destination = conn.server.flow.destination;
                packet.device = device(&places.topology, EXT0);
                packet.route = None;
            })
    };
    let mut events = vec![at(0, told(&places.topology))];
    for ms in [100, 310, 730, 1560] {
        events.push(at(ms, outside(0)));
        events.push(at(ms, places.forward(conn, 0)));
    }
    events.push(at(200, conn.client_known()));
    let outcome = run(events, 2000);
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.evidence.oversized_drops, 4);
    assert_eq!(finding.evidence.other_drops, 4);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    assert_eq!(connection.direction, Direction::Download);
    assert_eq!(outcome.analysis.state().connections().count(), 1);
}

/// Only the client knows the server by another address than its own.
#[test]
fn a_service_is_looked_at_from_its_client() {
    let places = Places::new(ROUTED);
    let mut conn = Conn::new(0);
    conn.server.flow.source = "203.0.113.77:8080".parse().unwrap();
    conn.server.flow.destination = conn.client.flow.source;
    let mut events = opening(&places, conn);
    events.extend(filtered(&places, conn, 100));
    let finding = run(events, 4000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    assert_eq!(connection.direction, Direction::Download);
}

#[test]
fn addresses_used_again_are_another_connection() {
    let places = Places::new(ROUTED);
    let first = Conn::new(0);
    let mut second = Conn::with_isn(
        0,
        Isn {
            iss: 0x5555_0000,
            irs: 0x0777_0000,
        },
    );
    for socket in [&mut second.client, &mut second.server] {
        socket.opened_ns = START_NS + 6000 * NS_PER_MS;
    }
    let mut events = filtered_events(&places);
    events.push(at(5000, ends(first.client, 1, 110)));
    events.push(at(5000, ends(first.server, 1, 110)));
    // The second finds the router's rules repaired.
    events.push(at(6000, second.client_known()));
    events.push(at(6000, second.server_known()));
    events.extend((0..10).map(|nth| at(6100, places.forward(second, nth))));
    let mut resent = second.server_resends(0, 0);
    resent.pmtu_bytes = 1450;
    events.push(at(6101, again(resent)));
    events.push(at(6140, second.server_stands(20, 1398)));
    let outcome = run(events, 8000);
    assert_eq!(outcome.analysis.state().connections().count(), 2);
    let findings = outcome.findings();
    let verdicts: Vec<Verdict> = findings.iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::MtuBlackHole, Verdict::PmtudWorking]);
    assert_eq!(findings[0].connections, 1);
    assert!(!findings[0].ongoing);
    assert_eq!(findings[0].evidence.oversized_drops, 14);
    assert_eq!(findings[0].evidence.attempts, 5);
    // The kernel counts by flow and place: what the first lost there is none of the second's.
    assert_eq!(
        findings[1].first_seen_ns,
        START_NS + 6100 * NS_PER_MS,
        "{} ms",
        (findings[1].first_seen_ns - START_NS) / NS_PER_MS
    );
    assert_eq!(findings[1].evidence.oversized_drops, 10);
}

#[test]
fn ends_meet_though_one_was_known_before_it_had_numbers() {
    // The client's SYN is sent again, so it is heard of before the handshake; the drops are first
    // found to be the server's.
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut nameless = conn.client;
    nameless.isn = None;
    let mut syn = conn.client_resends(0, 1);
    syn.socket = nameless;
    syn.state = TcpState::SYN_SENT;
    let mut events = vec![at(0, told(&places.topology)), at(10, again(syn))];
    events.push(at(50, conn.server_known()));
    events.extend(filtered(&places, conn, 100));
    events.push(at(3000, conn.client_known()));
    let outcome = run(events, 4000);
    assert_eq!(outcome.analysis.state().connections().count(), 1);
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.connections, 1);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    assert_eq!(connection.direction, Direction::Download);
}

#[test]
fn strangers_with_the_same_numbers_stay_strangers() {
    // Two connections at one place, one of them healthy.
    let places = Places::new(ROUTED);
    let (bad, good) = (Conn::new(0), Conn::new(1));
    let mut events = opening(&places, bad);
    events.push(at(50, good.client_known()));
    events.push(at(50, good.server_known()));
    events.extend(filtered(&places, bad, 100));
    events.push(at(120, good.server_stands(50, MSS)));
    let finding = run(events, 4000).only();
    assert_eq!(finding.connections, 1);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
}

#[test]
fn many_connections_to_one_server_are_not_taken_for_each_other() {
    // The packets' own connections are not known; those that are have nothing to do with them.
    let places = Places::new(ROUTED);
    let mut numbers = (1..).scan(0x2545_f491_u32, |state, _: u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.rotate_left(16))
    });
    let mut number = || numbers.next().unwrap();
    let mut random = |port| {
        let (iss, irs) = (number(), number());
        Conn::with_isn(port, Isn { iss, irs })
    };
    let mut events = vec![at(0, told(&places.topology))];
    events.extend((0..50).map(|port| at(50, random(port).client_known())));
    events.extend((100..300).map(|port| at(100, places.forward(random(port), 0))));
    let outcome = run(events, 200);
    let known = outcome.analysis.state().connections();
    let mistaken = known
        .filter(|(_, connection)| !connection.ends.is_empty())
        .map(|(_, connection)| connection.seen_as.len() - 1)
        .sum::<usize>();
    assert!(mistaken <= 5, "{mistaken} of 200 were taken for another's");
}

#[test]
fn message_about_no_known_packet_is_no_connection() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events: Vec<Event> = vec![at(0, told(&places.topology))];
    for ms in [100, 310, 730] {
        events.push(at(ms, places.blocked_in_output(conn, 0)));
    }
    let quiet = |shown: Shown| {
        shown.with(|packet| {
            if let Some(error) = &mut packet.icmp_error {
                error.quoted = None;
            }
        })
    };
    events.push(at(800, quiet(places.blocked_in_output(conn, 0))));
    let outcome = run(events, 3000);
    outcome.nothing();
    assert_eq!(outcome.analysis.state().connections().count(), 0);
}

#[test]
fn counts_go_on_past_the_last_event() {
    use mtu_trace::testing::Count;
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = filtered_events(&places);
    events.push(at(
        3900,
        EventKind::Count(Count::Dropped {
            flow: conn.forwarded(),
            function: "ip_forward".into(),
            count: 500,
            last_ns: START_NS + 3800 * NS_PER_MS,
        }),
    ));
    events.push(at(
        3900,
        EventKind::Count(Count::Retransmitted {
            flow: conn.server.flow,
            count: 42,
            last_ns: START_NS + 3800 * NS_PER_MS,
        }),
    ));
    let finding = run(events, 4000).only();
    assert_eq!(finding.evidence.oversized_drops, 500);
    assert_eq!(finding.evidence.retransmits, 42);
}

#[test]
fn of_very_many_that_stall_the_closed_and_then_the_oldest_are_forgotten() {
    const MANY: u16 = 10_500;
    let first = Conn::new(0);
    let nth = |number: u16| {
        let mut socket = first.client;
        socket.flow.source.set_port(number + 1);
        let iss = u32::from(number) * 200_000;
        socket.isn = Some(Isn { iss, irs: !iss });
        socket
    };
    let mut analysis = Analysis::default();
    for number in 0..MANY {
        let ms = u64::from(number);
        let socket = nth(number);
        analysis.apply(&at(ms, again(resend(socket, first.client_seq(0), 0))));
        // The last one is closed.
        if number + 1 == MANY {
            analysis.apply(&at(ms, ends(socket, 1, 110)));
        }
    }
    // A healthy one takes no room of theirs.
    analysis.apply(&at(0, first.client_known()));
    analysis.apply(&at(u64::from(MANY), EventKind::Tick));
    let state = analysis.state();
    let is_known = |number| state.connection(&nth(number).flow).is_some();
    assert!(state.connection(&first.client.flow).is_some());
    assert_eq!(state.connections().count(), 9_001);
    assert!(!is_known(MANY - 1));
    let oldest_left = MANY - 9_001;
    assert!(!is_known(oldest_left - 1) && is_known(oldest_left) && is_known(MANY - 2));
}
