//! All keys, from the table.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

use crate::show::tui::app::App;
use crate::show::tui::render::Pen;
use crate::show::tui::theme::Role;
use crate::show::tui::{keys, text};

/// Widest box that is needed.
const MOST_COLUMNS: u16 = 88;
/// Columns of the keys.
const KEYS: usize = 16;

/// Draws the keys from a line on; gives the line, or the last one there is.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, area: Rect, line: usize) -> usize {
    let pen = Pen::of(app);
    let width = area.width.min(MOST_COLUMNS);
    let lines = lines(app, usize::from(width.saturating_sub(4)));
    let wanted = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let height = wanted.min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = Block::bordered()
        .border_set(app.glyphs.border)
        .border_style(pen.style(Role::Focus))
        .title(pen.span(Role::Strong, " Keys "))
        .title_bottom(pen.span(Role::Faint, " ? or Esc closes "));
    let inside = block.inner(place);
    frame.render_widget(Clear, place);
    frame.render_widget(block, place);
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    app.scroll_page = usize::from(inside.height).max(1);
    crate::show::tui::render::lines(frame, app, inside, &lines, line)
}

fn lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let mut lines = Vec::new();
    for binding in keys::bindings(app.facts.mode) {
        let names: Vec<String> = binding.keys.iter().map(|chord| chord.name()).collect();
        let mut words = text::wrap(binding.help, width.saturating_sub(KEYS)).into_iter();
        lines.push(Line::from(vec![
            pen.span(Role::Command, pen.pad(&names.join("  "), KEYS)),
            Span::raw(words.next().unwrap_or_default()),
        ]));
        lines.extend(words.map(|words| Line::raw(format!("{:KEYS$}{words}", ""))));
    }
    lines
}
