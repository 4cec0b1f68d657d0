//! All that is done with events, and what must be true of it.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;

use mtu_trace::testing::{
    Analysis, Capture, CsvRow, Encoder, Event, EventKind, ExportedEvent, Finding, Format,
    PartHeader, Reader, Report, Selection, Style, Topology,
};

/// After this long without another event every stall is one, ns.
const LATER_NS: u64 = 60_000_000_000;

/// What has been written and not yet read.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<Vec<u8>>>);

impl Read for Pipe {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let mut held = self.0.borrow_mut();
        let count = held.len().min(to.len());
        to[..count].copy_from_slice(&held[..count]);
        held.drain(..count);
        Ok(count)
    }
}

/// A trace, or a capture that is being read.
pub struct Run {
    header: PartHeader,
    topology: Arc<Topology>,
    now_ns: u64,
    all: Analysis,
    /// The same again: equal events must lead to equal findings.
    again: Analysis,
    some: Analysis,
    encoder: Encoder,
    pipe: Pipe,
    /// Reads what `encoder` writes.
    echo: Reader<Pipe>,
}

impl Run {
    /// The beginning.
    #[must_use]
    pub fn new(header: &PartHeader) -> Self {
        let selection = Selection {
            filter: vec!["tcp and (net 192.0.2.0/24 or not port 443)".to_owned()],
            netns: vec!["a".to_owned(), "4026531840".to_owned()],
            container: vec!["b".to_owned()],
            pid: vec![1],
        };
        let scope = selection.recorded().expect("the selection is sound");
        let mut encoder = Encoder::new(PartHeader {
            part: 1,
            ..header.clone()
        });
        let pipe = Pipe::default();
        let opening = encoder.opening().expect("it opens");
        pipe.0.borrow_mut().extend(opening);
        let echo = Reader::new(pipe.clone()).expect("an opening that was written is read");
        Self {
            header: header.clone(),
            topology: Arc::default(),
            now_ns: 0,
            all: Analysis::default(),
            again: Analysis::default(),
            some: Analysis::of(scope),
            encoder,
            pipe,
            echo,
        }
    }

    /// Takes in an event, exports it, and keeps it and reads it again.
    pub fn take(&mut self, event: &Event) {
        self.now_ns = self.now_ns.max(event.time_ns);
        let clock = &self.header.clock;
        let dated = serde_json::to_string(&ExportedEvent::new(event, clock, &self.topology));
        let dated = dated.expect("an event is JSON");
        match &event.kind {
            // As long as all others, and its names are in those.
            EventKind::Topology(topology) => self.topology = Arc::clone(topology),
            _ => harmless(&dated),
        }
        if let Some(row) = CsvRow::new(event, clock, &self.topology) {
            serde_json::to_string(&row).expect("a row is JSON");
        }
        let mut bytes = Vec::new();
        let kept = self.encoder.event(event, &mut bytes);
        kept.expect("an event that was read can be written");
        self.pipe.0.borrow_mut().extend(bytes);
        assert_eq!(self.echo.next_event().as_ref(), Some(event));

        for analysis in [&mut self.all, &mut self.again, &mut self.some] {
            analysis.apply(event);
        }
        let _of_the_selected = self.some.includes(event);
    }

    /// What is concluded in the end, in every form; `notes` are on the file.
    pub fn end(mut self, notes: Vec<String>) {
        for note in &notes {
            harmless(note);
        }
        let tick = Event {
            time_ns: self.now_ns.saturating_add(LATER_NS),
            kind: EventKind::Tick,
        };
        self.take(&tick);
        let findings = self.all.findings();
        assert_eq!(findings, self.again.findings());
        let selected = self.some.findings();
        assert!(selected.len() <= findings.len());
        self.report(findings, &self.all, notes.clone());
        self.report(selected, &self.some, notes);
    }

    fn report(&self, findings: Vec<Finding>, analysis: &Analysis, notes: Vec<String>) {
        let header = self.header.clone();
        let report = Report {
            capture: Capture {
                started: header.clock.wall(header.began_ns),
                duration_s: 1.0,
                kernel: header.kernel,
                hostname: header.hostname,
                tool_version: header.tool_version,
                selection: analysis.selected(),
                hooks: header.hooks,
                events: analysis.state().events,
                lost_events: analysis.state().lost,
                evictions: analysis.state().evictions.clone(),
                notes,
            },
            findings,
            clock: header.clock,
            audit: None,
        };
        let narrow = Style {
            color: false,
            width: 1,
        };
        for (format, style) in [
            (Format::TEXT, Style::PLAIN),
            (Format::TEXT, narrow),
            (Format::JSON, Style::PLAIN),
            (Format::LINES, Style::PLAIN),
            (Format::MARKDOWN, Style::PLAIN),
        ] {
            let mut bytes = Vec::new();
            report
                .write(&mut bytes, format, &style)
                .expect("it is written");
            harmless(&String::from_utf8(bytes).expect("a report is UTF-8"));
        }
    }
}

/// What goes to a terminal must do nothing to it.
fn harmless(text: &str) {
    let bad = text
        .chars()
        .find(|char| *char != '\n' && (char.is_control() || *char == '\u{202e}'));
    assert!(bad.is_none(), "{bad:?} in {text:?}");
}
