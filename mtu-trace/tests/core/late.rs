//! A trace that begins in the middle of a stall, when the sender waits for seconds or minutes between
//! one try and the next.

use mtu_trace::testing::{
    Address, Confidence, Direction, Event, EventKind, Finding, Inside, NextHop, Route, RouteKind,
    Sample, Topology, Verdict,
};

use super::black_hole::hole;
use super::network::{
    At, CNI0, CONTAINER_ETH0, DOCKER0, EXT0, HOST, Mtus, OUTER, OUTER_ETH0, ROUTED, SERVER_ETH0,
    VETH, told,
};
use super::older::{known, old, with_kept_port};
use super::packet::Places;
use super::scenario::{Conn, at, ends, run};

/// Connected routes, and default ones out to the host.
pub fn with_routes(mut topology: Topology) -> Topology {
    let gateways: [(At, Option<At>); 6] = [
        (CONTAINER_ETH0, Some(DOCKER0)),
        (DOCKER0, None),
        (OUTER_ETH0, Some(CNI0)),
        (CNI0, None),
        (EXT0, None),
        (SERVER_ETH0, None),
    ];
    for ((netns, ifindex), gateway) in gateways {
        let own = topology.link(netns, ifindex).unwrap().addresses[0];
        let gateway = gateway
            .map(|(netns, ifindex)| topology.link(netns, ifindex).unwrap().addresses[0].address);
        let route = |destination, gateway| Route {
            destination,
            table: 254,
            kind: RouteKind::Unicast,
            metric: 0,
            hops: vec![NextHop {
                gateway,
                ifindex: Some(ifindex),
            }],
            mtu_bytes: None,
            mtu_locked: false,
            encapsulation: None,
            source: None,
        };
        let known = topology.namespaces.get_mut(&netns).unwrap();
        let mut inside = known
            .inside
            .take()
            .map_or_else(Inside::default, |it| (*it).clone());
        inside.routes.push(route(own, None));
        if gateway.is_some() {
            let everywhere = Address {
                address: [0, 0, 0, 0].into(),
                prefix_len: 0,
            };
            inside.routes.push(route(everywhere, gateway));
        }
        known.inside = Some(inside.into());
    }
    topology
}

/// The server's socket after so many timeouts, with its first segments unacknowledged.
fn times_out(conn: Conn, backoff: u32) -> Sample {
    let EventKind::Sample(stands) = conn.server_stands(0, 1448) else {
        panic!("no sample");
    };
    Sample {
        timeouts: backoff,
        backoff,
        unacked: 10,
        outstanding_bytes: 10 * 1448,
        ..stands
    }
}

/// Connections that were stalled before, as both ends' sockets tell.
fn stalled(mtus: Mtus) -> (Places, Conn, Vec<Event>) {
    let places = Places {
        topology: with_routes(Places::new(mtus).topology),
    };
    let (conn, old_conn) = with_kept_port(0);
    let events = vec![
        at(0, told(&places.topology)),
        at(150, known(old_conn.server)),
        at(150, known(old_conn.client)),
        at(150, EventKind::Sample(times_out(conn, 7))),
    ];
    (places, conn, events)
}

fn found(events: Vec<Event>, until_ms: u64) -> Finding {
    run(events, until_ms).only()
}

#[test]
fn the_map_foretells_it_before_anything_is_sent() {
    let (_, _, events) = stalled(ROUTED);
    let finding = found(events, 300);
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.confidence, Confidence::Suspected);
    assert_eq!(finding.evidence.oversized_drops, 0);
    assert_eq!(finding.evidence.attempts, 8);
    assert_eq!(finding.pmtud, None);
    let boundary = finding.boundary.unwrap();
    assert_eq!(boundary.netns.id(), HOST);
    assert_eq!(boundary.egress.as_deref(), Some("cni0"));
    assert_eq!(
        (boundary.limit_bytes, boundary.packet_bytes),
        (Some(1450), 1500)
    );
    assert_eq!(finding.connection.unwrap().direction, Direction::Download);
    let way: Vec<&str> = finding.path.iter().map(|hop| &*hop.interface).collect();
    // From the container on.
    assert_eq!(way.first(), Some(&"eth0"));
    assert_eq!(way.get(2), Some(&"docker0"));
    assert!(finding.summary.contains("None was seen to die there yet"));
    assert!(!finding.fixes.is_empty());
}

