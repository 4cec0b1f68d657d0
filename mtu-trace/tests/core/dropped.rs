//! Where packets were dropped for another reason than their size, and how that is told.

use mtu_trace::testing::{Carried, DropRule, EventKind, Tcp, Verdict};

use super::loss::{filtered, unanswered};
use super::network::{CNI0, DOCKER0, OUTER_ETH0, ROUTED, device, told};
use super::packet::{HEADERS, MSS, Places, Shown};
use super::scenario::{Conn, again, at, opening, run};

/// The container's SYN where the outer container's FORWARD rules drop it.
fn filtered_syn(places: &Places, conn: Conn) -> Shown {
    places
        .upload(conn, 0)
        .dropped("nft_do_chain", "NETFILTER_DROP")
        .long(60)
        .with(|packet| {
            packet.tcp = Some(Tcp {
                seq: conn.client.isn.unwrap().iss,
                ack: 0,
                syn: true,
                has_ack: false,
                payload_bytes: 0,
            });
        })
}

/// The server's answer to it there: nothing that the two have exchanged is known but the SYN.
fn filtered_answer(places: &Places, conn: Conn) -> Shown {
    let isn = conn.client.isn.unwrap();
    filtered_syn(places, conn).with(|packet| {
        packet.flow = packet.flow.reversed();
        packet.device = device(&places.topology, OUTER_ETH0);
        packet.route = Some(device(&places.topology, DOCKER0));
        packet.tcp = Some(Tcp {
            seq: isn.irs,
            ack: isn.iss.wrapping_add(1),
            syn: true,
            has_ack: true,
            payload_bytes: 0,
        });
    })
}

#[test]
fn a_handshake_says_whose_packet_was_dropped_and_where() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    for (dropped, carried, words) in [
        (
            filtered_syn(&places, conn),
            Carried::Syn,
            "without an answer, and was dropped by netfilter in FORWARD of docker dddd",
        ),
        (
            filtered_answer(&places, conn),
            Carried::SynAck,
            "the answer of 198.51.100.9:80 (SYN-ACK) was dropped by netfilter in FORWARD of docker dddd",
        ),
    ] {
        let mut events = vec![at(0, told(&places.topology))];
        events.extend(unanswered(conn));
        for ms in [101, 1101, 3101, 7101] {
            events.push(at(ms, dropped.clone()));
        }
        let finding = run(events, 8000).only();
        assert_eq!(finding.verdict, Verdict::HandshakeTimeout);
        assert!(finding.summary.contains(words), "{}", finding.summary);
        let drop = finding.drop.expect("a place");
        assert_eq!((drop.carried, drop.packets), (carried, 4));
        assert_eq!(drop.netns.label(), "docker dddddddddddd");
        assert_eq!(drop.hook, Some("FORWARD"));
        assert_eq!(drop.function, "nft_do_chain");
        assert_eq!(drop.reason, "NETFILTER_DROP");
    }
}

#[test]
fn a_handshake_without_a_drop_has_no_place() {
    assert_eq!(run(unanswered(Conn::new(0)), 8000).only().drop, None);
}

/// The number of a finding is of the place that it names, whatever else was dropped elsewhere.
#[test]
fn number_and_place_are_of_the_same_drops() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for (nth, ms) in (0..).zip([100, 150, 200, 250, 300, 350]) {
        events.push(at(ms, filtered(&places, conn, nth)));
    }
    for (nth, ms) in (6..).zip([400, 450]) {
        let queued = places
            .forward(conn, nth)
            .dropped("__dev_queue_xmit", "QDISC_DROP");
        events.push(at(ms, queued));
    }
    let closed = places
        .forward(conn, 9)
        .dropped("tcp_v4_rcv", "NO_SOCKET")
        .long(HEADERS);
    events.push(at(460, closed));
    events.push(at(600, again(conn.server_resends(0, 0))));
    events.push(at(700, conn.server_stands(20, MSS)));
    let finding = run(events, 2000).only();
    assert_eq!(finding.evidence.other_drops, 9);
    let drop = finding.drop.as_ref().expect("a place");
    assert_eq!((drop.packets, drop.carried), (6, Carried::Data));
    assert!(
        finding
            .summary
            .contains("6 packets were dropped by netfilter in FORWARD"),
        "{}",
        finding.summary
    );
}

