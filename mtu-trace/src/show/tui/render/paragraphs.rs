//! Text that is broken into lines of a width.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;

use crate::show::tui::text;
use crate::show::tui::theme::{Pen, Role};

/// Lines in a given width, as they are added.
pub struct Paragraphs {
    pub pen: Pen,
    /// Columns of a line at most.
    pub width: usize,
    pub lines: Vec<Line<'static>>,
}

impl Paragraphs {
    pub fn new(pen: Pen, width: u16) -> Self {
        Self {
            pen,
            width: width.into(),
            lines: Vec::new(),
        }
    }

    /// Adds an empty line, unless nothing is before it.
    pub fn gap(&mut self) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
    }

    /// Begins a part of its own.
    pub fn heading(&mut self, words: &str) {
        self.gap();
        self.line(Role::Label, &words.to_uppercase());
    }

    /// Adds one line, of which what is too long is cut off.
    pub fn line(&mut self, role: Role, words: &str) {
        self.lines
            .push(self.pen.line(role, self.pen.fit(words, self.width)));
    }

    /// Adds words, each line of them behind so many spaces.
    pub fn words(&mut self, role: Role, indent: usize, words: &str) {
        let lines = text::wrap(words, self.width.saturating_sub(indent)).into_iter();
        let lines = lines.map(|line| self.pen.line(role, format!("{:indent$}{line}", "")));
        self.lines.extend(lines);
    }

    /// Adds words beside what leads to them; all of their lines begin there.
    pub fn beside(&mut self, lead: Span<'static>, role: Role, words: &str) {
        let indent = lead.width();
        let mut lines = text::wrap(words, self.width.saturating_sub(indent)).into_iter();
        let first = self.pen.span(role, lines.next().unwrap_or_default());
        self.lines.push(Line::from(vec![lead, first]));
        let lines = lines.map(|line| self.pen.line(role, format!("{:indent$}{line}", "")));
        self.lines.extend(lines);
    }

    /// Draws the lines from one on, with a mark where there are more, and says which one it was: not so
    /// far that the end would be left behind.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, from: usize) -> usize {
        let height = usize::from(area.height);
        let end = self.lines.len().saturating_sub(height);
        let from = from.min(end);
        for (line, row) in self.lines[from..].iter().zip(area.rows()) {
            frame.render_widget(line, row);
        }
        let words = format!(" {} more ", end - from);
        let columns = u16::try_from(words.len()).unwrap_or(0);
        if from < end && area.height > 1 && columns < area.width {
            let corner = Rect {
                x: area.right() - columns,
                y: area.bottom() - 1,
                width: columns,
                height: 1,
            };
            frame.render_widget(Clear, corner);
            frame.render_widget(self.pen.span(Role::Notice, words), corner);
        }
        from
    }
}
