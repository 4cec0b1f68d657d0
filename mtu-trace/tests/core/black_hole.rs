//! Connections whose full-size packets die, and whose senders do not come down.

use mtu_trace::testing::{
    Confidence, Direction, Event, EventKind, Finding, Isn, Severity, Verdict,
};

use super::network::{BRIDGE, CONTAINER, HOST, Mtus, ROUTED, SERVER, VETH, told};
use super::packet::{Places, Shown};
use super::scenario::{Conn, NS_PER_MS, START_NS, again, at, opening, run};

/// When the kernel's timeouts are over, ms after the first packet was lost.
pub const TIMEOUTS_MS: [u64; 4] = [210, 630, 1460, 3100];

/// A download into the container of which the first flight dies at `at_ms` and its first segment
/// again at every timeout, at a place that tells nobody.
pub fn hole(conn: Conn, at_ms: u64, place: impl Fn(u32) -> Shown) -> Vec<Event> {
    let mut events: Vec<Event> = (0..10).map(|nth| at(at_ms, place(nth))).collect();
    for (timeouts, ms) in (0..).zip(TIMEOUTS_MS) {
        events.push(at(at_ms + ms, again(conn.server_resends(0, timeouts))));
        events.push(at(at_ms + ms, place(0)));
    }
    events
}

/// The same at the host's router, whose message is dropped by the host's OUTPUT rules.
pub fn filtered(places: &Places, conn: Conn, at_ms: u64) -> Vec<Event> {
    let drops = hole(conn, at_ms, |nth| places.forward(conn, nth));
    let mut events = Vec::new();
    for event in drops {
        let message = match &event.kind {
            EventKind::Packet(packet) => Some(Shown((**packet).clone()).signalled()),
            _ => None,
        };
        let time_ns = event.time_ns;
        events.push(event);
        if let Some(message) = message {
            events.push(Event {
                time_ns,
                kind: message.into(),
            });
            events.push(Event {
                time_ns,
                kind: places.blocked_in_output(conn, 0).into(),
            });
        }
    }
    events
}

/// A black hole at the host's router, in which the message is filtered on its way out.
pub fn filtered_events(places: &Places) -> Vec<Event> {
    let conn = Conn::new(0);
    let mut events = opening(places, conn);
    events.extend(filtered(places, conn, 100));
    events
}

fn assert_black_hole(finding: &Finding) {
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.ongoing);
    assert_eq!(finding.first_seen_ns, START_NS + 100 * NS_PER_MS);
    let took_ns = finding.detected_at_ns - finding.first_seen_ns;
    assert!(took_ns <= 2_000 * NS_PER_MS, "{} ms", took_ns / NS_PER_MS);
    let boundary = finding.boundary.as_ref().unwrap();
    assert_eq!(boundary.netns.cookie, Some(HOST.0));
    assert_eq!(
        (boundary.limit_bytes, boundary.packet_bytes),
        (Some(1450), 1500)
    );
}

#[test]
fn filtered_message_is_told_from_the_containers_own_end() {
    let places = Places::new(ROUTED);
    let outcome = run(filtered_events(&places), 4000);
    let finding = outcome.only();
    assert_black_hole(&finding);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    assert_eq!(finding.connections, 1);

    let connection = finding.connection.unwrap();
    assert_eq!(connection.direction, Direction::Download);
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    assert_eq!(connection.local.netns.unwrap().cookie, Some(CONTAINER.0));
    assert_eq!(connection.remote.socket_address(), "198.51.100.9:80");
    assert_eq!(connection.remote.netns.unwrap().cookie, Some(SERVER.0));
    assert_eq!(
        connection.translated,
        [
            "10.42.0.5:40000 -> 198.51.100.9:80 in the host",
            "198.51.100.1:50000 -> 198.51.100.9:80 in srv",
        ]
    );

    let boundary = finding.boundary.unwrap();
    assert_eq!(boundary.ingress.as_deref(), Some("ext0"));
    assert_eq!(boundary.egress.as_deref(), Some("cni0"));
    assert_eq!(boundary.function, "ip_forward");
    assert_eq!(boundary.reason.as_deref(), Some("PKT_TOO_BIG"));
    assert!(!boundary.silent);

    let pmtud = finding.pmtud.unwrap();
    assert_eq!((pmtud.signalled, pmtud.delivered), (true, Some(false)));
    let blocked = pmtud.blocked_at.unwrap();
    assert_eq!(blocked.hook, Some("OUTPUT"));
    assert_eq!(blocked.netns.cookie, Some(HOST.0));
    assert_eq!(blocked.interface, None);

    let evidence = finding.evidence;
    assert_eq!(evidence.oversized_drops, 14);
    assert_eq!((evidence.retransmits, evidence.max_backoff), (4, 3));
    assert_eq!(evidence.attempts, 5);
    assert_eq!(evidence.seq, Some(Conn::new(0).server_seq(0)));
    assert_eq!((evidence.icmp_generated, evidence.icmp_dropped), (14, 14));
    assert_eq!((evidence.other_drops, evidence.lost_events), (0, 0));
    assert_eq!(evidence.stalled_ms, 3900);
}

