//! Connections whose handshake was not seen: their ends and packets meet by addresses alone.

use mtu_trace::testing::{Confidence, Direction, Event, EventKind, Retransmit, Socket, Verdict};

use super::black_hole::TIMEOUTS_MS;
use super::network::{CONTAINER, HOST, OUTER, ROUTED, told};
use super::packet::Places;
use super::scenario::{Conn, Outcome, again, at, run};

/// The connection as it is known without its handshake.
fn unseen(mut conn: Conn) -> Conn {
    for socket in [&mut conn.client, &mut conn.server] {
        socket.opened_ns = 0;
        socket.isn = None;
        socket.active = None;
    }
    conn
}

/// One whose port every NAT on the way kept, as most do.
pub fn with_kept_port(number: u16) -> (Conn, Conn) {
    let mut conn = Conn::new(number);
    let port = conn.client.flow.source.port();
    conn.server.flow.destination.set_port(port);
    (conn, unseen(conn))
}

pub fn known(socket: Socket) -> EventKind {
    EventKind::Connection(socket)
}

pub fn old(resent: &Retransmit, socket: Socket) -> EventKind {
    again(Retransmit {
        socket,
        ..resent.clone()
    })
}

/// The download of a connection that dies at the host, where one NAT of two is undone.
fn download(places: &Places, conn: Conn, old_conn: Conn) -> Vec<Event> {
    let mut events: Vec<Event> = (0..10)
        .map(|nth| at(100, places.forward(conn, nth)))
        .collect();
    for (timeouts, ms) in (0..).zip(TIMEOUTS_MS) {
        let resent = conn.server_resends(0, timeouts);
        events.push(at(100 + ms, old(&resent, old_conn.server)));
        events.push(at(100 + ms, places.forward(conn, 0)));
    }
    events
}

fn connections(outcome: &Outcome) -> usize {
    outcome.analysis.state().connections().count()
}

#[test]
fn packets_join_by_the_addresses_of_their_socket() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let old_conn = unseen(conn);
    let mut events = vec![at(0, told(&places.topology))];
    for (timeouts, ms) in (0..).zip([310, 730, 1560]) {
        let resent = conn.client_resends(0, timeouts);
        events.push(at(ms, old(&resent, old_conn.client)));
    }
    for ms in [100, 310, 730, 1560] {
        // Dropped in the container's own namespace, where its addresses are its own.
        let dropped = places.upload(conn, 0);
        events.push(at(ms, dropped.with(|packet| packet.flow.netns = CONTAINER)));
    }
    let finding = run(events, 2000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.evidence.retransmits, 3);
    assert_eq!(finding.evidence.attempts, 4);
    assert_eq!(finding.connection.unwrap().direction, Direction::Upload);
}

#[test]
fn ends_meet_behind_nat_by_the_port_it_kept() {
    let places = Places::new(ROUTED);
    let (conn, old_conn) = with_kept_port(0);
    let ends = [old_conn.client, old_conn.server];
    let turned = [old_conn.server, old_conn.client];
    for sockets in [ends, turned] {
        let mut events = vec![at(0, told(&places.topology))];
        events.extend(download(&places, conn, old_conn));
        events.extend(sockets.map(|socket| at(320, known(socket))));
        let outcome = run(events, 4000);
        assert_eq!(connections(&outcome), 1);
        let finding = outcome.only();
        assert_eq!(finding.verdict, Verdict::MtuBlackHole);
        // A port may be another's too.
        assert_eq!(finding.confidence, Confidence::Likely);
        assert_eq!(finding.evidence.oversized_drops, 14);
        let shown = finding.connection.unwrap();
        assert_eq!(shown.local.netns.unwrap().cookie, Some(CONTAINER.0));
        assert_eq!(shown.direction, Direction::Download);
    }
}

#[test]
fn the_end_that_listens_is_not_the_users_own() {
    let mut places = Places::new(ROUTED);
    for netns in places.topology.namespaces.values_mut() {
        netns.container = None;
    }
    let mut conn = Conn::new(0);
    // Without NAT the ports are all that tells, and here the server's is the higher one.
    conn.server.flow.source.set_port(61_000);
    conn.client.flow.destination.set_port(61_000);
    conn.server.flow.destination = conn.client.flow.source;
    let mut old_conn = unseen(conn);
    let scenario = |old_conn: Conn| {
        let mut events = vec![at(0, told(&places.topology))];
        events.extend([old_conn.server, old_conn.client].map(|socket| at(50, known(socket))));
        for (timeouts, ms) in (0..).zip(TIMEOUTS_MS) {
            let resent = conn.server_resends(0, timeouts);
            events.push(at(100 + ms, old(&resent, old_conn.server)));
            let dropped = places.forward(conn, 0).with(|packet| {
                packet.flow = conn.server.flow;
                packet.flow.netns = HOST;
            });
            events.push(at(100 + ms, dropped));
        }
        run(events, 4000).only()
    };
    let guessed = scenario(old_conn).connection.unwrap();
    assert_eq!(guessed.direction, Direction::Upload);
    old_conn.server.active = Some(false);
    let finding = scenario(old_conn);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    let shown = finding.connection.unwrap();
    assert_eq!(shown.local.netns.unwrap().cookie, Some(CONTAINER.0));
    assert_eq!(shown.direction, Direction::Download);
}

#[test]
fn of_two_that_fit_alike_neither_is_the_other_end() {
    let places = Places::new(ROUTED);
    let (_, old_conn) = with_kept_port(0);
    let mut twin = old_conn.client;
    twin.flow.netns = OUTER;
    let mut events = vec![at(0, told(&places.topology))];
    let sockets = [old_conn.client, twin, old_conn.server];
    events.extend(sockets.map(|socket| at(50, known(socket))));
    assert_eq!(connections(&run(events, 500)), 3);
}
