//! A capture that is played shows at each moment what the live screens showed then, and in the end what
//! its report says.

use std::path::{Path, PathBuf};
use std::process::Command;

use mtu_trace::testing::{
    App, Event, Mode, PlayStep, Reader, Replay, Scope, Theme, UNICODE, Watch, capture, draw,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::stage::{SIZES, facts};

fn path(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join(format!("tests/core/golden/{name}.pcapng.zst"))
}

fn events(name: &str) -> Vec<Event> {
    let mut reader = Reader::new(capture::open(&path(name)).unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_event()).collect()
}

fn opened(name: &str) -> Replay {
    let replay = Replay::open(&path(name), Scope::default()).unwrap();
    replay.index();
    replay
}

/// Every pane at every size, at a time.
fn screens(watch: &Watch, now_ns: u64) -> Vec<String> {
    let mut app = App::new(facts(Mode::Live), Theme::Mono, &UNICODE);
    let mut texts = Vec::new();
    for pane in ['1', '2', '3', '4'] {
        app.key(KeyCode::Char(pane).into());
        app.now_ns = now_ns;
        app.refresh(watch);
        for (columns, rows) in SIZES {
            let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
            terminal.draw(|frame| draw(frame, &mut app, watch)).unwrap();
            texts.push(terminal.backend().to_string());
        }
    }
    texts
}

#[test]
fn any_moment_looks_as_it_did_live() {
    for name in ["filtered", "discovered"] {
        let events = events(name);
        let mut replay = opened(name);
        let (first, last) = replay.span();
        // Back and forth, so that nothing depends on how one came there.
        for part in [5, 10, 2, 7, 3, 9, 1, 0] {
            let at_ns = first + (last - first) * part / 10;
            let mut live = Watch::default();
            for event in events.iter().take_while(|event| event.time_ns <= at_ns) {
                live.apply(event);
            }
            replay.seek(at_ns);
            assert_eq!(replay.now_ns, at_ns);
            let shown = screens(replay.watch(), at_ns);
            assert_eq!(shown, screens(&live, at_ns), "{name} at {part}0 %");
        }
    }
}

#[test]
fn stepped_to_its_end_it_shows_what_its_report_says() {
    for name in ["filtered", "discovered"] {
        let mut replay = opened(name);
        let mut steps = 0;
        while replay.step_event(PlayStep::Forward) {
            steps += 1;
        }
        assert!(steps > 5, "{steps}");
        let (_, last) = replay.span();
        replay.seek(last);
        let output = Command::new(env!("CARGO_BIN_EXE_mtu-trace"))
            .args(["report", "--format", "json"])
            .arg(path(name))
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let told = report["findings"].as_array().unwrap();
        let shown = replay.watch().analysis.findings();
        assert!(!told.is_empty());
        assert_eq!(told.len(), shown.len());
        for (told, shown) in told.iter().zip(&shown) {
            assert_eq!(told["summary"], shown.summary.as_str());
            assert_eq!(
                told["evidence"],
                serde_json::to_value(&shown.evidence).unwrap()
            );
            assert_eq!(told["fixes"], serde_json::to_value(&shown.fixes).unwrap());
        }
    }
}
