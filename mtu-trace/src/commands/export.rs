//! `export`: the events of a capture.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::{
    capture::{Input, Reader},
    cli::{ExportFormat, ExportOptions},
    commands::{replayed, replayed::Passed},
    core::verdicts::Analysis,
    model::{
        event::{Event, EventKind},
        network::Topology,
    },
    show::report::{Dated, Recording, Row},
};

/// Runs the command; gives the exit status.
pub fn run(options: &ExportOptions) -> Result<u8> {
    let mut events = Events {
        reader: replayed::open(&options.file)?,
        passed: Passed::default(),
        topology: Arc::default(),
        analysis: Analysis::of(options.selection.recorded()?),
    };
    let mut to = BufWriter::new(io::stdout().lock());
    match options.format {
        ExportFormat::Json => json(&mut events, &mut to),
        ExportFormat::Ndjson => ndjson(&mut events, &mut to),
        ExportFormat::Csv => csv(&mut events, &mut to),
    }
    .and_then(|()| to.flush())
    .context("cannot write the events to standard output")?;
    events.judge(&options.file)?;
    let scope = events.analysis.scope();
    scope
        .complete()
        .with_context(|| replayed::name(&options.file))?;
    Ok(0)
}

/// The events, with the network as it is at each.
struct Events {
    reader: Reader<Input>,
    passed: Passed,
    topology: Arc<Topology>,
    /// Knows which connections are selected, and which events belong to them.
    analysis: Analysis,
}

impl Events {
    fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.reader.next_event()?;
            self.passed.note(&event);
            if let EventKind::Topology(topology) = &event.kind {
                self.topology = Arc::clone(topology);
            }
            if self.analysis.scope().is_everything() {
                return Some(event);
            }
            self.analysis.apply(&event);
            if self.analysis.includes(&event) {
                return Some(event);
            }
        }
    }

    fn dated<'a>(&self, event: &'a Event) -> Dated<'a> {
        Dated::new(event, &self.reader.header().clock, &self.topology)
    }

    fn judge(&self, path: &Path) -> Result<()> {
        replayed::judge(&self.reader, &self.passed, path)
    }
}

fn json(events: &mut Events, to: &mut impl Write) -> io::Result<()> {
    let capture = replayed::summary(&events.reader, &events.passed);
    let recording = serde_json::to_string(&Recording::from(&capture))?;
    // Everything of the recording, and the events behind it, without having them all in memory.
    let opened = recording.strip_suffix('}').unwrap_or(&recording);
    write!(to, "{opened},\"events\":[")?;
    let mut first = true;
    while let Some(event) = events.next() {
        to.write_all(if first { b"\n" } else { b",\n" })?;
        first = false;
        serde_json::to_writer(&mut *to, &events.dated(&event))?;
    }
    writeln!(to, "\n]}}")
}

fn ndjson(events: &mut Events, to: &mut impl Write) -> io::Result<()> {
    let capture = replayed::summary(&events.reader, &events.passed);
    serde_json::to_writer(&mut *to, &Recording::from(&capture))?;
    writeln!(to)?;
    while let Some(event) = events.next() {
        serde_json::to_writer(&mut *to, &events.dated(&event))?;
        writeln!(to)?;
    }
    Ok(())
}

fn csv(events: &mut Events, to: &mut impl Write) -> io::Result<()> {
    // Also where no event follows.
    writeln!(to, "{}", Row::header()?)?;
    let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(to);
    while let Some(event) = events.next() {
        let clock = events.reader.header().clock;
        if let Some(row) = Row::new(&event, &clock, &events.topology) {
            table.serialize(row)?;
        }
    }
    table.flush()
}
