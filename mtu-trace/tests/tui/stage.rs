//! A screen with what is on it.

use mtu_trace::testing::{
    App, Clock, Effect, Event, EventKind, Glyphs, Mode, Risks, Selection, SpoolState, Theme,
    TraceFacts, UNICODE, Watch, draw,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::network::ROUTED;
use super::packet::{Places, Shown};
use super::recording::hooks;
use super::scenario::{Conn, START_NS, again, at, opening, timeline};

/// The sizes at which every screen is looked at.
pub const SIZES: [(u16, u16); 3] = [(40, 12), (80, 24), (120, 40)];

/// When the kernel's timeouts are over, ms after the first packet was lost.
const TIMEOUTS_MS: [u64; 4] = [210, 630, 1460, 3100];

/// Screens over events.
pub struct Stage {
    pub app: App,
    pub watch: Watch,
}

/// What is told of the trace.
pub fn facts(mode: Mode) -> TraceFacts {
    TraceFacts {
        mode,
        hostname: "node-1".to_owned(),
        kernel: "6.18.44".to_owned(),
        clock: Clock {
            wall: "2026-03-04T05:06:07Z".parse().unwrap(),
            monotonic_ns: START_NS,
        },
        hooks: hooks(),
        selection: Selection::default(),
        recording: None,
        spool: match mode {
            Mode::Live => SpoolState::Kept(3 << 20),
            Mode::Replay => SpoolState::None,
        },
        waiting: 0,
        risks: Risks::Found(Vec::new()),
        notes: Vec::new(),
        file: None,
    }
}

impl Stage {
    /// Screens over these events, as they are `until_ms` after the first.
    pub fn new(events: Vec<Event>, until_ms: u64) -> Self {
        Self::with(facts(Mode::Live), events, until_ms, Theme::Mono, &UNICODE)
    }

    pub fn with(
        facts: TraceFacts,
        events: Vec<Event>,
        until_ms: u64,
        theme: Theme,
        glyphs: &'static Glyphs,
    ) -> Self {
        let mut stage = Self {
            app: App::new(facts, theme, glyphs),
            watch: Watch::default(),
        };
        for event in timeline(events, until_ms) {
            stage.watch.apply(&event);
        }
        stage.refresh();
        stage
    }

    fn refresh(&mut self) {
        self.app.now_ns = self.watch.now_ns();
        self.app.refresh(&self.watch);
    }

    /// Takes in more events.
    pub fn play(&mut self, events: &[Event]) {
        for event in events {
            self.watch.apply(event);
        }
        self.refresh();
    }

    /// Presses a key.
    pub fn key(&mut self, code: KeyCode) -> Option<Effect> {
        self.event(KeyEvent::from(code))
    }

    /// Presses a key with what is held down beside it.
    pub fn event(&mut self, event: KeyEvent) -> Option<Effect> {
        let effect = self.app.key(event);
        self.refresh();
        effect
    }

    /// Types a text.
    pub fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.key(KeyCode::Char(c));
        }
    }

    /// The screen.
    pub fn buffer(&mut self, (columns, rows): (u16, u16)) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        self.refresh();
        terminal
            .draw(|frame| draw(frame, &mut self.app, &self.watch))
            .unwrap();
        terminal.backend().buffer().clone()
    }

    /// What is written on the screen.
    pub fn text(&mut self, size: (u16, u16)) -> String {
        let buffer = self.buffer(size);
        let rows = buffer.content.chunks(usize::from(size.0));
        let row = |cells: &[Cell]| {
            let text: String = cells.iter().map(Cell::symbol).collect();
            text.trim_end().to_owned()
        };
        rows.map(row).collect::<Vec<_>>().join("\n")
    }
}

/// A connection whose first flight dies at `at_ms` and its first segment again at every timeout.
pub fn hole(conn: Conn, at_ms: u64, upload: bool, place: impl Fn(u32) -> Shown) -> Vec<Event> {
    let mut events: Vec<Event> = (0..10).map(|nth| at(at_ms, place(nth))).collect();
    for (timeouts, ms) in (0..).zip(TIMEOUTS_MS) {
        let sent = if upload {
            conn.client_resends(0, timeouts)
        } else {
            conn.server_resends(0, timeouts)
        };
        events.push(at(at_ms + ms, again(sent)));
        events.push(at(at_ms + ms, place(0)));
    }
    events
}

/// A black hole at the host's router, in which the message is filtered on its way out.
pub fn filtered(places: &Places, conn: Conn, at_ms: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for event in hole(conn, at_ms, false, |nth| places.forward(conn, nth)) {
        let time_ns = event.time_ns;
        let message = match &event.kind {
            EventKind::Packet(packet) => Some(Shown((**packet).clone()).signalled()),
            _ => None,
        };
        events.push(event);
        if let Some(message) = message {
            for kind in [message.into(), places.blocked_in_output(conn, 0).into()] {
                events.push(Event { time_ns, kind });
            }
        }
    }
    events
}

/// The one black hole.
pub fn one() -> Vec<Event> {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.extend(filtered(&places, conn, 100));
    events
}

/// Three findings: the black hole, which two connections share, one the other way, and a rule that drops
/// a third connection's packets.
pub fn several() -> Vec<Event> {
    let places = Places::new(ROUTED);
    let mut events = one();
    for number in 1..4 {
        let conn = Conn::new(number);
        events.push(at(60, conn.client_known()));
        events.push(at(60, conn.server_known()));
        events.extend(match number {
            1 => filtered(&places, conn, 300),
            2 => hole(conn, 500, true, |nth| places.upload(conn, nth)),
            _ => hole(conn, 700, false, |nth| {
                places
                    .forward(conn, nth)
                    .dropped("nft_do_chain", "NETFILTER_DROP")
            }),
        });
    }
    events
}

/// Nothing but the network.
pub fn nothing() -> Vec<Event> {
    let places = Places::new(ROUTED);
    vec![opening(&places, Conn::new(0)).swap_remove(0)]
}
