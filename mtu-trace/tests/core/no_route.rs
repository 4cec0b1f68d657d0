//! Senders whose way out is gone: what they try does not leave, and is not sent.

use mtu_trace::testing::{
    Confidence, Event, EventKind, Finding, Retransmit, Sample, SendError, Severity, Topology,
    Verdict,
};

use super::late::with_routes;
use super::network::{EXT0, ROUTED, SERVER, told};
use super::packet::Places;
use super::scenario::{Conn, Outcome, again, at, run};

/// The server's default gateway is the host.
const SERVER_IFINDEX: u32 = 2;
/// EHOSTUNREACH, as the kernel answers where it finds no route.
const UNREACHABLE: SendError = SendError(113);

/// The network, and what it has become.
fn change(edit: impl FnOnce(&mut Topology)) -> [EventKind; 2] {
    let mut before = with_routes(Places::new(ROUTED).topology);
    // The server has a default route, too.
    let server = before.namespaces.get_mut(&SERVER).unwrap();
    let mut inside = (**server.inside.as_ref().unwrap()).clone();
    let mut route = inside.routes[0].clone();
    route.destination.address = "0.0.0.0".parse().unwrap();
    route.destination.prefix_len = 0;
    route.hops[0].gateway = Some("198.51.100.1".parse().unwrap());
    inside.routes.push(route);
    server.inside = Some(inside.into());
    let mut after = before.clone();
    edit(&mut after);
    [told(&before), told(&after)]
}

fn unsent(conn: Conn, timeouts: u32, error: SendError) -> EventKind {
    again(Retransmit {
        error: Some(error),
        ..conn.server_resends(0, timeouts)
    })
}

/// One segment is sent again, and after the change none can be.
fn unsendable(edit: impl FnOnce(&mut Topology)) -> Vec<Event> {
    let conn = Conn::new(0);
    let [before, after] = change(edit);
    let mut events = vec![
        at(0, before),
        at(50, conn.client_known()),
        at(50, conn.server_known()),
        at(310, again(conn.server_resends(0, 0))),
        at(400, after),
    ];
    events.extend((1..4).zip([730, 1560, 3200]).map(|(timeouts, ms)| {
        let unsent = unsent(conn, timeouts, UNREACHABLE);
        at(ms, unsent)
    }));
    events
}

/// The only finding, and that it was never called anything else.
#[track_caller]
fn no_route(outcome: &Outcome) -> Finding {
    outcome.never(Verdict::RemoteBlackHole);
    outcome.never(Verdict::ReceiverStalled);
    outcome.never(Verdict::PacketLoss);
    let finding = outcome.only();
    assert_eq!(finding.verdict, Verdict::NoRoute);
    assert!(
        finding.summary.contains("not an MTU problem"),
        "{}",
        finding.summary
    );
    finding
}

fn without_device(topology: &mut Topology) {
    let server = topology.namespaces.get_mut(&SERVER).unwrap();
    server.links.remove(&SERVER_IFINDEX);
    server.inside = Some(std::sync::Arc::default());
}

#[test]
fn what_could_not_be_sent_is_not_sent() {
    let outcome = run(unsendable(without_device), 4000);
    let finding = no_route(&outcome);
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    assert!(finding.ongoing);
    assert_eq!(
        (finding.evidence.retransmits, finding.evidence.unsent),
        (1, 3)
    );
    assert_eq!(finding.evidence.attempts, 4);
    assert!(
        finding.summary.contains("interface eth0 of srv is gone"),
        "{}",
        finding.summary
    );
    let notes = finding.evidence.notes.join("; ");
    assert!(
        notes.contains("3 segments could not be sent again"),
        "{notes}"
    );
    assert!(notes.contains("os error 113"), "{notes}");
    assert!(finding.fixes[0].commands.is_empty());
}

#[test]
fn what_is_missing_is_named_and_put_back() {
    let link = |topology: &mut Topology, edit: fn(&mut mtu_trace::testing::Link)| {
        let server = topology.namespaces.get_mut(&SERVER).unwrap();
        edit(server.links.get_mut(&SERVER_IFINDEX).unwrap());
    };
    let down = run(unsendable(|it| link(it, |link| link.up = false)), 4000);
    let down = no_route(&down);
    assert!(
        down.summary.contains("eth0 of srv is down"),
        "{}",
        down.summary
    );
    // The route to its own network comes back with it.
    assert_eq!(
        down.fixes[0].commands,
        ["ip netns exec srv ip link set dev eth0 up"]
    );
    let address = run(
        unsendable(|it| link(it, |link| link.addresses.clear())),
        4000,
    );
    let address = no_route(&address);
    assert!(
        address.summary.contains("198.51.100.9 is gone from eth0"),
        "{}",
        address.summary
    );
    assert_eq!(
        address.fixes[0].commands,
        ["ip netns exec srv ip address add 198.51.100.9/24 dev eth0"]
    );
    let route = run(
        unsendable(|it| {
            let server = it.namespaces.get_mut(&SERVER).unwrap();
            server.inside = Some(std::sync::Arc::default());
        }),
        4000,
    );
    let route = no_route(&route);
    assert!(route.summary.contains("is gone"), "{}", route.summary);
    assert_eq!(
        route.fixes[0].commands,
        ["ip netns exec srv ip route add 198.51.100.9/24 dev eth0"]
    );
}

