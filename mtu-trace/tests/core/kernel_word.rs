//! The kernel's own word about a packet that is too big, and what comes after discovery.

use mtu_trace::testing::{Event, Severity, Verdict};

use super::network::{ROUTED, VETH};
use super::packet::{MSS, Places};
use super::path_mtu::path_mtu;
use super::scenario::{Conn, again, at, opening, run};

/// Packets die in a function of which nothing is known, but the message about each is sent in the same
/// moment. Its limit is not that of the route: what the message tells is.
#[test]
fn a_message_about_the_same_packet_says_why_it_died() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let died = |nth: u32| {
        places
            .forward(conn, nth)
            .dropped("ip_vs_nat_xmit", "NOT_SPECIFIED")
    };
    let mut events = opening(&places, conn);
    let mut silent = events.clone();
    for ms in [100, 310, 730, 1560] {
        let dies = Event {
            time_ns: at(ms, died(0)).time_ns + 5_000,
            ..at(ms, died(0))
        };
        events.push(at(ms, died(0).signalled()));
        events.push(dies.clone());
        events.push(at(ms + 1, places.blocked_in_output(conn, 0)));
        silent.push(dies);
    }
    let finding = run(events, 3000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    let boundary = finding.boundary.unwrap();
    assert_eq!(boundary.function, "ip_vs_nat_xmit");
    assert_eq!(
        (boundary.limit_bytes, boundary.packet_bytes),
        (Some(1450), 1500)
    );
    assert!(!boundary.silent);
    // Without a message nothing says so.
    run(silent, 3000).never(Verdict::MtuBlackHole);
}

/// Discovery works, and later everything is dropped for another reason.
#[test]
fn a_stall_after_discovery_is_one() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.push(at(100, places.forward(conn, 0)));
    events.push(at(101, path_mtu(conn.server.flow, 1450)));
    events.push(at(150, conn.server_stands(20, MSS - 50)));
    assert_eq!(
        run(events.clone(), 1000).only().verdict,
        Verdict::PmtudWorking
    );
    let filtered = |nth: u32| {
        let drop = places
            .forward(conn, nth)
            .dropped("nft_do_chain", "NETFILTER_DROP");
        drop.long(1450)
    };
    events.push(at(2000, filtered(20)));
    for (timeouts, ms) in (0..).zip([2210, 2630, 3460, 5120]) {
        events.push(at(ms, again(conn.server_resends(20, timeouts))));
        events.push(at(ms, filtered(20)));
    }
    let finding = run(events, 6000).only();
    assert_eq!(
        (finding.verdict, finding.severity),
        (Verdict::LocalDrop, Severity::Error)
    );
}

/// What the first narrow place told was heeded; packets die at the second one now, in fewer numbers.
#[test]
fn the_place_of_a_stall_is_where_packets_die_now() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for nth in 0..6 {
        let drop = places.forward(conn, nth);
        let drop = drop.with(|packet| packet.count = u64::from(nth) + 1);
        events.push(at(100, drop));
    }
    let second = |bytes| {
        let drop = places
            .upload(conn, 0)
            .with(|packet| packet.flow = conn.forwarded());
        let (seq, ack) = (conn.server_seq(0), conn.client_seq(0));
        drop.long(bytes).with(|packet| {
            packet.tcp = places.forward(conn, 0).0.tcp;
            if let Some(tcp) = &mut packet.tcp {
                (tcp.seq, tcp.ack) = (seq, ack);
            }
            packet.route_mtu_bytes = Some(1400);
        })
    };
    for ms in [310, 730, 1560] {
        events.push(at(ms, second(1450)));
    }
    let boundary = run(events, 3000).only().boundary.unwrap();
    assert_eq!(
        (boundary.limit_bytes, boundary.packet_bytes),
        (Some(1400), 1450)
    );
}

/// A packet that may be cut is: its first piece dies at a veth, and the rest is freed right after, in the
/// function that has cut it.
#[test]
fn the_piece_that_died_is_the_loss() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for ms in [100, 310, 730, 1560] {
        let piece = places.veth(conn, 0);
        let died_ns = at(ms, piece.clone()).time_ns;
        events.push(at(ms, piece.long(1480)));
        let rest = places
            .forward(conn, 0)
            .dropped("ip_do_fragment", "NOT_SPECIFIED");
        events.push(Event {
            time_ns: died_ns + 9_000,
            ..at(ms, rest.long(1500))
        });
    }
    let finding = run(events, 3000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    let boundary = finding.boundary.unwrap();
    assert_eq!(boundary.packet_bytes, 1480);
    assert!(boundary.silent);
    assert_eq!(finding.evidence.other_drops, 0);
}

/// The original of what was cut for a device that cannot is freed, and nothing is lost.
#[test]
fn what_was_cut_is_no_drop() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for nth in 0..8 {
        let cut = places
            .forward(conn, nth)
            .dropped("xfrm_output_gso", "NOT_SPECIFIED");
        events.push(at(
            100 + u64::from(nth),
            cut.with(|packet| packet.gso = true),
        ));
        events.push(at(500, again(conn.server_resends(nth, 1))));
    }
    let findings = run(events, 3000);
    findings.never(Verdict::LocalDrop);
}
