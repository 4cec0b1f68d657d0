//! What a finding rests on: the numbers, and what happened one after the other; and what to do about it.

use crate::core::sites::describe_in_place;
use crate::model::event::{Event, EventKind, PacketKind};
use crate::model::finding::Finding;
use crate::model::network::Topology;
use crate::show::report::evidence_lines;
use crate::show::tui::app::App;
use crate::show::tui::facts::TraceFacts;
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::theme::Role;
use crate::show::watch::JournalEntry;

/// Adds the counters of a finding.
pub fn numbers(facts: &TraceFacts, finding: &Finding, to: &mut Paragraphs) {
    to.heading("evidence");
    for words in evidence_lines(&facts.clock, finding) {
        to.words(Role::Text, 2, &words);
    }
}

/// Adds what happened, each with its time and how long after the first that was.
pub fn timeline(
    facts: &TraceFacts,
    entries: &[JournalEntry],
    topology: &Topology,
    to: &mut Paragraphs,
) {
    let Some(first) = entries.first() else {
        return;
    };
    to.heading("timeline");
    for JournalEntry { left_out, event } in entries {
        if *left_out > 0 {
            let words = format!("  {left_out} events between these are not kept");
            to.line(Role::Faint, &words);
        }
        let since_ms = event.time_ns.saturating_sub(first.event.time_ns) / 1_000_000;
        let since = format!("+{}.{:03}", since_ms / 1000, since_ms % 1000);
        let time = if to.width >= 70 {
            format!("  {} {since:>9}  ", facts.exact_time(event.time_ns))
        } else {
            format!("{since:>8} ")
        };
        let time = to.pen.span(Role::Faint, time);
        to.beside(time, role(event), &describe_in_place(event, topology));
    }
}

/// How the words of an event are drawn.
fn role(event: &Event) -> Role {
    match &event.kind {
        EventKind::Packet(packet) => match packet.what {
            PacketKind::Dropped { .. } if packet.icmp_error.is_some() => Role::Warning,
            PacketKind::Dropped { .. } => Role::Error,
            _ => Role::Text,
        },
        EventKind::Retransmit(_) | EventKind::Rule(_) => Role::Warning,
        EventKind::Sample(_) | EventKind::Closed(_) | EventKind::PathMtu(_) => Role::Text,
        EventKind::Connection(_)
        | EventKind::Topology(_)
        | EventKind::Count(_)
        | EventKind::Lost(_)
        | EventKind::Blind(_)
        | EventKind::Limited(_)
        | EventKind::Evicted(_)
        | EventKind::Tick => Role::Faint,
    }
}

/// Adds all fixes, of which one is marked, with the commands to copy.
pub fn fixes(app: &App, finding: &Finding, to: &mut Paragraphs) {
    let pen = to.pen;
    for (index, fix) in finding.fixes.iter().enumerate() {
        to.gap();
        let is_marked = index == app.marked();
        let mark = if is_marked { pen.glyphs.cursor } else { " " };
        let title = pen.words(&format!("FIX {}  {}", index + 1, fix.title));
        let at = to.lines.len();
        let cursor = pen.span(Role::Strong, format!("{mark} "));
        to.beside(cursor, Role::Strong, &title);
        if let Some(words) = to.lines[at].spans.pop() {
            let (label, rest) = words.content.split_at(words.content.len().min(5));
            let words = [pen.span(Role::Label, label), pen.span(Role::Strong, rest)];
            to.lines[at].extend(words);
        }
        to.words(Role::Text, 2, &pen.words(&fix.detail));
        for command in &fix.commands {
            to.words(Role::Command, 4, &format!("# {command}"));
        }
        if is_marked && !fix.commands.is_empty() {
            let words = "    y copies this, f marks the next fix";
            to.lines.push(pen.line(Role::Faint, words));
        }
    }
}
