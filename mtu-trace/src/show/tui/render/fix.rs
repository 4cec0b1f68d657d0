//! What to do about it, with the commands to copy.

use ratatui::text::Line;

use crate::model::finding::Finding;
use crate::show::tui::app::App;
use crate::show::tui::render::Pen;
use crate::show::tui::theme::Role;

/// All fixes, of which one is marked.
pub fn lines(app: &App, finding: &Finding, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let mut lines = Vec::new();
    for (index, fix) in finding.fixes.iter().enumerate() {
        if index > 0 {
            lines.push(Line::default());
        }
        let marked = index == app.marked();
        let mark = if marked { app.glyphs.cursor } else { " " };
        let title = pen.words(&format!("FIX {}  {}", index + 1, fix.title));
        let mut title = pen.wrapped(Role::Strong, &title, 2, width).into_iter();
        if let Some(first) = title.next() {
            let first: String = first
                .spans
                .iter()
                .map(|span| span.content.trim_start())
                .collect();
            let (label, rest) = first.split_at(first.len().min(5));
            lines.push(Line::from(vec![
                pen.span(Role::Strong, format!("{mark} ")),
                pen.span(Role::Label, label.to_owned()),
                pen.span(Role::Strong, rest.to_owned()),
            ]));
        }
        lines.extend(title);
        lines.extend(pen.wrapped(Role::Text, &pen.words(&fix.detail), 2, width));
        for command in &fix.commands {
            lines.extend(pen.wrapped(Role::Command, &format!("# {command}"), 4, width));
        }
        if marked && !fix.commands.is_empty() {
            lines.push(pen.line(Role::Faint, "    y copies this, f marks the next fix"));
        }
    }
    lines
}
