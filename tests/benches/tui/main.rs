//! Measures the screens: how long one takes under load, how soon a key shows, how soon any moment of a
//! large capture is there, and what they cost when nothing happens.
//!
//! `cargo xtask bench tui` runs it. Arguments name the parts to run; without any, all are.

#[path = "../capture/generated.rs"]
mod generated;
mod process;
mod seek;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use mtu_trace::testing::{
    App, Event, Mode, Risks, Selection, SpoolState, Theme, TraceFacts, UNICODE, Watch, draw,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use self::generated::{Generated, wanted};

/// Findings, and connections that nothing ails, on the screens.
const FINDINGS: u64 = 10_000;
const CONNECTIONS: u32 = 100_000;
/// Events a second, and screens a second.
const EVENTS: usize = 100_000;
const FRAMES: usize = 20;
/// Size of the terminal, columns and rows.
const SIZE: (u16, u16) = (200, 60);

fn main() -> Result<()> {
    let source = Generated::open()?;
    if wanted("frames") {
        frames(&source)?;
    }
    if wanted("keys") {
        process::keys(&source, FINDINGS)?;
    }
    if wanted("idle") {
        process::idle()?;
    }
    if wanted("seek") {
        seek::measure(&source)?;
    }
    Ok(())
}

/// The screens with each pane in front, while events come in as fast as they may.
fn frames(source: &Generated) -> Result<()> {
    let healthy = source.among(CONNECTIONS);
    let healthy = healthy.take(2 * CONNECTIONS as usize + 1);
    let mut watch = Watch::default();
    for event in healthy.chain(source.findings(FINDINGS)) {
        watch.apply(&event);
    }
    let state = watch.analysis.state();
    let connections = state.connections().count();
    let found = watch.analysis.current().heads.len();
    println!("{found} findings, {connections} connections, {EVENTS} events/s, {SIZE:?} cells");
    let mut more = source.events().skip(1000);
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1))?;
    let mut app = App::new(facts(source), Theme::True, &UNICODE);
    for (pane, key) in [
        ("findings", '1'),
        ("namespaces", '2'),
        ("connections", '3'),
        ("detail", '4'),
    ] {
        app.key(KeyEvent::from(KeyCode::Char(key)));
        let (mut taken, mut drawn) = (Vec::new(), Vec::new());
        for _ in 0..FRAMES {
            let batch: Vec<Event> = more.by_ref().take(EVENTS / FRAMES).collect();
            let start = Instant::now();
            for event in &batch {
                watch.apply(event);
            }
            taken.push(start.elapsed());
            let start = Instant::now();
            app.now_ns = watch.now_ns();
            app.refresh(&watch);
            terminal.draw(|frame| draw(frame, &mut app, &watch))?;
            drawn.push(start.elapsed());
            black_box(terminal.backend().buffer());
        }
        told(
            &format!("{pane}: intake of {} events", EVENTS / FRAMES),
            taken,
        );
        told(&format!("{pane}: screen"), drawn);
    }
    Ok(())
}

fn facts(source: &Generated) -> TraceFacts {
    TraceFacts {
        mode: Mode::Live,
        hostname: source.header.hostname.clone(),
        kernel: source.header.kernel.clone(),
        clock: source.header.clock,
        hooks: source.header.hooks.clone(),
        selection: Selection::default(),
        recording: None,
        spool: SpoolState::None,
        waiting: 0,
        risks: Risks::None,
        notes: Vec::new(),
        file: None,
    }
}

/// Prints the middle one and the worst.
fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    println!(
        "{what:40} median {:8.2} ms, worst {:8.2} ms of {}",
        ms(times.get(times.len() / 2)),
        ms(times.last()),
        times.len()
    );
}