#[test]
fn what_a_reason_means_is_said_with_its_knob() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let told = |function: &str, reason: &str| {
        let mut events = opening(&places, conn);
        for (nth, ms) in (0..).zip([100, 150, 200]) {
            let dropped = places
                .forward(conn, nth)
                .dropped(function, reason)
                .with(|packet| packet.device = device(&places.topology, CNI0));
            events.push(at(ms, dropped));
            let resent = again(conn.server_resends(nth, 0));
            events.push(at(ms + 300, resent));
        }
        events.push(at(700, conn.server_stands(20, MSS)));
        let finding = run(events, 2000).only();
        assert_eq!(finding.verdict, Verdict::LocalDrop);
        let commands = finding.fixes.iter().flat_map(|fix| fix.commands.clone());
        (finding.summary.clone(), commands.collect::<Vec<_>>())
    };
    for (function, reason, words, command) in [
        (
            "ip_rcv_finish_core",
            "IP_RPFILTER",
            "in the host by the reverse path filter (rp_filter) of cni0 (IP_RPFILTER)",
            "sysctl -w net.ipv4.conf.cni0.rp_filter=2",
        ),
        (
            "__dev_queue_xmit",
            "QDISC_DROP",
            "in the host by the queue (qdisc) of cni0 (QDISC_DROP)",
            "tc -s qdisc show dev cni0",
        ),
        (
            "tcp_v4_rcv",
            "TCP_CSUM",
            "in the host for a wrong TCP checksum (TCP_CSUM)",
            "ethtool -K cni0 tx off",
        ),
        (
            "neigh_invalidate",
            "NOT_SPECIFIED",
            "in the host because the next hop on cni0 does not answer",
            "ip neigh show dev cni0",
        ),
        (
            "ip_rcv_finish_core",
            "IP_LOCAL_SOURCE",
            "in the host as martians, with a source address of the receiver's own, on cni0",
            "sysctl -w net.ipv4.conf.cni0.accept_local=1",
        ),
    ] {
        let (summary, commands) = told(function, reason);
        assert!(summary.contains(words), "{summary}");
        assert!(
            commands.iter().any(|run| run.ends_with(command)),
            "{commands:?}"
        );
    }
}

/// A rule is told where it is certain, and a few where it is one of them, never a guess.
#[test]
fn the_rules_that_were_read_are_told_with_the_drop() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let told = |hook: &str, rules: &[&str]| {
        let mut events = opening(&places, conn);
        for (nth, ms) in (0..).zip([100, 150, 200]) {
            events.push(at(ms, filtered(&places, conn, nth)));
        }
        let rule = DropRule {
            flow: conn.forwarded(),
            function: "nft_do_chain".into(),
            hook: hook.into(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        };
        events.push(at(220, EventKind::Rule(rule)));
        run(events, 2000).only().drop.expect("a place").rule
    };
    let rule = "table ip t, chain f, handle 3: tcp dport 80 drop";
    assert_eq!(told("FORWARD", &[rule]).as_deref(), Some(rule));
    assert_eq!(
        told("FORWARD", &[rule, "b"]),
        Some(format!("one of: {rule}; b"))
    );
    assert_eq!(told("FORWARD", &["a", "b", "c", "d"]), None);
    assert_eq!(told("FORWARD", &[]), None);
    // Of another place nothing is known by it.
    assert_eq!(told("INPUT", &[rule]), None);
}

#[test]
fn the_hook_is_the_one_that_the_functions_told() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    for (nth, ms) in (0..).zip([100, 150, 200]) {
        let dropped = filtered(&places, conn, nth).with(|packet| {
            packet.route = None;
            packet.netfilter_hook = Some("bridge FORWARD".into());
        });
        events.push(at(ms, dropped));
    }
    let finding = run(events, 2000).only();
    assert_eq!(finding.drop.expect("a place").hook, Some("bridge FORWARD"));
}
