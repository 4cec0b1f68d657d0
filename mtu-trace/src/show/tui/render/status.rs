//! The lines around the panes: the title, where in a capture one is, the state of the trace, and the
//! keys.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use crate::base::text::printable;
use crate::base::text::stored::clean;
use crate::model::finding::Severity;
use crate::model::hook_status::HookStatus;
use crate::show::tui::app::{App, Overlay};
use crate::show::tui::facts::SpoolState;
use crate::show::tui::keys::Mode;
use crate::show::tui::prompt::Prompt;
use crate::show::tui::render::Extent;
use crate::show::tui::theme::{Pen, Role};
use crate::show::tui::{keys, text};
use crate::show::watch::Watch;

/// Draws the title: whose trace it is, how bad things are, and the time.
pub fn title(frame: &mut Frame<'_>, app: &App, area: Rect, extent: Extent) {
    let pen = app.pen;
    let dot = app.pen.glyphs.dot;
    let (host, kernel) = (&app.facts.hostname, &app.facts.kernel);
    let left = match &app.facts.file {
        _ if extent == Extent::Small => {
            format!(" {} {}", app.pane.number(), app.pane.definition().name)
        }
        Some(file) => {
            let name = file.file_name().unwrap_or(file.as_os_str());
            let name = printable(name.as_encoded_bytes());
            format!(" mtu-trace  {name} {dot} {host}")
        }
        None => format!(" mtu-trace  {host} {dot} kernel {kernel}"),
    };
    let (state, role) = match (app.facts.mode, app.held) {
        (Mode::Replay, None) => ("REPLAY", Role::Title),
        (Mode::Replay, Some(_)) => ("REPLAY", Role::Notice),
        (Mode::Live, None) => ("LIVE", Role::Title),
        (Mode::Live, Some(_)) => ("PAUSED", Role::Notice),
    };
    let time = app.facts.time(app.now_ns);
    let right = format!("  {}  {state} {time} ", counts(app, extent));
    let room = usize::from(area.width).saturating_sub(text::width(&right));
    let left = pen.pad(&left, room);
    let line = Line::from(format!("{left}{right}"));
    frame.render_widget(line.style(pen.style(role)), area);
}

/// `✖ 1 error  ▲ 2 warnings`.
fn counts(app: &App, extent: Extent) -> String {
    let mut parts: Vec<String> = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Info] {
        let heads = app.view.heads().iter();
        let count = heads.filter(|head| head.severity == severity).count();
        let mark = app.pen.glyphs.severity(severity);
        match extent {
            _ if count == 0 => {}
            Extent::Small => parts.push(format!("{mark}{count}")),
            Extent::Full => {
                let words = text::several(count, severity.name());
                parts.push(format!("{mark} {words}"));
            }
        }
    }
    match extent {
        Extent::Small => parts.join(" "),
        Extent::Full if parts.is_empty() => "no findings".to_owned(),
        Extent::Full => parts.join("  "),
    }
}

/// Draws where in a capture one is, when findings were made, and how it is played.
///
/// ```text
///  ▶ 12.3 s of 1m02s  x1 ━━━━━━━━━▼━━●────▼─────────────
/// ```
pub fn timeline(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let pen = app.pen;
    let playing = &app.playing;
    let (start, end) = playing.span;
    let length = end.saturating_sub(start);
    let at = app.now_ns.clamp(start, end.max(start)) - start;
    let state = app.pen.glyphs.play[usize::from(!playing.running)];
    let whole = if playing.indexed { "" } else { ", still read" };
    let head = format!(
        " {state} {} of {}{whole}  x{} ",
        text::ago(at),
        text::ago(length),
        playing.speed
    );
    let columns = usize::from(area.width)
        .saturating_sub(text::width(&head) + 1)
        .max(1);
    let column = |ns: u64| -> usize {
        let share = u128::from(ns) * (columns as u128 - 1) / u128::from(length.max(1));
        usize::try_from(share).unwrap_or(0).min(columns - 1)
    };
    let [done, open, here, mark] = app.pen.glyphs.timeline;
    // The worst finding of those in one column is seen.
    let mut worst: Vec<Option<Severity>> = vec![None; columns];
    for made in &playing.made {
        let index = column(made.at_ns.clamp(start, end.max(start)) - start);
        worst[index] = worst[index].max(Some(made.severity));
    }
    let bar = worst.into_iter().enumerate().map(|(index, severity)| {
        let (role, sign) = match severity {
            _ if index == column(at) => (Role::Strong, here),
            Some(severity) => (severity.into(), mark),
            None if index < column(at) => (Role::Focus, done),
            None => (Role::Frame, open),
        };
        pen.span(role, sign)
    });
    let role = if playing.running {
        Role::Notice
    } else {
        Role::Strong
    };
    let line = std::iter::once(pen.span(role, head)).chain(bar);
    frame.render_widget(Line::from_iter(line), area);
}

/// Draws the state of the trace: hooks, events, losses, filter, recording.
pub fn status(frame: &mut Frame<'_>, app: &App, watch: &Watch, area: Rect) {
    if area.is_empty() {
        return;
    }
    let pen = app.pen;
    let mut spans = vec![Span::raw(" ")];
    let mut left = usize::from(area.width).saturating_sub(1);
    let between = format!(" {} ", pen.glyphs.dot);
    for (role, words) in parts(app, watch) {
        let first = spans.len() == 1;
        let needed = text::width(&words) + if first { 0 } else { 3 };
        if needed > left {
            // What stands out must not be left out.
            if !stands_out(role) {
                continue;
            }
            spans.push(pen.span(role, pen.fit(&format!(" {words}"), left)));
            break;
        }
        if !first {
            spans.push(pen.span(Role::Frame, between.clone()));
        }
        spans.push(pen.span(role, words));
        left -= needed;
    }
    frame.render_widget(Line::from(spans), area);
}

