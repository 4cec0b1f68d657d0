//! The lines around the panes: the title, the state of the trace, and the keys.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use crate::base::text::printable;
use crate::base::text::stored::clean;
use crate::model::finding::Severity;
use crate::model::hook_status::HookStatus;
use crate::show::tui::app::{App, Overlay, Tone};
use crate::show::tui::facts::SpoolState;
use crate::show::tui::keys::Mode;
use crate::show::tui::render::{Extent, Pen};
use crate::show::tui::theme::Role;
use crate::show::tui::{keys, text};
use crate::show::watch::Watch;

/// Draws the title: whose trace it is, how bad things are, and the time.
pub fn title(frame: &mut Frame<'_>, app: &App, area: Rect, extent: Extent) {
    let pen = Pen::of(app);
    let dot = app.glyphs.dot;
    let left = if extent == Extent::Small {
        format!(" {} {}", app.pane.number(), app.pane.definition().name)
    } else {
        let facts = &app.facts;
        match &facts.file {
            Some(file) => {
                let name = file.file_name().unwrap_or(file.as_os_str());
                let name = printable(name.as_encoded_bytes());
                format!(" mtu-trace  {name} {dot} {}", facts.hostname)
            }
            None => format!(
                " mtu-trace  {} {dot} kernel {}",
                facts.hostname, facts.kernel
            ),
        }
    };
    let state = match (app.facts.mode, app.held.is_some()) {
        (Mode::Replay, _) => "REPLAY",
        (Mode::Live, true) => "PAUSED",
        (Mode::Live, false) => "LIVE",
    };
    let counts = counts(app, extent);
    let right = format!("  {state} {} ", app.facts.time(app.now_ns));
    let counts = format!("  {counts}");
    let columns = usize::from(area.width);
    let taken = text::width(&counts) + text::width(&right);
    let left = pen.pad(&left, columns.saturating_sub(taken));
    let role = if app.held.is_some() {
        Role::Notice
    } else {
        Role::Title
    };
    let line = Line::from(vec![Span::raw(left), Span::raw(counts), Span::raw(right)]);
    frame.render_widget(line.patch_style(pen.style(role)), area);
}

/// `✖ 1 error  ▲ 2 warnings`.
fn counts(app: &App, extent: Extent) -> String {
    let severities = [Severity::Error, Severity::Warning, Severity::Info];
    let counted = severities.into_iter().zip(app.view.severities());
    let mut parts: Vec<String> = Vec::new();
    for (severity, count) in counted.filter(|(_, count)| *count > 0) {
        let mark = app.glyphs.severity(severity);
        let word = severity.name();
        let s = if count == 1 { "" } else { "s" };
        parts.push(if extent == Extent::Small {
            format!("{mark}{count}")
        } else {
            format!("{mark} {count} {word}{s}")
        });
    }
    if parts.is_empty() && extent == Extent::Full {
        return "no findings".to_owned();
    }
    parts.join(match extent {
        Extent::Small => " ",
        Extent::Full => "  ",
    })
}

