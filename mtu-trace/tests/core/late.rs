//! A trace that begins in the middle of a stall, when the sender waits for seconds or minutes between
//! one try and the next.

use mtu_trace::{
    diagnose::{Confidence, Direction, Finding, Verdict},
    event::{Event, EventKind, Sample},
    topology::{Address, Inside, NextHop, Route, RouteKind, Topology},
};

use super::{
    network::{
        At, CNI0, CONTAINER_ETH0, DOCKER0, EXT0, HOST, Mtus, OUTER_ETH0, ROUTED, SERVER_ETH0, VETH,
        told,
    },
    older::{known, old, with_kept_port},
    packet::Places,
    story::{Conn, at, play},
};

/// Connected routes, and default ones out to the host.
fn with_routes(mut topology: Topology) -> Topology {
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
    play(events, until_ms).only()
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
    assert_eq!((boundary.limit_bytes, boundary.packet_bytes), (1450, 1500));
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
fn without_a_map_one_death_is_enough() {
    let places = Places::new(VETH);
    let (conn, old_conn) = with_kept_port(0);
    let resent = conn.server_resends(0, 7);
    let story = |after: Sample| {
        let events = vec![
            at(0, told(&places.topology)),
            at(150, known(old_conn.server)),
            at(150, EventKind::Sample(times_out(conn, 7))),
            at(900, old(&resent, old_conn.server)),
            at(900, places.veth(conn, 0)),
            at(1000, EventKind::Sample(after)),
        ];
        play(events, 1100)
    };
    let finding = story(times_out(conn, 8)).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert!(finding.boundary.unwrap().silent);
    // It was told meanwhile, and has come down.
    let told = Sample {
        mss: 1398,
        pmtu_bytes: 1450,
        ..times_out(conn, 8)
    };
    let verdicts = story(told).ever;
    assert!(!verdicts.contains_key("mtu-black-hole"), "{verdicts:?}");
}

#[test]
fn of_a_sender_elsewhere_two_deaths_far_apart_are_enough() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let story = |apart_ms: u64| {
        let deaths = [100, 100 + apart_ms].map(|ms| at(ms, places.forward(conn, 0)));
        let mut events = vec![at(0, told(&places.topology)), at(50, conn.client_known())];
        events.extend(deaths);
        play(events, 10_000)
    };
    let finding = story(6400).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.evidence.attempts, 2);
    // That is any first timeout.
    let verdicts = story(1000).ever;
    assert!(!verdicts.contains_key("mtu-black-hole"), "{verdicts:?}");
}

#[test]
fn what_was_foretold_is_withdrawn_if_the_next_try_does_not_die() {
    let (_, conn, mut events) = stalled(ROUTED);
    let (_, old_conn) = with_kept_port(0);
    let resent = conn.server_resends(0, 7);
    events.push(at(900, old(&resent, old_conn.server)));
    events.push(at(1000, EventKind::Sample(times_out(conn, 8))));
    let seen = play(events.clone(), 1100);
    assert!(seen.ever.contains_key("mtu-black-hole"));
    assert_eq!(seen.only().verdict, Verdict::RemoteBlackHole);
    // Unless that would not be seen.
    events.push(at(20, EventKind::Blind(vec!["skb:kfree_skb".to_owned()])));
    let finding = found(events, 1100);
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(finding.confidence, Confidence::Suspected);
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
    assert!(play(events, 300).ever.is_empty());

    let (_, conn, events) = stalled(ROUTED);
    let changed = |edit: &dyn Fn(&mut Sample)| {
        let mut events = events.clone();
        let mut sample = times_out(conn, 7);
        edit(&mut sample);
        events.pop();
        events.push(at(150, EventKind::Sample(sample)));
        play(events, 300).ever
    };
    assert!(!changed(&|_| {}).is_empty());
    let small: [&dyn Fn(&mut Sample); 4] = [
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