fn stands_out(role: Role) -> bool {
    matches!(role, Role::Error | Role::Warning)
}

/// The most important first.
fn parts(app: &App, watch: &Watch) -> Vec<(Role, String)> {
    let state = watch.analysis.state();
    let facts = &app.facts;
    let (events, lost) = (text::count(state.events), text::count(state.lost));
    let tally = HookStatus::tally(&facts.hooks);
    let is_missed = facts.hooks.iter().any(HookStatus::is_missed);
    let warning = |words: String| (Role::Warning, words);
    let mut parts = Vec::new();
    if state.lost > 0 {
        parts.push((Role::Error, format!("{lost} LOST")));
    }
    if !state.evictions.is_none() {
        let evicted = text::count(state.evictions.total());
        parts.push(warning(format!("{evicted} forgotten")));
    }
    if is_missed {
        parts.push(warning(tally.clone()));
    }
    if let Some(new) = app.held {
        let new = text::count(new);
        parts.push(warning(format!("paused, {new} events since")));
    }
    parts.extend(facts.selection.words().map(|words| (Role::Label, words)));
    parts.extend(watch.analysis.scope().absent().map(warning));
    if facts.waiting > 0 {
        let waiting = text::count(facts.waiting as u64);
        parts.push(warning(format!("{waiting} events behind")));
    }
    if !is_missed && !facts.hooks.is_empty() {
        parts.push((Role::Text, tally));
    }
    parts.push((Role::Text, format!("{events} events")));
    if state.lost == 0 {
        parts.push((Role::Text, "0 lost".to_owned()));
    }
    let recording = facts.recording.iter();
    parts.extend(recording.map(|name| (Role::Text, format!("recording {name}"))));
    match &facts.spool {
        SpoolState::None => {}
        SpoolState::Kept(bytes) => {
            let size = text::size(*bytes);
            parts.push((Role::Faint, format!("{size} kept for w")));
        }
        SpoolState::Failed(why) => parts.push(warning(why.clone())),
    }
    parts.extend(watch.analysis.notes().into_iter().map(warning));
    parts.extend(facts.notes.iter().cloned().map(warning));
    parts
}

/// Draws the last line: what is being typed, what is told, or the keys.
pub fn footer(frame: &mut Frame<'_>, app: &App, watch: &Watch, area: Rect, extent: Extent) {
    if let Some(Overlay::Filter(prompt)) = &app.overlay {
        return self::prompt(frame, app.pen, prompt, area);
    }
    let pen = app.pen;
    let columns = usize::from(area.width);
    if let Some(message) = &app.message {
        let words = pen.pad(&format!(" {}", message.text), columns);
        frame.render_widget(pen.line(message.role, words), area);
        return;
    }
    let mut spans = Vec::new();
    let mut left = columns;
    // A small screen has no line for what stands out.
    if extent == Extent::Small {
        let mut parts = parts(app, watch).into_iter();
        if let Some((role, words)) = parts.find(|(role, _)| stands_out(*role)) {
            let words = pen.fit(&format!(" {words}"), columns / 2);
            left -= text::width(&words);
            spans.push(pen.span(role, words));
        }
    }
    let mut shown: Vec<_> = keys::bindings(app.facts.mode)
        .filter(|binding| binding.footer.0 > 0)
        .collect();
    shown.sort_by_key(|binding| binding.footer.0);
    for binding in shown {
        let key = binding.keys[0].name();
        let label = binding.footer.1;
        let needed = text::width(&key) + text::width(label) + 3;
        if needed > left {
            break;
        }
        left -= needed;
        spans.push(pen.span(Role::Strong, format!(" {key}")));
        spans.push(pen.span(Role::Faint, format!(" {label} ")));
    }
    frame.render_widget(Line::from(spans), area);
}

/// The filter while it is being edited, and what is wrong with it.
fn prompt(frame: &mut Frame<'_>, pen: Pen, prompt: &Prompt, area: Rect) {
    let columns = usize::from(area.width);
    let label = " filter: ";
    let (role, hint) = match &prompt.problem {
        Some(problem) => (Role::Error, problem.to_string()),
        None => (Role::Faint, "Enter applies, Esc cancels".to_owned()),
    };
    // The end of what is before the cursor is always to be seen.
    let room = columns.saturating_sub(label.len() + 1);
    let all = clean(prompt.before.clone());
    let before = text::end(&all, room);
    let column = label.len() + text::width(before);
    let behind = pen.fit(
        &clean(prompt.behind.clone()),
        columns.saturating_sub(column + 1),
    );
    let free = columns.saturating_sub(column + text::width(&behind) + 3);
    let line = Line::from_iter([
        pen.span(Role::Label, label),
        pen.span(Role::Strong, before),
        pen.span(Role::Strong, behind),
        Span::raw("  "),
        pen.span(role, pen.fit(&hint, free)),
    ]);
    frame.render_widget(line, area);
    let x = area.x + u16::try_from(column).unwrap_or(0).min(area.width - 1);
    frame.set_cursor_position(Position::new(x, area.y));
}