#[test]
fn remote_sender_is_known_by_its_drops_and_the_receivers_silence() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = vec![at(0, told(&places.topology)), at(50, conn.client_known())];
    let resends = |event: &Event| matches!(event.kind, EventKind::Retransmit(_));
    events.extend(
        filtered(&places, conn, 100)
            .into_iter()
            .filter(|event| !resends(event)),
    );
    events.extend((1..40).map(|tick| at(tick * 100, conn.client_stands(0))));
    let finding = run(events, 4000).only();
    assert_black_hole(&finding);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.direction, Direction::Download);
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    assert_eq!(connection.local.netns.unwrap().cookie, Some(CONTAINER.0));
    assert_eq!(connection.remote.netns, None);
    assert_eq!(finding.pmtud.unwrap().delivered, Some(false));
    assert_eq!(finding.evidence.oversized_drops, 14);
    assert_eq!(finding.evidence.retransmits, 0);
    assert_eq!(finding.evidence.attempts, 5);
}

#[test]
fn container_is_the_local_end_also_where_it_is_the_server() {
    let mut places = Places::new(ROUTED);
    let namespaces = &mut places.topology.namespaces;
    let container = namespaces.get_mut(&CONTAINER).unwrap().container.take();
    namespaces.get_mut(&SERVER).unwrap().container = container;
    let connection = run(filtered_events(&places), 4000)
        .only()
        .connection
        .unwrap();
    assert_eq!(connection.local.socket_address(), "198.51.100.9:80");
    assert_eq!(connection.direction, Direction::Upload);
    // Without any container it is the end behind the NAT.
    let known = places.topology.namespaces.get_mut(&SERVER).unwrap();
    known.container = None;
    let connection = run(filtered_events(&places), 4000)
        .only()
        .connection
        .unwrap();
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    assert_eq!(connection.direction, Direction::Download);
}

#[test]
fn nothing_but_packets_is_no_more_than_likely() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = vec![at(0, told(&places.topology))];
    let drops = hole(conn, 100, |nth| places.forward(conn, nth));
    let packets = |event: &Event| matches!(event.kind, EventKind::Packet(_));
    events.extend(drops.into_iter().filter(packets));
    let finding = run(events, 4000).only();
    assert_black_hole(&finding);
    assert_eq!(finding.confidence, Confidence::Likely);
    // The receiver stands for the local end.
    let connection = finding.connection.unwrap();
    assert_eq!(connection.local.socket_address(), "10.42.0.5:40000");
    assert_eq!(connection.local.netns, None);
    assert_eq!(connection.direction, Direction::Download);
}

#[test]
fn upload_dies_where_the_outer_container_forwards() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for (timeouts, ms) in [0, 210, 630, 1460].into_iter().enumerate() {
        let now = 100 + ms;
        if let Some(timeouts) = u32::try_from(timeouts).unwrap().checked_sub(1) {
            events.push(at(now, again(conn.client_resends(0, timeouts))));
        }
        let drop = places.upload(conn, 0);
        events.push(at(now, drop.clone()));
        events.push(at(now, drop.signalled()));
        events.push(at(now, places.blocked_in_input(conn, 0)));
    }
    let finding = run(events, 2000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.direction, Direction::Upload);
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40000");
    let blocked = finding.pmtud.unwrap().blocked_at.unwrap();
    assert_eq!(blocked.hook, Some("INPUT"));
    assert_eq!(blocked.netns.cookie, Some(CONTAINER.0));
    assert_eq!(blocked.interface.as_deref(), Some("eth0"));
    assert_eq!(finding.evidence.retransmits, 3);
    assert_eq!(finding.evidence.oversized_drops, 4);
}

/// A hole at layer 2, where nobody is told.
pub fn silent_events(mtus: Mtus, place: fn(&Places, Conn, u32) -> Shown) -> Vec<Event> {
    let places = Places::new(mtus);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(hole(conn, 100, |nth| place(&places, conn, nth)));
    events
}

#[test]
fn veth_has_the_limit_of_its_other_end_and_is_silent() {
    let finding = run(silent_events(VETH, Places::veth), 4000).only();
    assert_black_hole(&finding);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    let boundary = finding.boundary.unwrap();
    assert!(boundary.silent);
    assert_eq!(boundary.egress.as_deref(), Some("vethout"));
    assert_eq!(boundary.reason.as_deref(), Some("NOT_SPECIFIED"));
    let peer = boundary.peer.unwrap();
    assert_eq!(peer.interface.as_deref(), Some("eth0"));
    assert_eq!(peer.mtu_bytes, 1450);
    let pmtud = finding.pmtud.unwrap();
    assert_eq!((pmtud.signalled, pmtud.delivered), (false, None));
    assert_eq!(pmtud.blocked_at, None);
    assert_eq!(finding.evidence.oversized_drops, 14);
    assert_eq!(finding.evidence.icmp_generated, 0);
}