/// The routes were read for the first time after the interface had taken them with it.
#[test]
fn an_interface_that_is_down_is_named_without_its_routes() {
    let mut events = unsendable(|it| {
        let server = it.namespaces.get_mut(&SERVER).unwrap();
        server.links.get_mut(&SERVER_IFINDEX).unwrap().up = false;
        server.inside = Some(std::sync::Arc::default());
    });
    let after = events.remove(4);
    events[0].kind = after.kind;
    let down = no_route(&run(events, 4000));
    assert!(
        down.summary.contains("eth0 of srv is down"),
        "{}",
        down.summary
    );
}

/// Nobody has seen why, but the kernel says so.
#[test]
fn the_kernels_answer_is_enough() {
    let outcome = run(unsendable(|_| {}), 4000);
    let finding = no_route(&outcome);
    assert_eq!(finding.confidence, Confidence::Likely);
}

/// The server has data and its peer has room, but nothing is outstanding: no segment is sent again.
fn held_up(conn: Conn, backoff: u32) -> EventKind {
    let EventKind::Sample(stands) = conn.server_stands(10, 1448) else {
        panic!("no sample");
    };
    EventKind::Sample(Sample {
        backoff,
        unsent_bytes: 57_920,
        is_held_up: true,
        ..stands
    })
}

fn waits_in_vain(edit: impl FnOnce(&mut Topology)) -> Outcome {
    let conn = Conn::new(0);
    let [before, after] = change(edit);
    let mut events = vec![
        at(0, before),
        at(50, conn.client_known()),
        at(50, conn.server_known()),
        at(400, after),
    ];
    let tries = (0..5).zip([500, 700, 1100, 1900, 3500]);
    events.extend(tries.map(|(backoff, ms)| at(ms, held_up(conn, backoff))));
    run(events, 4000)
}

#[test]
fn a_probe_timer_with_an_open_window_is_no_closed_window() {
    let finding = no_route(&waits_in_vain(without_device));
    assert_eq!(finding.confidence, Confidence::Confirmed);
    assert_eq!(finding.evidence.retransmits, 0);
    let notes = finding.evidence.notes.join("; ");
    assert!(
        notes.contains("tries in vain to send 57920 bytes"),
        "{notes}"
    );
    // There may be other reasons, such as a packet filter.
    waits_in_vain(|_| {}).nothing();
}

#[test]
fn a_way_that_comes_back_is_a_warning() {
    let conn = Conn::new(0);
    let mut events = unsendable(without_device);
    let [before, _] = change(|_| {});
    events.push(at(5000, before));
    events.push(at(6400, again(conn.server_resends(0, 4))));
    events.push(at(6450, conn.server_stands(10, 1448)));
    let finding = run(events, 7000).only();
    assert_eq!(finding.verdict, Verdict::NoRoute);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(!finding.ongoing);
    assert!(
        finding.summary.contains("It moves again"),
        "{}",
        finding.summary
    );
}

/// What was sent before still waits in a queue (EBUSY), or the window has shrunk (EAGAIN).
#[test]
fn what_is_put_off_is_no_attempt() {
    for errno in [11, 16] {
        let conn = Conn::new(0);
        let mut events = vec![
            at(0, told(&Places::new(ROUTED).topology)),
            at(50, conn.client_known()),
            at(50, conn.server_known()),
        ];
        let tries = (0..4).zip([310, 730, 1560, 3200]);
        events.extend(tries.map(|(nth, ms)| at(ms, unsent(conn, nth, SendError(errno)))));
        run(events, 4000).nothing();
    }
}

/// An interface that nothing of the sender goes by is none of its way out.
#[test]
fn what_else_goes_is_not_named() {
    let outcome = run(
        unsendable(|topology| {
            let host = topology.namespaces.get_mut(&EXT0.0).unwrap();
            host.links.remove(&EXT0.1);
        }),
        4000,
    );
    let finding = no_route(&outcome);
    assert!(!finding.summary.contains("ext0"), "{}", finding.summary);
}
