//! `report`: what a capture says; and captures as the other commands that read them need them.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::capture;
use crate::capture::{Input, Reader};
use crate::cli::{ColorChoice, ReportOptions};
use crate::commands::output::complain;
use crate::commands::{FOUND, concluded, output, seconds, stands};
use crate::core::select::Scope;
use crate::core::verdicts::Analysis;
use crate::model::finding::Severity;
use crate::model::store::Evictions;
use crate::show::report::{Capture, Report};

pub fn run(options: &ReportOptions, color: ColorChoice) -> Result<u8> {
    let report = analyse(&options.file, options.selection.recorded()?)?;
    output::print(&report, options.format, color)?;
    let found = stands(&report, Severity::Error);
    Ok(if options.exit_code && found { FOUND } else { 0 })
}

/// Opens a capture and reads its beginning.
pub fn open(path: &Path) -> Result<Reader<Input>> {
    let name = name(path);
    let input = capture::open(path).with_context(|| format!("cannot read {name}"))?;
    Reader::new(input).map_err(|error| anyhow!("cannot use {name}: {error}"))
}

/// The name of a capture in messages.
pub fn name(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// How a capture came about, read until `now_ns`, and what is wrong with it; of its events, nothing yet.
pub fn summary(reader: &Reader<Input>, now_ns: u64) -> Capture {
    let header = reader.header();
    let end = reader.end();
    let ended_ns = end.map_or(now_ns, |end| end.ended_ns);
    Capture {
        started: header.clock.wall(header.began_ns),
        duration_s: seconds(ended_ns.saturating_sub(header.began_ns)),
        kernel: header.kernel.clone(),
        hostname: header.hostname.clone(),
        tool_version: header.tool_version.clone(),
        selection: None,
        hooks: end.map_or(&header.hooks, |end| &end.hooks).clone(),
        events: 0,
        lost_events: 0,
        evictions: Evictions::default(),
        notes: reader.condition().notes(),
    }
}

/// Fails if a damage has left none of the `events`, and says on standard error what is wrong otherwise.
pub fn judge(reader: &Reader<Input>, events: usize, path: &Path) -> Result<()> {
    let condition = reader.condition();
    let name = name(path);
    if let (Some(damage), 0) = (&condition.damage, events) {
        bail!("cannot use {name}: it is damaged {damage}, before the first event");
    }
    for note in condition.notes() {
        complain(&format!("{name}: {note}"));
    }
    Ok(())
}

/// Analyses a whole capture, of which the selected is reported.
fn analyse(path: &Path, scope: Scope) -> Result<Report> {
    let mut reader = open(path)?;
    let mut analysis = Analysis::of(scope);
    let mut events = 0;
    while let Some(event) = reader.next_event() {
        events += 1;
        analysis.apply(&event);
    }
    judge(&reader, events, path)?;
    analysis.scope().complete().with_context(|| name(path))?;
    let capture = summary(&reader, analysis.state().now_ns);
    Ok(concluded(&analysis, capture, reader.header().clock))
}
