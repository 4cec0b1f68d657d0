//! Names stay for as long as a finding tells of them, whatever becomes of the network.

use std::sync::Arc;

use mtu_trace::testing::{Analysis, Event, EventKind, Finding, Netns, NetnsId, Store, Topology};

use super::black_hole::filtered_events;
use super::captured;
use super::network::{CONTAINER, HOST, OUTER, ROUTED, SERVER};
use super::packet::Places;
use super::recording::{kept, read};
use super::scenario::{Conn, Outcome, again, at, evicted, run, timeline};

/// One of which nothing is told.
const QUIET: NetnsId = NetnsId(105);

/// The network as it is told, without these.
fn without(places: &Places, gone: &[NetnsId]) -> EventKind {
    let mut topology = Topology::clone(&places.topology);
    for id in gone {
        topology.namespaces.remove(id);
    }
    EventKind::Topology(Arc::new(topology))
}

/// A black hole, and all namespaces gone long after it was found; then another change.
fn emptied() -> Vec<Event> {
    let mut places = Places::new(ROUTED);
    places.topology.namespaces.insert(QUIET, Netns::default());
    let mut events = filtered_events(&places);
    let all = [CONTAINER, OUTER, HOST, SERVER, QUIET];
    events.push(at(70_000, without(&places, &all)));
    events.push(at(80_000, without(&places, &all[..3])));
    events.push(at(90_000, without(&places, &all)));
    events
}

fn until(ms: u64) -> Outcome {
    let mut events = emptied();
    events.retain(|event| event.time_ns <= at(ms, EventKind::Tick).time_ns);
    run(events, ms)
}

/// All that a finding says of where it is.
fn places(finding: &Finding) -> (String, String, Vec<String>) {
    let boundary = finding.boundary.as_ref().unwrap();
    let connection = finding.connection.as_ref().unwrap();
    let path = finding.path.iter().map(|hop| hop.netns.label());
    let ends = [&connection.local, &connection.remote].map(|end| end.netns.clone());
    (
        format!("{} {:?}", boundary.netns.label(), boundary.netns.inode),
        format!("{ends:?}"),
        path.collect(),
    )
}

#[test]
fn names_stay_while_a_finding_tells_of_them() {
    let before = until(60_000).only();
    for until_ms in [75_000, 85_000, 95_000] {
        let outcome = until(until_ms);
        let after = outcome.only();
        assert_eq!(places(&after), places(&before), "{until_ms}");
        assert_eq!(after.fixes, before.fixes);
        let namespaces = &outcome.analysis.state().topology.namespaces;
        let gone = |id: &NetnsId| namespaces.get(id).map(|netns| netns.gone);
        assert_eq!(gone(&HOST), Some(true));
        let back = until_ms == 85_000;
        assert_eq!(gone(&SERVER), Some(!back));
        // Nothing tells of this one.
        assert_eq!(gone(&QUIET), back.then_some(false));
    }
}

#[test]
fn a_capture_of_it_means_the_same() {
    let events = timeline(emptied(), 95_000);
    let (again, _) = read(&kept(&events));
    assert_eq!(captured::findings(&again), captured::findings(&events));
}

#[test]
fn names_are_kept_for_findings_alone_and_within_bounds() {
    let names = |most| {
        let mut events = emptied();
        events.truncate(events.len() - 2);
        events.insert(0, at(0, evicted(Store::Namespaces, most, 0)));
        let analysis = run(events, 75_000).analysis;
        let state = analysis.state();
        (
            state.topology.namespaces.len(),
            state.evictions.of(Store::Namespaces),
        )
    };
    assert_eq!(names(4096), (4, 0));
    assert_eq!(names(1), (1, 3));
}

/// When the connection itself is forgotten, so are the names.
#[test]
fn names_go_with_the_connection() {
    let mut analysis = Analysis::default();
    let mut events = emptied();
    events.insert(0, at(0, evicted(Store::Troubled, 0, 0)));
    let conn = Conn::new(1);
    events.push(at(60_000, again(conn.client_resends(0, 0))));
    for event in timeline(events, 75_000) {
        analysis.apply(&event);
    }
    assert_eq!(analysis.state().topology.namespaces.len(), 0);
}
