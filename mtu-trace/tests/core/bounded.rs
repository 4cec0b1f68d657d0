//! More than is kept: what matters stays, what had to be forgotten is told, and nothing piles up.

use mtu_trace::testing::{Analysis, Confidence, Event, EventKind, Isn, Store, Verdict};
use proptest::prelude::*;

use super::black_hole::filtered_events;
use super::network::ROUTED;
use super::packet::Places;
use super::scenario::{Conn, NS_PER_MS, again, at, evicted, run, timeline};

/// More connections that lose something than are kept.
const MANY: u16 = 12_000;

fn other(number: u16) -> Conn {
    let far = u32::from(number).wrapping_mul(0x9e37_79b1);
    let isn = Isn {
        iss: far,
        irs: far.wrapping_add(0x4000_0000),
    };
    Conn::with_isn(number, isn)
}

fn analysed(events: &[Event]) -> Analysis {
    let mut analysis = Analysis::default();
    for event in events {
        analysis.apply(event);
    }
    analysis
}

#[test]
fn a_hole_is_not_forgotten_for_what_is_daily_life() {
    let mut events = filtered_events(&Places::new(ROUTED));
    for number in 1..MANY {
        let resent = other(number).server_resends(0, 0);
        events.push(at(5000 + u64::from(number), again(resent)));
    }
    let analysis = analysed(&timeline(events, 5000 + u64::from(MANY)));
    let state = analysis.state();
    let kept = state.connections().count();
    assert!(kept <= 10_000, "{kept}");
    let forgotten = state.evictions.of(Store::Troubled);
    assert_eq!(forgotten, u64::from(MANY) - kept as u64);
    let findings = analysis.findings();
    assert_eq!(findings[0].verdict, Verdict::MtuBlackHole);
    let notes = analysis.notes();
    assert!(
        notes[0].starts_with(&format!("{forgotten} connections had to be")),
        "{notes:?}"
    );
}

/// Where the kernel programs have forgotten handshakes, a connection of which one end is known may have
/// the other end on this host, too.
#[test]
fn an_end_that_may_be_forgotten_lowers_the_confidence() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let whole = filtered_events(&places);
    let half: Vec<Event> = whole
        .iter()
        .filter(|event| event.kind != conn.client_known())
        .cloned()
        .collect();
    let finding = |events: &[Event], store, number| {
        let mut events = events.to_vec();
        events.push(at(1000, evicted(store, 64, number)));
        let outcome = run(events, 4000);
        assert_eq!(outcome.analysis.state().evictions.of(store), number);
        let finding = outcome.only();
        assert_eq!(finding.verdict, Verdict::MtuBlackHole);
        (finding.confidence, finding.evidence.notes.len())
    };
    let (sure, notes) = finding(&half, Store::Handshakes, 0);
    assert_eq!(sure, Confidence::Confirmed);
    assert_eq!(
        finding(&half, Store::Handshakes, 1),
        (Confidence::Likely, notes + 1)
    );
    // Counts are all that is missing here, and nothing there.
    assert_eq!(finding(&half, Store::Drops, 1).0, Confidence::Confirmed);
    assert_eq!(
        finding(&whole, Store::Handshakes, 1).0,
        Confidence::Confirmed
    );
}

/// One that was made after others were forgotten may be one of those.
#[test]
fn a_connection_that_may_have_been_forgotten_lowers_the_confidence() {
    for (most, confidence) in [(10_000, Confidence::Confirmed), (20, Confidence::Likely)] {
        let mut events = vec![at(0, evicted(Store::Troubled, most, 0))];
        events.extend((100..200).map(|number| at(1, again(other(number).server_resends(0, 0)))));
        let later = filtered_events(&Places::new(ROUTED)).into_iter();
        events.extend(later.map(|event| Event {
            time_ns: event.time_ns + 1000 * NS_PER_MS,
            ..event
        }));
        let analysis = analysed(&timeline(events, 5000));
        let finding = &analysis.findings()[0];
        assert_eq!(finding.verdict, Verdict::MtuBlackHole);
        assert_eq!(finding.confidence, confidence, "{most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever is forgotten, it is counted, and no more is kept than there is room for.
    #[test]
    fn what_is_kept_and_what_is_forgotten_add_up(
        all in 1..80_u64,
        troubled in 1..40_u64,
        lossy in prop::collection::vec(any::<bool>(), 1..300),
    ) {
        let mut events = vec![
            at(0, evicted(Store::Connections, all, 0)),
            at(0, evicted(Store::Troubled, troubled, 0)),
        ];
        for (number, lossy) in (0..).zip(&lossy) {
            let conn = other(number);
            let kind = if *lossy { again(conn.server_resends(0, 0)) } else { conn.server_known() };
            events.push(at(u64::from(number), kind));
        }
        let mut made = 0;
        let mut analysis = Analysis::default();
        for event in timeline(events, 400) {
            analysis.apply(&event);
            made += u64::from(event.kind.flow().is_some());
            let state = analysis.state();
            let kept = state.connections().count() as u64;
            let (quiet, lost) = (Store::Connections, Store::Troubled);
            let forgotten = state.evictions.of(quiet) + state.evictions.of(lost);
            prop_assert_eq!(made, kept + forgotten);
            prop_assert!(kept <= all, "{} of {}", kept, all);
            if matches!(event.kind, EventKind::Tick) {
                let kept = state.connections().filter(|(_, it)| it.tracks().next().is_some());
                prop_assert!(kept.count() as u64 <= troubled);
            }
        }
    }
}

#[test]
fn nothing_is_said_where_nothing_is_forgotten() {
    let events = filtered_events(&Places::new(ROUTED));
    let analysis = analysed(&timeline(events, 4000));
    assert_eq!(analysis.notes(), [""; 0]);
}