#[test]
fn bridge_has_the_limit_of_its_port_and_is_silent() {
    let finding = run(silent_events(BRIDGE, Places::bridge), 4000).only();
    assert_black_hole(&finding);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    let boundary = finding.boundary.unwrap();
    assert!(boundary.silent);
    assert_eq!(boundary.egress.as_deref(), Some("vethout"));
    assert_eq!(boundary.ingress.as_deref(), Some("ext0"));
    assert_eq!(boundary.function, "br_dev_queue_push_xmit");
    assert_eq!(boundary.peer, None);
}

#[test]
fn connections_with_one_cause_are_one_finding() {
    let places = Places::new(ROUTED);
    let mut events = vec![at(0, told(&places.topology))];
    for number in 0..500 {
        let conn = Conn::new(number);
        events.push(at(50, conn.client_known()));
        events.push(at(50, conn.server_known()));
        for ms in [0, 210, 630] {
            events.push(at(100 + ms, places.forward(conn, 0)));
        }
        // One of them is worse than the others.
        if number == 321 {
            events.push(at(1560, again(conn.server_resends(0, 2))));
            events.push(at(1560, places.forward(conn, 0)));
        }
    }
    let finding = run(events, 2000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.connections, 500);
    let connection = finding.connection.unwrap();
    assert_eq!(connection.local.socket_address(), "192.0.2.2:40321");
    assert!(
        finding.summary.contains("and 499 more connections"),
        "{}",
        finding.summary
    );
}

#[test]
fn lost_records_lower_the_confidence() {
    let places = Places::new(ROUTED);
    let mut events = filtered_events(&places);
    events.push(at(1000, EventKind::Lost(7)));
    let finding = run(events, 4000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.confidence, Confidence::Likely);
    assert_eq!(finding.evidence.lost_events, 7);
}

#[test]
fn sequence_numbers_may_wrap_in_the_middle_of_a_stall() {
    let places = Places::new(ROUTED);
    // The third segment ends beyond the last sequence number.
    let isn = Isn {
        iss: 77,
        irs: u32::MAX - 3000,
    };
    let conn = Conn::with_isn(0, isn);
    assert!(conn.server_seq(2) > conn.server_seq(3));
    let mut events = opening(&places, conn);
    events.push(at(80, conn.server_stands(2, 1448)));
    events.extend((2..8).map(|nth| at(100, places.forward(conn, nth))));
    for (timeouts, ms) in (0..).zip(TIMEOUTS_MS) {
        events.push(at(100 + ms, again(conn.server_resends(2, timeouts))));
        events.push(at(100 + ms, places.forward(conn, 2)));
    }
    let finding = run(events.clone(), 4000).only();
    assert_black_hole(&finding);
    assert_eq!(finding.evidence.seq, Some(conn.server_seq(2)));
    assert_eq!(finding.evidence.attempts, 5);

    // An acknowledgement beyond the wrap is progress; one before it was none.
    events.push(at(4000, conn.server_stands(3, 1448)));
    assert_eq!(run(events, 4200).only().verdict, Verdict::PmtudSlow);
}

#[test]
fn timeout_of_the_application_ends_the_stall_and_keeps_the_finding() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = filtered_events(&places);
    events.push(at(5000, super::scenario::ends(conn.client, 1, 110)));
    events.push(at(5000, super::scenario::ends(conn.server, 1, 110)));
    let finding = run(events, 6000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert!(!finding.ongoing);
    assert_eq!(finding.evidence.stalled_ms, 3100);
}

#[test]
fn second_stall_at_the_same_place_has_a_detection_of_its_own() {
    let places = Places::new(ROUTED);
    let (first, second) = (Conn::new(0), Conn::new(1));
    let mut events = filtered_events(&places);
    // The first one gets over it; a minute later another is caught.
    events.push(at(4000, first.server_stands(10, 1024)));
    events.push(at(60_000, second.client_known()));
    events.push(at(60_000, second.server_known()));
    events.extend(filtered(&places, second, 60_100));
    let findings = run(events, 64_000).findings();
    let hole = &findings[0];
    assert_eq!(hole.verdict, Verdict::MtuBlackHole);
    assert_eq!(hole.first_seen_ns, START_NS + 60_100 * NS_PER_MS);
    assert_eq!(hole.detected_at_ns, START_NS + 60_800 * NS_PER_MS);
    assert_eq!(findings[1].verdict, Verdict::PmtudSlow);
}
