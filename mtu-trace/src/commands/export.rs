//! `export`: the events of a capture.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::capture::{Input, Reader};
use crate::cli::ExportOptions;
use crate::commands::report;
use crate::core::verdicts::Analysis;
use crate::model::event::{Event, EventKind};
use crate::model::network::Topology;
use crate::show::export::Events;

pub fn run(options: &ExportOptions) -> Result<u8> {
    let mut events = SelectedEvents {
        reader: report::open(&options.file)?,
        read: 0,
        topology: Arc::default(),
        analysis: Analysis::of(options.selection.recorded()?),
    };
    let mut to = BufWriter::new(io::stdout().lock());
    let capture = report::summary(&events.reader, 0);
    let clock = events.reader.header().clock;
    let mut exported = Events {
        capture: &capture,
        clock,
        next: &mut || events.next(),
    };
    let written = options.format.write(&mut exported, &mut to);
    written
        .and_then(|()| to.flush())
        .context("cannot write the events to standard output")?;
    report::judge(&events.reader, events.read, &options.file)?;
    let complete = events.analysis.scope().complete();
    complete.with_context(|| report::name(&options.file))?;
    Ok(0)
}

/// The events, with the network as it is at each.
struct SelectedEvents {
    reader: Reader<Input>,
    read: usize,
    topology: Arc<Topology>,
    /// Knows which connections are selected, and which events belong to them.
    analysis: Analysis,
}

impl SelectedEvents {
    fn next(&mut self) -> Option<(Event, Arc<Topology>)> {
        loop {
            let event = self.reader.next_event()?;
            self.read += 1;
            if let EventKind::Topology(topology) = &event.kind {
                self.topology = Arc::clone(topology);
            }
            let selected = self.analysis.scope().is_everything() || {
                self.analysis.apply(&event);
                self.analysis.includes(&event)
            };
            if selected {
                return Some((event, Arc::clone(&self.topology)));
            }
        }
    }
}
