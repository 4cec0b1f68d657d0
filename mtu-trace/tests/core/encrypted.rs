//! Segments in the datagrams of a tunnel that encrypts, which only their lengths and times give away.

use mtu_trace::testing::{Confidence, Direction, EventKind, Finding, Link, UDP, Verdict};

use super::network::{HOST, VETH, told};
use super::packet::{Places, Shown};
use super::scenario::{Conn, again, at, run};

/// Where the host's tunnel sends from.
const HOSTS: &str = "10.42.0.1:51820";

/// The network with a tunnel of a kind on the host.
fn tunnelled(kind: &str) -> Places {
    let mut places = Places::new(VETH);
    let tunnel = Link {
        name: "wg0".to_owned(),
        kind: kind.into(),
        mtu_bytes: 1440,
        ..Link::default()
    };
    let host = places.topology.namespaces.get_mut(&HOST).unwrap();
    host.links.insert(9, tunnel);
    places
}

/// A datagram of `bytes` that dies at the host's veth.
fn datagram(places: &Places, from: &str, bytes: u32) -> Shown {
    places.veth(Conn::new(0), 0).long(bytes).with(|packet| {
        packet.flow.protocol = UDP;
        packet.flow.source = from.parse().unwrap();
        packet.flow.destination = "10.42.0.5:51820".parse().unwrap();
        packet.tcp = None;
    })
}

/// A container's segment that is sent again at its timeouts, from `first` on, ms.
fn resends(conn: Conn, first: u64) -> [(u64, EventKind); 4] {
    [(0, 0), (1, 420), (2, 1260), (3, 2940)]
        .map(|(nth, after)| (first + after, again(conn.client_resends(0, nth))))
}

/// Containers' uploads through a tunnel that encrypts: `ms` after each segment that is sent again, a
/// datagram of `bytes` dies.
fn sealed(kind: &str, from: &str, ms: u64, bytes: u32, conns: &[Conn]) -> Vec<Finding> {
    let places = tunnelled(kind);
    let mut events = vec![at(0, told(&places.topology))];
    for conn in conns {
        events.push(at(50, conn.client_known()));
        for (sent, resend) in resends(*conn, 300) {
            events.push(at(sent, resend));
            events.push(at(sent + ms, datagram(&places, from, bytes)));
        }
    }
    run(events, 5000).findings()
}

#[test]
fn a_segment_in_a_datagram_that_cannot_be_read_is_known_by_its_length() {
    let conn = Conn::new(0);
    // 1448 and 52 bytes, filled up, and 60 bytes around them.
    let [finding] = sealed("wireguard", HOSTS, 2, 1564, &[conn])
        .try_into()
        .unwrap();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.confidence, Confidence::Likely);
    let connection = finding.connection.unwrap();
    assert_eq!(
        (connection.protocol, connection.direction),
        ("tcp", Direction::Upload)
    );
    assert_eq!(connection.local.port, conn.client.flow.source.port());
    let boundary = finding.boundary.unwrap();
    assert_eq!(
        (boundary.limit_bytes, boundary.packet_bytes),
        (Some(1450), 1564)
    );
    assert_eq!(boundary.overhead_bytes, 60);
}

#[test]
fn what_may_be_any_datagram_is_nobodys_segment() {
    let conn = Conn::new(0);
    let is_datagrams = |findings: Vec<Finding>| {
        let holes = findings
            .iter()
            .filter(|it| it.verdict == Verdict::MtuBlackHole);
        let protocols: Vec<&str> = holes
            .map(|it| it.connection.as_ref().unwrap().protocol)
            .collect();
        assert_eq!(protocols, ["udp"], "{findings:#?}");
    };
    // No such tunnel, too late, too long, not filled up.
    is_datagrams(sealed("vxlan", HOSTS, 2, 1564, &[conn]));
    is_datagrams(sealed("wireguard", HOSTS, 40, 1564, &[conn]));
    is_datagrams(sealed("wireguard", HOSTS, 2, 1900, &[conn]));
    is_datagrams(sealed("wireguard", HOSTS, 2, 1566, &[conn]));
    // Neither from nor to the host that has the tunnel.
    is_datagrams(sealed("wireguard", "203.0.113.7:5555", 2, 1564, &[conn]));
    // Of two it is not known whose it is.
    is_datagrams(sealed("wireguard", HOSTS, 2, 1564, &[conn, Conn::new(1)]));
}

#[test]
fn a_segment_that_no_datagram_carried_was_in_none() {
    // Each second one meets a datagram that fits, by chance.
    let places = tunnelled("wireguard");
    let conn = Conn::new(0);
    let mut events = vec![at(0, told(&places.topology)), at(50, conn.client_known())];
    for (nth, sent) in [300, 720, 1560, 3240, 6600, 13_320].into_iter().enumerate() {
        events.push(at(sent, again(conn.client_resends(0, nth as u32))));
        if nth % 2 == 0 {
            events.push(at(sent + 2, datagram(&places, HOSTS, 1564)));
        }
    }
    let findings = run(events, 14_000).findings();
    let of_tcp = |it: &&Finding| it.connection.as_ref().unwrap().protocol == "tcp";
    let hole = findings
        .iter()
        .filter(of_tcp)
        .find(|it| it.verdict == Verdict::MtuBlackHole);
    assert!(hole.is_none(), "{findings:#?}");
}

#[test]
fn a_tunnels_datagrams_are_no_stream_of_their_own_again() {
    // One connection is known to be in it; of another, one segment fits once.
    let places = tunnelled("wireguard");
    let (conn, other) = (Conn::new(0), Conn::new(1));
    let mut events = vec![
        at(0, told(&places.topology)),
        at(50, conn.client_known()),
        at(50, other.client_known()),
    ];
    for (sent, resend) in resends(conn, 300) {
        events.push(at(sent, resend));
        events.push(at(sent + 2, datagram(&places, HOSTS, 1564)));
    }
    let (sent, resend) = resends(other, 4000)[0].clone();
    events.push(at(sent, resend));
    for ms in [2, 400, 800, 1200] {
        events.push(at(sent + ms, datagram(&places, HOSTS, 1564)));
    }
    let [finding] = run(events, 6000).findings().try_into().unwrap();
    assert_eq!(finding.connection.unwrap().protocol, "tcp");
    // What cannot be told apart is not counted for it.
    assert_eq!(finding.evidence.oversized_drops, 4);
}
