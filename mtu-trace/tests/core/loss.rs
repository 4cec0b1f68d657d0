//! Losses that have nothing to do with a size.

use mtu_trace::testing::{
    Confidence, Event, EventKind, PacketKind, Retransmit, Severity, Socket, TcpState, Verdict,
};

use super::network::{CNI0, EXT0, OUTER, OUTER_ETH0, ROUTED, VETHOUT, device};
use super::packet::{HEADERS, MSS, Places, Shown};
use super::scenario::{Conn, again, at, opening, resend, run};

fn lossy(resends: u32) -> Vec<Event> {
    let conn = Conn::new(0);
    let mut events = opening(&Places::new(ROUTED), conn);
    for nth in 0..resends {
        let ms = 100 + u64::from(nth) * 1000;
        events.push(at(ms, again(conn.server_resends(nth * 20, 0))));
        events.push(at(ms + 40, conn.server_stands(nth * 20 + 10, MSS)));
    }
    events
}

#[test]
fn a_resend_or_two_is_daily_life() {
    for resends in [0, 1, 2] {
        run(lossy(resends), 5000).nothing();
    }
}

#[test]
fn losses_that_recover_are_packet_loss() {
    let finding = run(lossy(5), 8000).only();
    assert_eq!(finding.verdict, Verdict::PacketLoss);
    assert_eq!(finding.severity, Severity::Info);
    assert!(!finding.ongoing);
    assert_eq!(finding.evidence.retransmits, 5);
    assert_eq!(finding.boundary, None);
    assert_eq!(finding.pmtud, None);
}

/// DSACK (RFC 2883): the original and what was sent again have both arrived, as after a tail loss probe
/// that was not needed or a timeout that came too early.
#[test]
fn what_came_twice_was_not_lost() {
    let told = |duplicates: u32| {
        let mut events = lossy(5);
        for event in &mut events {
            if let EventKind::Sample(sample) = &mut event.kind {
                sample.duplicates = duplicates;
            }
        }
        run(events, 8000)
    };
    told(5).nothing();
    told(3).nothing();
    assert_eq!(told(1).only().verdict, Verdict::PacketLoss);
}

/// The container's SYN, not answered yet.
fn syn(conn: Conn, timeouts: u32) -> Retransmit {
    let socket = Socket {
        isn: None,
        active: None,
        opened_ns: 0,
        ..conn.client
    };
    let seq = conn.client.isn.unwrap().iss;
    Retransmit {
        end_seq: seq.wrapping_add(1),
        state: TcpState::SYN_SENT,
        packets_out: 1,
        ..resend(socket, seq, timeouts)
    }
}

pub fn unanswered(conn: Conn) -> Vec<Event> {
    vec![
        at(1100, again(syn(conn, 0))),
        at(3100, again(syn(conn, 1))),
        at(7100, again(syn(conn, 2))),
    ]
}

#[test]
fn unanswered_handshake_is_no_mtu_problem() {
    let outcome = run(unanswered(Conn::new(0)), 8000);
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::HandshakeTimeout);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.ongoing);
    assert_eq!(finding.evidence.retransmits, 3);
    assert!(finding.summary.contains("not an MTU problem"));
    assert_eq!(finding.boundary, None);
    outcome.never(Verdict::PacketLoss);
}

#[test]
fn handshake_that_is_answered_in_the_end_is_forgotten() {
    let conn = Conn::new(0);
    let mut events = unanswered(conn);
    events.push(at(7150, conn.client_known()));
    events.push(at(7200, conn.client_stands(1)));
    let outcome = run(events, 10_000);
    assert!(outcome.ever.contains_key("handshake-timeout"));
    assert_eq!(outcome.findings(), []);
}

/// The server's segment where the outer container's FORWARD rules drop it: too long for the next
/// link, had it got there.
pub fn filtered(places: &Places, conn: Conn, nth: u32) -> Shown {
    places
        .forward(conn, nth)
        .dropped("nft_do_chain", "NETFILTER_DROP")
        .with(|packet| packet.device = device(&places.topology, EXT0))
}

#[test]
fn filtered_data_is_a_local_drop_with_its_hook() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.push(at(100, filtered(&places, conn, 0)));
    for (timeouts, ms) in (0..).zip([310, 730, 1560]) {
        events.push(at(ms, again(conn.server_resends(0, timeouts))));
        events.push(at(ms, filtered(&places, conn, 0)));
    }
    let outcome = run(events, 2000);
    outcome.never(Verdict::MtuBlackHole);
    outcome.never(Verdict::PmtudWorking);
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::LocalDrop);
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    assert!(finding.ongoing);
    assert_eq!(finding.evidence.other_drops, 4);
    assert_eq!(finding.evidence.oversized_drops, 0);
    assert_eq!(finding.evidence.retransmits, 3);
    assert!(
        finding.summary.contains("by netfilter in FORWARD"),
        "{}",
        finding.summary
    );
}