#[test]
fn one_death_makes_it_sure() {
    let (places, conn, mut events) = stalled(ROUTED);
    let (_, old_conn) = with_kept_port(0);
    let resent = conn.server_resends(0, 7);
    events.push(at(900, old(&resent, old_conn.server)));
    events.push(at(900, places.forward(conn, 0)));
    events.push(at(1000, EventKind::Sample(times_out(conn, 8))));
    let finding = found(events, 1100);
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    // A port may be another's too.
    assert_eq!(finding.confidence, Confidence::Likely);
    assert_eq!(finding.evidence.oversized_drops, 1);
    // It is the one that was foretold.
    assert!(finding.detected_at_ns < at(300, EventKind::Tick).time_ns);
    assert!(finding.summary.contains("die in"), "{}", finding.summary);
}

#[test]
fn further_deaths_are_of_the_same_stall() {
    let (places, conn, mut events) = stalled(ROUTED);
    let (_, old_conn) = with_kept_port(0);
    for (backoff, ms) in [(8, 900), (9, 27_000), (10, 80_000)] {
        let resent = conn.server_resends(0, backoff - 1);
        events.push(at(ms, old(&resent, old_conn.server)));
        events.push(at(ms, places.forward(conn, 0)));
        events.push(at(ms + 100, EventKind::Sample(times_out(conn, backoff))));
    }
    let outcome = run(events, 81_000);
    assert_eq!(outcome.analysis.made().len(), 1);
    let finding = outcome.only();
    assert_eq!(finding.evidence.attempts, 11);
    assert_eq!(finding.first_seen_ns, at(150, EventKind::Tick).time_ns);
    assert!(finding.detected_at_ns < at(300, EventKind::Tick).time_ns);
}

#[test]
fn what_was_seen_tells_more_than_what_is_foretold() {
    let (places, conn, mut events) = stalled(ROUTED);
    // It lasts for longer, as far as that is known.
    events.push(at(8000, EventKind::Sample(times_out(conn, 7))));
    let other = Conn::new(1);
    events.push(at(4000, other.client_known()));
    events.push(at(4000, other.server_known()));
    events.extend(hole(other, 4100, |nth| places.forward(other, nth)));
    let finding = found(events, 9000);
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.connections, 2);
    assert_eq!(finding.confidence, Confidence::Confirmed);
    assert_eq!(finding.evidence.oversized_drops, 14);
}

#[test]
fn a_map_that_changes_takes_it_back_unless_all_is_over() {
    let (places, conn, events) = stalled(ROUTED);
    let wide = Mtus {
        bridge: 1500,
        port: 1500,
        inner: 1500,
    };
    let mended = with_routes(Places::new(wide).topology);
    let mut changed = events.clone();
    changed.push(at(1000, told(&mended)));
    let outcome = run(changed, 1200);
    assert!(outcome.ever.contains_key("mtu-black-hole"));
    assert!(outcome.analysis.findings().is_empty());

    let mut gone = places.topology;
    for netns in gone.namespaces.values_mut() {
        netns.gone = true;
    }
    let mut ended = events;
    ended.push(at(1000, ends(conn.server, 1, 110)));
    ended.push(at(1000, ends(conn.client, 1, 104)));
    ended.push(at(1500, told(&gone)));
    let finding = found(ended, 2000);
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert!(!finding.ongoing && finding.boundary.is_some());
    assert!(
        finding.summary.contains("do not fit"),
        "{}",
        finding.summary
    );
}

#[test]
fn of_an_upload_the_sender_knows_the_way() {
    let (_, conn, mut events) = stalled(ROUTED);
    events.pop();
    let EventKind::Sample(stands) = conn.client_stands(0) else {
        panic!("no sample");
    };
    let waits = Sample {
        bytes_acked: 1,
        flow: conn.client.flow,
        ..times_out(conn, 7)
    };
    events.push(at(
        150,
        EventKind::Sample(Sample {
            bytes_received: stands.bytes_received,
            ..waits
        }),
    ));
    let finding = found(events, 300);
    let boundary = finding.boundary.unwrap();
    assert_eq!(boundary.netns.id(), OUTER);
    assert_eq!(boundary.egress.as_deref(), Some("eth0"));
    assert_eq!(finding.connection.unwrap().direction, Direction::Upload);
}

