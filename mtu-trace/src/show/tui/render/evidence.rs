//! What a finding rests on: the numbers, and what happened one after the other.

use ratatui::text::Line;

use crate::core::sites::describe_in_place;
use crate::model::event::{Event, EventKind, PacketKind};
use crate::model::finding::Finding;
use crate::model::network::Topology;
use crate::show::report::evidence_lines;
use crate::show::tui::app::App;
use crate::show::tui::render::Pen;
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::watch::JournalEntry;

/// The counters of a finding as lines.
pub fn numbers(app: &App, finding: &Finding, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let mut lines = vec![pen.heading("evidence")];
    for words in evidence_lines(&app.facts.clock, finding) {
        lines.extend(pen.wrapped(Role::Text, &words, 2, width));
    }
    lines
}

/// What happened, each with its time and how long after the first that was.
pub fn timeline(
    app: &App,
    entries: &[JournalEntry],
    topology: &Topology,
    width: usize,
) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    if entries.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![pen.heading("timeline")];
    let first_ns = entries.iter().find_map(|entry| match entry {
        JournalEntry::Event(event) => Some(event.time_ns),
        JournalEntry::LeftOut(_) => None,
    });
    for entry in entries {
        match entry {
            JournalEntry::LeftOut(count) => {
                let words = format!("  {count} events between these are not kept");
                lines.push(pen.line(Role::Faint, pen.fit(&words, width)));
            }
            JournalEntry::Event(event) => {
                let since = event.time_ns.saturating_sub(first_ns.unwrap_or(0));
                lines.extend(entry_lines(app, event, since, topology, width));
            }
        }
    }
    lines
}

fn entry_lines(
    app: &App,
    event: &Event,
    since_ns: u64,
    topology: &Topology,
    width: usize,
) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let since_ms = since_ns / 1_000_000;
    let since = format!("+{}.{:03}", since_ms / 1000, since_ms % 1000);
    let time = if width >= 70 {
        format!("  {} {since:>9}  ", app.facts.exact_time(event.time_ns))
    } else {
        format!("{since:>8} ")
    };
    let (role, words) = (role(&event.kind), describe_in_place(event, topology));
    let indent = text::width(&time);
    let mut wrapped = text::wrap(&words, width.saturating_sub(indent)).into_iter();
    let mut lines = vec![Line::from(vec![
        pen.span(Role::Faint, time),
        pen.span(role, wrapped.next().unwrap_or_default()),
    ])];
    lines.extend(wrapped.map(|words| pen.line(role, format!("{:indent$}{words}", ""))));
    lines
}

/// How the words of an event are drawn.
fn role(kind: &EventKind) -> Role {
    match kind {
        EventKind::Packet(packet) => match packet.what {
            PacketKind::Dropped { .. } if packet.icmp_error.is_some() => Role::Warning,
            PacketKind::Dropped { .. } => Role::Error,
            _ => Role::Text,
        },
        EventKind::Retransmit(_) => Role::Warning,
        EventKind::Sample(_) | EventKind::Closed(_) | EventKind::PathMtu(_) => Role::Text,
        EventKind::Connection(_)
        | EventKind::Topology(_)
        | EventKind::Count(_)
        | EventKind::Lost(_)
        | EventKind::Blind(_)
        | EventKind::Limited(_)
        | EventKind::Tick => Role::Faint,
    }
}
