//! What a finding rests on: the numbers, and what happened one after the other.

use ratatui::text::Line;

use crate::{
    capture::describe,
    model::{
        event::{Event, EventKind, PacketKind, Retransmit, Sample, Timers},
        finding::Finding,
        network::Topology,
    },
    show::{
        export::path_mtu,
        report::evidence_lines,
        tui::{app::App, render::Pen, text, theme::Role, view::label},
        watch::JournalEntry,
    },
};

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
    let (role, words) = told(event, topology);
    let indent = text::width(&time);
    let mut wrapped = text::wrap(&words, width.saturating_sub(indent)).into_iter();
    let mut lines = vec![Line::from(vec![
        pen.span(Role::Faint, time),
        pen.span(role, wrapped.next().unwrap_or_default()),
    ])];
    lines.extend(wrapped.map(|words| pen.line(role, format!("{:indent$}{words}", ""))));
    lines
}

/// An event in words.
fn told(event: &Event, topology: &Topology) -> (Role, String) {
    match &event.kind {
        EventKind::Packet(packet) => {
            let place = label(packet.flow.netns, topology);
            let words = describe(packet, topology);
            let is_message = packet.icmp_error.is_some();
            let role = match packet.what {
                PacketKind::Dropped { .. } if is_message => Role::Warning,
                PacketKind::Dropped { .. } => Role::Error,
                _ => Role::Text,
            };
            let what = if is_message { "ICMP error " } else { "" };
            (role, format!("{place}: {what}{words}"))
        }
        EventKind::Connection(socket) => {
            let place = label(socket.flow.netns, topology);
            let what = match (socket.opened_ns, socket.active) {
                (0, _) => "was open before the trace",
                (_, Some(true)) => "connected",
                (_, Some(false)) => "accepted",
                (_, None) => "is open",
            };
            (
                Role::Faint,
                format!("{place}: socket {} {what}", socket.flow),
            )
        }
        EventKind::Retransmit(sent) => (Role::Warning, retransmit(sent, topology)),
        EventKind::Sample(sample) => (Role::Text, self::sample(sample, topology)),
        EventKind::Closed(closed) => {
            let place = label(closed.flow.netns, topology);
            let how = match closed.error {
                0 => "closed".to_owned(),
                error => std::io::Error::from_raw_os_error(error.cast_signed()).to_string(),
            };
            let state = closed.last_state.name();
            (
                Role::Text,
                format!("{place}: socket closed in {state}: {how}"),
            )
        }
        EventKind::PathMtu(told) => {
            let place = label(told.flow.netns, topology);
            (Role::Text, format!("{place}: {}", path_mtu(told)))
        }
        EventKind::Topology(_)
        | EventKind::Count(_)
        | EventKind::Lost(_)
        | EventKind::Blind(_)
        | EventKind::Limited(_)
        | EventKind::Tick => (Role::Faint, String::new()),
    }
}

fn retransmit(sent: &Retransmit, topology: &Topology) -> String {
    let place = label(sent.socket.flow.netns, topology);
    let bytes = sent.end_seq.wrapping_sub(sent.seq);
    let mut words = format!("{place}: {bytes} bytes sent again, seq {}", sent.seq);
    for (count, _, what) in sent.timers.iter().flat_map(Timers::counted) {
        words.push_str(&format!(", {count} {what}"));
    }
    if sent.backoff > 0 {
        words.push_str(&format!(", timeout doubled {} times", sent.backoff));
    }
    words.push_str(&format!(", mss {}", sent.mss_cache));
    if sent.count > 1 {
        words.push_str(&format!("; {} retransmits so far", sent.count));
    }
    words
}

fn sample(sample: &Sample, topology: &Topology) -> String {
    let place = label(sample.flow.netns, topology);
    let mut words = format!(
        "{place}: socket is {}, {} bytes acknowledged, {} received",
        sample.state.name(),
        sample.bytes_acked,
        sample.bytes_received,
    );
    if sample.backoff > 0 {
        words.push_str(&format!(", timeout doubled {} times", sample.backoff));
    }
    if sample.window_closed {
        words.push_str(", the peer's window is closed");
    }
    if sample.held_bytes > 0 {
        words.push_str(", holds data behind a gap");
    }
    words.push_str(&format!("; mss {}, pmtu {}", sample.mss, sample.pmtu_bytes));
    words
}
