//! Where in a capture one is: when it was recorded, when findings were made, and how it is played.
//!
//! ```text
//!  ▶ 12.3 s of 1m02s  x1 ━━━━━━━━━▼━━●────▼─────────────
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::model::finding::Severity;
use crate::show::tui::app::App;
use crate::show::tui::render::Pen;
use crate::show::tui::text;
use crate::show::tui::theme::Role;

/// Draws the line of the capture's time.
pub fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let pen = Pen::of(app);
    let playing = &app.playing;
    let (start, end) = playing.span;
    let length = end.saturating_sub(start);
    let at = app.now_ns.clamp(start, end.max(start)) - start;
    let state = app.glyphs.play[usize::from(!playing.running)];
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
    let [done, open, here, mark] = app.glyphs.timeline;
    let mut bar: Vec<Span<'static>> = (0..columns)
        .map(|index| {
            if index < column(at) {
                pen.span(Role::Focus, done)
            } else {
                pen.span(Role::Frame, open)
            }
        })
        .collect();
    // The worst finding of those in one column is seen.
    let mut worst: Vec<Option<Severity>> = vec![None; columns];
    for made in &playing.made {
        let index = column(made.at_ns.clamp(start, end.max(start)) - start);
        worst[index] = worst[index].max(Some(made.severity));
    }
    for (cell, severity) in bar.iter_mut().zip(worst) {
        if let Some(severity) = severity {
            *cell = pen.span(Pen::severity(severity), mark);
        }
    }
    bar[column(at)] = pen.span(Role::Strong, here);
    let role = if playing.running {
        Role::Notice
    } else {
        Role::Strong
    };
    let mut spans = vec![pen.span(role, head)];
    spans.append(&mut bar);
    frame.render_widget(Line::from(spans), area);
}