#[test]
fn filtered_data_that_gets_through_again_is_a_warning() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.push(at(100, filtered(&places, conn, 0)));
    events.push(at(310, again(conn.server_resends(0, 0))));
    events.push(at(350, conn.server_stands(10, MSS)));
    let finding = run(events, 2000).only();
    assert_eq!(finding.verdict, Verdict::LocalDrop);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(!finding.ongoing);
}

#[test]
fn reason_that_is_no_cause_explains_no_retransmit() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for (timeouts, ms) in (0..).zip([310, 730]) {
        events.push(at(ms, again(conn.server_resends(0, timeouts))));
        let late = places
            .forward(conn, 0)
            .dropped("tcp_v4_rcv", "TCP_OLD_DATA");
        events.push(at(ms, late));
    }
    events.push(at(800, conn.server_stands(10, MSS)));
    run(events, 2000).nothing();
}

/// Kernels before 5.17 give no reason, and later ones often none that says anything.
#[test]
fn without_a_reason_what_is_sent_again_was_lost_there() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    for reason in [None, Some("NOT_SPECIFIED")] {
        // Full segments that die in a queue, or that were delivered before they were freed.
        let scenario = |function: &str, resent: std::ops::Range<u32>| {
            let mut events = opening(&places, conn);
            for nth in 0..4 {
                let freed = places.forward(conn, nth).long(1400).with(|packet| {
                    packet.what = PacketKind::Dropped {
                        function: function.into(),
                        reason: reason.map(Into::into),
                    };
                });
                events.push(at(100, freed));
            }
            let last = resent.end;
            for nth in resent {
                let ms = 130 + u64::from(nth) * 10;
                events.push(at(ms, again(conn.server_resends(nth, 0))));
            }
            events.push(at(700, conn.server_stands(last + 10, MSS)));
            run(events, 2000).only()
        };
        let finding = scenario("kfree_skb_list", 0..4);
        assert_eq!(finding.verdict, Verdict::LocalDrop, "{reason:?}");
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.evidence.other_drops, 4);
        assert!(finding.summary.contains("kfree_skb_list"));
        for resent in [2..6, 10..14] {
            assert_eq!(
                scenario("kfree_skb_list", resent).verdict,
                Verdict::PacketLoss
            );
        }
        // A bridge that somebody listens on takes up what is for others, and frees it.
        assert_eq!(scenario("ip_rcv_core", 0..4).verdict, Verdict::PacketLoss);
    }
}

#[test]
fn ordinary_drops_are_no_finding() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    let own = device(&places.topology, OUTER_ETH0);
    let noise = [
        ("tcp_v4_rcv", "NOT_SPECIFIED"),
        ("tcp_v4_rcv", "NO_SOCKET"),
        ("tcp_v4_do_rcv", "TCP_OLD_DATA"),
        ("tcp_data_queue", "TCP_OFOMERGE"),
        ("tcp_rcv_established", "TCP_FLAGS"),
        ("tcp_rcv_state_process", "TCP_CLOSE"),
        ("skb_queue_purge_reason", "QUEUE_PURGE"),
        ("unix_stream_connect", "NO_SOCKET"),
        ("ip6_mc_input", "NOT_SPECIFIED"),
        ("ip_rcv_finish_core", "IP_INNOROUTES_UNKNOWN"),
        ("ip_forward", "NOT_SPECIFIED"),
        ("__dev_forward_skb2", "NOT_SPECIFIED"),
    ];
    for (nth, (function, reason)) in (0..).zip(noise) {
        for repeat in 0..5 {
            let drop = places
                .forward(conn, nth)
                .dropped(function, reason)
                .long(HEADERS)
                .with(|packet| {
                    packet.device = own.clone();
                    packet.flow.netns = OUTER;
                });
            events.push(at(100 + repeat * 300, drop));
        }
    }
    run(events, 5000).nothing();
}

#[test]
fn fins_and_resets_on_a_small_link_are_no_oversized_packets() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for ms in [100, 310, 730, 1560] {
        let fin = places.bridge(conn, 0).long(HEADERS).with(|packet| {
            packet.device = device(&places.topology, VETHOUT);
            packet.route = Some(device(&places.topology, CNI0));
        });
        events.push(at(ms, fin));
    }
    run(events, 3000).nothing();
}
