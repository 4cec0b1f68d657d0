//! Any moment of a capture is what a live trace had made of the events until then.

use std::fs;
use std::path::PathBuf;

use mtu_trace::testing::{Analysis, Event, PlayStep, Replay, Scope};
use proptest::prelude::*;

use super::black_hole::filtered;
use super::network::ROUTED;
use super::packet::Places;
use super::recording::kept;
use super::reports::json;
use super::scenario::{Conn, NS_PER_MS, START_NS, opening, timeline};

/// More events than lie between the first three copies of the state.
fn long() -> Vec<Event> {
    let places = Places::new(ROUTED);
    let scenarios = (0..700).flat_map(|number| {
        let conn = Conn::new(number);
        let mut scenario = opening(&places, conn);
        scenario.extend(filtered(&places, conn, 100 + u64::from(number) * 25));
        scenario
    });
    let events = timeline(scenarios.collect(), 30_000);
    assert!(events.len() > 2 * 8192, "{}", events.len());
    events
}

/// A file that goes when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, events: &[Event]) -> Self {
        let name = format!("mtu-trace-replay-{}-{name}.pcapng", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, kept(events)).unwrap();
        Self(path)
    }

    fn open(&self) -> Replay {
        let replay = Replay::open(&self.0, Scope::default()).unwrap();
        replay.index();
        replay
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a live trace showed at a time: after the events until then.
fn live(events: &[Event], until_ns: u64) -> String {
    let mut analysis = Analysis::default();
    for event in events.iter().take_while(|event| event.time_ns <= until_ns) {
        analysis.apply(event);
    }
    json(analysis.findings())
}

fn shown(replay: &Replay) -> String {
    json(replay.watch().analysis.findings())
}

#[test]
fn every_moment_is_as_it_was_wherever_one_comes_from() {
    let events = long();
    let file = Temporary::new("moments", &events);
    let mut replay = file.open();
    let (first_ns, last_ns) = replay.span();
    assert_eq!(
        (first_ns, last_ns),
        (START_NS, events.last().unwrap().time_ns)
    );
    // To and fro, over copies and between them.
    for ms in [30_000, 100, 12_346, 26_000, 0, 12_900] {
        let at_ns = START_NS + ms * NS_PER_MS;
        replay.seek(at_ns);
        assert_eq!(replay.now_ns, at_ns);
        assert_eq!(shown(&replay), live(&events, at_ns), "at {ms} ms");
    }
    // Not beyond what there is.
    replay.seek(u64::MAX);
    assert_eq!(replay.now_ns, last_ns);
    assert_eq!(shown(&replay), live(&events, last_ns));
    replay.seek(0);
    assert_eq!(replay.now_ns, first_ns);
}

#[test]
fn steps_lead_from_finding_to_finding() {
    let events = long();
    let file = Temporary::new("findings", &events);
    let mut replay = file.open();
    let mut analysis = Analysis::default();
    for event in &events {
        analysis.apply(event);
    }
    let times: Vec<u64> = analysis.made().iter().map(|made| made.at_ns).collect();
    assert!(!times.is_empty());
    let mut met = Vec::new();
    while replay.step_finding(PlayStep::Forward) {
        met.push(replay.now_ns);
    }
    let mut once = times.clone();
    once.dedup();
    assert_eq!(met, once);
    assert_eq!(shown(&replay), live(&events, *once.last().unwrap()));
    replay.seek(u64::MAX);
    let mut back = Vec::new();
    while replay.step_finding(PlayStep::Back) {
        back.push(replay.now_ns);
    }
    back.reverse();
    assert_eq!(back, once);
}

#[test]
fn steps_take_in_one_event_and_take_it_back() {
    let events = long();
    let file = Temporary::new("steps", &events);
    let mut replay = file.open();
    // Across the first copy after the beginning.
    let before = events[8180].time_ns;
    replay.seek(before);
    let begin = replay.watch().analysis.state().events;
    let mut states = vec![begin];
    for _ in 0..40 {
        assert!(replay.step_event(PlayStep::Forward));
        states.push(replay.watch().analysis.state().events);
    }
    assert_eq!(states[40], begin + 40);
    for expected in states.iter().rev().skip(1) {
        assert!(replay.step_event(PlayStep::Back));
        assert_eq!(replay.watch().analysis.state().events, *expected);
    }
    replay.seek(u64::MAX);
    assert!(!replay.step_event(PlayStep::Forward));
}

#[test]
fn steps_back_lead_to_the_beginning() {
    let places = Places::new(ROUTED);
    let events = timeline(filtered(&places, Conn::new(0), 100), 4000);
    let file = Temporary::new("back", &events);
    let mut replay = file.open();
    replay.seek(u64::MAX);
    let all = replay.watch().analysis.state().events;
    let mut steps = 0;
    while replay.step_event(PlayStep::Back) {
        steps += 1;
        assert_eq!(replay.watch().analysis.state().events, all - steps);
    }
    assert_eq!((steps, all > 5), (all, true));
}

#[test]
fn what_cannot_be_used_is_said() {
    let fails = |path: &str| {
        let error = Replay::open(path.as_ref(), Scope::default()).err();
        format!("{:#}", error.unwrap())
    };
    assert!(fails("/nonexistent").contains("No such file"));
    assert_eq!(fails("/dev/null"), "it is empty");
    let other = env!("CARGO_MANIFEST_PATH");
    assert!(fails(other).contains("it is no capture"));
}

#[test]
fn a_compressed_capture_is_kept_aside_to_be_read_again() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/core/golden/filtered.pcapng.zst"
    );
    let mut replay = Replay::open(path.as_ref(), Scope::default()).unwrap();
    replay.index();
    let (first_ns, last_ns) = replay.span();
    replay.seek(last_ns);
    let end = shown(&replay);
    assert!(end.contains("mtu-black-hole"), "{end}");
    replay.seek(first_ns);
    assert!(!shown(&replay).contains("mtu-black-hole"));
    replay.seek(last_ns);
    assert_eq!(shown(&replay), end);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also where events are out of order.
    #[test]
    fn any_way_through_any_capture_leads_to_the_same_moments(
        events in super::properties::events(),
        seeks in prop::collection::vec(0..5200u64, 1..12),
    ) {
        let file = Temporary::new("random", &events);
        let mut replay = file.open();
        for ms in seeks {
            replay.seek(START_NS + ms * NS_PER_MS);
            prop_assert_eq!(shown(&replay), live(&events, replay.now_ns), "at {} ms", ms);
        }
    }
}
