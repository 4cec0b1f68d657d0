//! Networks that are not linked: the same addresses in them are not the same connections.

use mtu_trace::testing::{EventKind, Isn, NetnsId, Peer, Retransmit, TcpState};

use super::network::{CONTAINER, ROUTED, told};
use super::packet::Places;
use super::scenario::{Conn, again, at, resend, run};

const ELSEWHERE: NetnsId = NetnsId(201);

/// The network, and another container with the same addresses in a network that is not linked with it.
fn with_network_apart() -> Places {
    let mut places = Places::new(ROUTED);
    let mut apart = places.topology.namespaces[&CONTAINER].clone();
    apart.cookie = Some(ELSEWHERE.0);
    for link in apart.links.values_mut() {
        // Another engine's, whose bridge is in a namespace that is not looked at here.
        let other_end = Peer {
            netns: Some(NetnsId(202)),
            ifindex: 3,
        };
        link.peer = Some(other_end);
    }
    places.topology.namespaces.insert(ELSEWHERE, apart);
    places
}

/// Both are new: nobody knows yet what they are linked with. One is slow to open, and sends its SYN again,
/// which has no numbers to go by; those of the other's server are not its own.
#[test]
fn a_slow_handshake_elsewhere_is_no_other_end() {
    let conn = Conn::new(0);
    let mut slow = conn.client;
    slow.flow.netns = ELSEWHERE;
    slow.isn = None;
    slow.active = None;
    slow.opened_ns = 0;
    let resent = resend(slow, 7000, 0);
    let resent = Retransmit {
        end_seq: 7001,
        state: TcpState::SYN_SENT,
        ..resent
    };
    let mut server = conn.server;
    // Without a NAT between them, its addresses are the client's.
    server.flow.destination = conn.client.flow.source;
    let server_resends = resend(server, conn.server_seq(0), 0);
    let syn = at(100, again(resent));
    let data = at(200, again(server_resends));
    for events in [[syn.clone(), data.clone()], [data, syn]] {
        let outcome = run(events.to_vec(), 500);
        assert_eq!(outcome.analysis.state().connections().count(), 2);
    }
}

/// What died in both at once: a socket takes only its own.
#[test]
fn packets_of_a_network_apart_are_not_adopted() {
    let places = with_network_apart();
    let conn = Conn::new(0);
    let elsewhere = places
        .upload(conn, 3)
        .with(|packet| packet.flow.netns = ELSEWHERE);
    let events = vec![
        at(0, told(&places.topology)),
        at(100, elsewhere),
        at(100, places.upload(conn, 0)),
        at(200, conn.client_known()),
    ];
    let outcome = run(events, 500);
    let state = outcome.analysis.state();
    assert_eq!(state.connections().count(), 2);
    let (own, _) = state.connection(&conn.client.flow).unwrap();
    assert!(own.seen_as.iter().all(|flow| flow.netns != ELSEWHERE));
    assert_eq!(own.seen_as.len(), 2);
}

/// Engines give their containers the same addresses, and the kernel gives connections between the same
/// addresses the same ports.
#[test]
fn a_network_apart_with_the_same_addresses_stays_apart() {
    let places = with_network_apart();
    let conn = Conn::new(0);
    let drops = [100, 310, 730, 1560].map(|ms| at(ms, places.upload(conn, 0)));
    // How much earlier that connection was opened, in sequence numbers: any numbers lie ahead of its own.
    for earlier in [0, 5000, 1 << 29] {
        let isn = conn.client.isn.unwrap();
        let mut stranger = conn.client;
        stranger.flow.netns = ELSEWHERE;
        stranger.isn = Some(Isn {
            iss: isn.iss.wrapping_sub(earlier),
            irs: isn.irs.wrapping_sub(earlier),
        });
        // It is known, and the right one only later, or at once.
        for known_ms in [50, 500] {
            if known_ms == 500 && earlier < 1 << 29 {
                // So close that it could be the same one.
                continue;
            }
            let mut events = vec![at(0, told(&places.topology))];
            events.push(at(40, EventKind::Connection(stranger)));
            events.push(at(known_ms, conn.client_known()));
            events.extend(drops.clone());
            let finding = run(events, 2000).only();
            let local = finding.connection.unwrap().local.netns.unwrap();
            assert_eq!(local.cookie, Some(CONTAINER.0), "{earlier} {known_ms}");
        }
    }
}