/// Draws the state of the trace: hooks, events, losses, filter, recording.
pub fn status(frame: &mut Frame<'_>, app: &App, watch: &Watch, area: Rect) {
    if area.is_empty() {
        return;
    }
    let pen = Pen::of(app);
    let parts = parts(app, watch);
    let mut spans = vec![Span::raw(" ")];
    let mut left = usize::from(area.width).saturating_sub(1);
    let between = format!(" {} ", app.glyphs.dot);
    for (role, words) in parts {
        let first = spans.len() == 1;
        let needed = text::width(&words) + if first { 0 } else { 3 };
        if needed > left {
            // What stands out must not be left out.
            if role != Role::Error && role != Role::Warning {
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

/// The most important first.
fn parts(app: &App, watch: &Watch) -> Vec<(Role, String)> {
    let state = watch.analysis().state();
    let facts = &app.facts;
    let mut parts = Vec::new();
    if state.lost > 0 {
        parts.push((Role::Error, format!("{} LOST", text::count(state.lost))));
    }
    if facts.hooks.iter().any(HookStatus::is_missed) {
        parts.push((Role::Warning, HookStatus::tally(&facts.hooks)));
    }
    if let Some(new) = app.held {
        parts.push((
            Role::Warning,
            format!("paused, {} events since", text::count(new)),
        ));
    }
    if let Some(words) = facts.selection.words() {
        parts.push((Role::Label, words));
    }
    for absent in watch.analysis().scope().absent() {
        parts.push((Role::Warning, absent));
    }
    if facts.waiting > 0 {
        parts.push((
            Role::Warning,
            format!("{} events behind", text::count(facts.waiting as u64)),
        ));
    }
    if !facts.hooks.is_empty() && !facts.hooks.iter().any(HookStatus::is_missed) {
        parts.push((Role::Text, HookStatus::tally(&facts.hooks)));
    }
    parts.push((Role::Text, format!("{} events", text::count(state.events))));
    if state.lost == 0 {
        parts.push((Role::Text, "0 lost".to_owned()));
    }
    if let Some(name) = &facts.recording {
        parts.push((Role::Text, format!("recording {name}")));
    }
    match &facts.spool {
        SpoolState::None => {}
        SpoolState::Kept(bytes) => {
            parts.push((Role::Faint, format!("{} kept for w", text::size(*bytes))));
        }
        SpoolState::Failed(why) => parts.push((Role::Warning, why.clone())),
    }
    for note in watch.analysis().notes().iter().chain(&facts.notes) {
        parts.push((Role::Warning, note.clone()));
    }
    parts
}

/// Draws the last line: what is being typed, what is told, or the keys.
pub fn footer(frame: &mut Frame<'_>, app: &App, watch: &Watch, area: Rect, extent: Extent) {
    if let Some(Overlay::Filter(prompt)) = &app.overlay {
        return self::prompt(frame, app, prompt, area);
    }
    let pen = Pen::of(app);
    let columns = usize::from(area.width);
    if let Some(message) = &app.message {
        let role = match message.tone {
            Tone::Error => Role::Error,
            Tone::Notice => Role::Notice,
        };
        let words = pen.pad(&format!(" {}", message.text), columns);
        frame.render_widget(pen.line(role, words), area);
        return;
    }
    let mut spans = Vec::new();
    let mut left = columns;
    // A small screen has no line for what stands out.
    if extent == Extent::Small {
        let warning = parts(app, watch)
            .into_iter()
            .find(|(role, _)| matches!(role, Role::Error | Role::Warning));
        if let Some((role, words)) = warning {
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
fn prompt(frame: &mut Frame<'_>, app: &App, prompt: &crate::show::tui::prompt::Prompt, area: Rect) {
    let pen = Pen::of(app);
    let columns = usize::from(area.width);
    let label = " filter: ";
    let problem = prompt.problem().map(ToString::to_string);
    let hint = match &problem {
        Some(problem) => problem.as_str(),
        None => "Enter applies, Esc cancels",
    };
    // The end of what is before the cursor is always to be seen.
    let room = columns.saturating_sub(text::width(label) + 1);
    let all = clean(prompt.before());
    let before = text::tail(&all, room);
    let column = text::width(label) + text::width(&before);
    let behind = pen.fit(&clean(prompt.behind()), columns.saturating_sub(column + 1));
    let free = columns.saturating_sub(column + text::width(&behind) + 3);
    let hint = pen.fit(hint, free);
    let line = Line::from(vec![
        pen.span(Role::Label, label),
        pen.span(Role::Strong, before),
        pen.span(Role::Strong, behind),
        Span::raw("  "),
        pen.span(
            if problem.is_some() {
                Role::Error
            } else {
                Role::Faint
            },
            hint,
        ),
    ]);
    frame.render_widget(line, area);
    let x = area.x + u16::try_from(column).unwrap_or(0).min(area.width - 1);
    frame.set_cursor_position(Position::new(x, area.y));
}
