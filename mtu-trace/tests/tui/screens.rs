//! Every screen at every size, as it is written. The wanted ones are in `snapshots/`; `INSTA_UPDATE=
//! always cargo test` writes them anew.

use insta::assert_snapshot;
use mtu_trace::testing::{ASCII, Mode, PANES, Playing, Risks, Theme, UNICODE};
use ratatui::crossterm::event::KeyCode;

use super::scenario::{NS_PER_MS, START_NS};
use super::stage::{SIZES, Stage, facts, nothing, one, several};

/// Looks at a screen at every size.
fn look(name: &str, stage: &mut Stage) {
    for (columns, rows) in SIZES {
        let text = stage.text((columns, rows));
        assert_snapshot!(format!("{name}_{columns}x{rows}"), text);
    }
}

#[test]
fn findings() {
    look("findings", &mut Stage::new(several(), 4000));
}

#[test]
fn a_single_finding() {
    look("one", &mut Stage::new(one(), 4000));
}

#[test]
fn namespaces() {
    let mut stage = Stage::new(several(), 4000);
    stage.key(KeyCode::Char('2'));
    look("namespaces", &mut stage);
}

#[test]
fn a_namespace() {
    let mut stage = Stage::new(several(), 4000);
    stage.key(KeyCode::Char('2'));
    stage.key(KeyCode::Down);
    stage.key(KeyCode::Enter);
    look("netns", &mut stage);
}

#[test]
fn connections() {
    let mut stage = Stage::new(several(), 4000);
    stage.key(KeyCode::Char('3'));
    look("connections", &mut stage);
}

#[test]
fn a_connection() {
    let mut stage = Stage::new(several(), 4000);
    stage.key(KeyCode::Char('3'));
    stage.key(KeyCode::Down);
    stage.key(KeyCode::Enter);
    look("connection", &mut stage);
}

#[test]
fn a_finding_in_full() {
    let mut stage = Stage::new(one(), 4000);
    stage.key(KeyCode::Enter);
    look("detail", &mut stage);
}

#[test]
fn the_end_of_a_finding_in_full() {
    let mut stage = Stage::new(one(), 4000);
    stage.key(KeyCode::Enter);
    stage.text((80, 24));
    stage.key(KeyCode::Char('G'));
    assert_snapshot!("detail_end_80x24", stage.text((80, 24)));
}

#[test]
fn help() {
    let mut stage = Stage::new(one(), 4000);
    stage.key(KeyCode::Char('?'));
    look("help", &mut stage);
}

#[test]
fn nothing_found() {
    look("empty", &mut Stage::new(nothing(), 4000));
}

#[test]
fn nothing_found_but_risks() {
    let mut risky = facts(Mode::Live);
    risky.risks = Risks::Found(Stage::new(one(), 4000).watch.analysis.findings());
    let mut stage = Stage::with(risky, nothing(), 4000, Theme::Mono, &UNICODE);
    look("risks", &mut stage);
}

#[test]
fn without_unicode() {
    let mut stage = Stage::with(facts(Mode::Live), several(), 4000, Theme::Mono, &ASCII);
    for pane in PANES {
        stage.key(KeyCode::Char(
            char::from_digit(pane.number() as u32, 10).unwrap(),
        ));
        for size in SIZES {
            let text = stage.text(size);
            assert!(text.is_ascii(), "{text}");
        }
    }
    assert_snapshot!("ascii_80x24", stage.text((80, 24)));
}

#[test]
fn a_filter_that_is_wrong() {
    let mut stage = Stage::new(one(), 4000);
    stage.types("/port 80 and");
    look("filter", &mut stage);
}

#[test]
fn held() {
    let mut stage = Stage::new(one(), 4000);
    stage.key(KeyCode::Char('p'));
    stage.app.held = Some(1234);
    look("held", &mut stage);
}

#[test]
fn losses_are_not_overlooked() {
    use mtu_trace::testing::EventKind;
    let mut events = one();
    events.push(super::scenario::at(3000, EventKind::Lost(4321)));
    let mut stage = Stage::new(events, 4000);
    for size in SIZES {
        let text = stage.text(size);
        assert!(text.contains("4321 LOST"), "{text}");
    }
}

#[test]
fn what_was_forgotten_is_not_overlooked() {
    use mtu_trace::testing::Store;
    let mut events = one();
    let evicted = super::scenario::evicted(Store::Handshakes, 64, 4321);
    events.push(super::scenario::at(3000, evicted));
    let mut stage = Stage::new(events, 4000);
    for size in SIZES {
        let text = stage.text(size);
        assert!(text.contains("4321 forgotten"), "{text}");
    }
}

#[test]
fn replay() {
    let mut stage = Stage::with(facts(Mode::Replay), several(), 4000, Theme::Mono, &UNICODE);
    stage.app.facts.file = Some("/tmp/build.pcapng".into());
    stage.app.playing = Playing {
        running: true,
        speed: 2.0,
        span: (START_NS, START_NS + 10_000 * NS_PER_MS),
        indexed: true,
        made: stage.watch.analysis.made().clone(),
    };
    look("replay", &mut stage);
}

#[test]
fn what_one_must_know_is_on_the_smallest_screen() {
    let mut stage = Stage::new(one(), 4000);
    let words: Vec<String> = stage
        .text((40, 12))
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let summary = stage.watch.analysis.findings()[0].summary.clone();
    let sentence: Vec<String> = summary.split_whitespace().map(str::to_owned).collect();
    let told = words
        .windows(sentence.len())
        .any(|window| window == sentence);
    assert!(told, "{words:?}");
}