#[test]
fn without_a_map_one_death_is_enough() {
    let places = Places::new(VETH);
    let (conn, old_conn) = with_kept_port(0);
    let resent = conn.server_resends(0, 7);
    let scenario = |after: Sample| {
        let events = vec![
            at(0, told(&places.topology)),
            at(150, known(old_conn.server)),
            at(150, EventKind::Sample(times_out(conn, 7))),
            at(900, old(&resent, old_conn.server)),
            at(900, places.veth(conn, 0)),
            at(1000, EventKind::Sample(after)),
        ];
        run(events, 1100)
    };
    let finding = scenario(times_out(conn, 8)).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert!(finding.boundary.unwrap().silent);
    // It was told meanwhile, and has come down.
    let told = Sample {
        mss: 1398,
        pmtu_bytes: 1450,
        ..times_out(conn, 8)
    };
    let verdicts = scenario(told).ever;
    assert!(!verdicts.contains_key("mtu-black-hole"), "{verdicts:?}");
}

#[test]
fn of_a_sender_elsewhere_two_deaths_far_apart_are_enough() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let scenario = |apart_ms: u64| {
        let deaths = [100, 100 + apart_ms].map(|ms| at(ms, places.forward(conn, 0)));
        let mut events = vec![at(0, told(&places.topology)), at(50, conn.client_known())];
        events.extend(deaths);
        run(events, 10_000)
    };
    let finding = scenario(6400).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.evidence.attempts, 2);
    // That may be a first timeout.
    let verdicts = scenario(3000).ever;
    assert!(!verdicts.contains_key("mtu-black-hole"), "{verdicts:?}");
}

#[test]
fn what_was_foretold_is_withdrawn_if_the_next_try_does_not_die() {
    let (_, conn, mut events) = stalled(ROUTED);
    let (_, old_conn) = with_kept_port(0);
    let resent = conn.server_resends(0, 7);
    events.push(at(900, old(&resent, old_conn.server)));
    events.push(at(1000, EventKind::Sample(times_out(conn, 8))));
    let seen = run(events.clone(), 1100);
    assert!(seen.ever.contains_key("mtu-black-hole"));
    assert_eq!(seen.only().verdict, Verdict::RemoteBlackHole);
    // Also where only the socket tells that it has tried.
    let mut unseen = events.clone();
    unseen.retain(|event| !matches!(event.kind, EventKind::Retransmit(_)));
    assert!(run(unseen, 1100).analysis.findings().is_empty());
    // Unless that would not be seen.
    events.push(at(20, EventKind::Blind(vec!["skb:kfree_skb".to_owned()])));
    let finding = found(events, 1100);
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.confidence, Confidence::Suspected);
}

/// The trace begins in the middle of a stall: its socket knows since when.
#[test]
fn a_stall_that_is_older_than_the_trace_has_its_own_time() {
    let lasts_ms = |waited_ms: Option<u32>| {
        let (_, conn, mut events) = stalled(ROUTED);
        events.pop();
        let sample = Sample {
            waited_ms,
            ..times_out(conn, 7)
        };
        events.push(at(150, EventKind::Sample(sample)));
        found(events, 300).evidence.stalled_ms
    };
    assert_eq!(lasts_ms(None), 150);
    assert_eq!(lasts_ms(Some(42_000)), 42_150);
}

/// Waiting is no sign of size by itself.
#[test]
fn nothing_is_foretold_of_what_would_fit_or_is_small() {
    let wide = Mtus {
        bridge: 1500,
        port: 1500,
        inner: 1500,
    };
    let (_, _, events) = stalled(wide);
    assert!(run(events, 300).ever.is_empty());

    let (_, conn, events) = stalled(ROUTED);
    let changed = |edit: &dyn Fn(&mut Sample)| {
        let mut events = events.clone();
        let mut sample = times_out(conn, 7);
        edit(&mut sample);
        events.pop();
        events.push(at(150, EventKind::Sample(sample)));
        run(events, 300).ever
    };
    assert!(!changed(&|_| {}).is_empty());
    let small: [&dyn Fn(&mut Sample); 6] = [
        // Two small ones.
        &|sample| {
            sample.unacked = 2;
            sample.outstanding_bytes = 900;
        },
        // They were agreed to be small: a clamp, or the peer's own MTU.
        &|sample| sample.mss = 1398,
        // One segment, which may be a small one.
        &|sample| sample.unacked = 1,
        // Full ones got through.
        &|sample| sample.bytes_acked = 100_000,
        // It has come down already.
        &|sample| {
            sample.mss = 1398;
            sample.pmtu_bytes = 1450;
        },
        // That is no stall yet.
        &|sample| sample.backoff = 1,
    ];
    for edit in small {
        let verdicts = changed(edit);
        assert!(verdicts.is_empty(), "{verdicts:?}");
    }
}
