//! More than is kept: what matters stays, what had to be forgotten is told, and nothing piles up.

use mtu_trace::testing::{Analysis, Event, Isn, Verdict};

use super::black_hole::filtered_events;
use super::network::ROUTED;
use super::packet::Places;
use super::scenario::{Conn, again, at, timeline};

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
    assert_eq!(state.forgotten, u64::from(MANY) - kept as u64);
    let findings = analysis.findings();
    assert_eq!(findings[0].verdict, Verdict::MtuBlackHole);
    let notes = analysis.notes();
    assert!(
        notes[0].starts_with(&format!("{} connections had to be", state.forgotten)),
        "{notes:?}"
    );
}

#[test]
fn nothing_is_said_where_nothing_is_forgotten() {
    let events = filtered_events(&Places::new(ROUTED));
    let analysis = analysed(&timeline(events, 4000));
    assert_eq!(analysis.notes(), [""; 0]);
}
