//! `export`: the events of a capture.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::cli::ExportOptions;
use crate::commands::report;
use crate::core::verdicts::Analysis;
use crate::model::event::EventKind;
use crate::model::network::Topology;
use crate::show::export::Events;

pub fn run(options: &ExportOptions) -> Result<u8> {
    let mut reader = report::open(&options.file)?;
    // Knows which connections are selected, and which events belong to them.
    let mut analysis = Analysis::of(options.selection.recorded()?);
    let capture = report::summary(&reader, 0);
    let clock = reader.header().clock;
    let (mut read, mut topology) = (0, Arc::<Topology>::default());
    // The events that are selected, with the network as it is at each.
    let mut next = || loop {
        let event = reader.next_event()?;
        read += 1;
        if let EventKind::Topology(now) = &event.kind {
            topology = Arc::clone(now);
        }
        let selected = analysis.scope().is_everything() || {
            analysis.apply(&event);
            analysis.includes(&event)
        };
        if selected {
            return Some((event, Arc::clone(&topology)));
        }
    };
    let mut exported = Events {
        capture: &capture,
        clock,
        next: &mut next,
    };
    let mut to = BufWriter::new(io::stdout().lock());
    let written = options.format.write(&mut exported, &mut to);
    written
        .and_then(|()| to.flush())
        .context("cannot write the events to standard output")?;
    report::judge(&reader, read, &options.file)?;
    let complete = analysis.scope().complete();
    complete.with_context(|| report::name(&options.file))?;
    Ok(0)
}
