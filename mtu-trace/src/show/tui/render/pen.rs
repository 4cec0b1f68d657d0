//! Spans and lines in the roles of the theme.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::model::finding::Severity;
use crate::show::tui::app::App;
use crate::show::tui::glyphs::Glyphs;
use crate::show::tui::text;
use crate::show::tui::theme::{Role, Theme};

/// What everything is written with.
#[derive(Clone, Copy)]
pub struct Pen {
    /// The colours of each role.
    pub theme: Theme,
    /// The signs that are drawn.
    pub glyphs: &'static Glyphs,
}

impl Pen {
    /// That of the screens.
    pub fn of(app: &App) -> Self {
        Self {
            theme: app.theme,
            glyphs: app.glyphs,
        }
    }

    /// How a role looks.
    pub fn style(self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Text in a role.
    pub fn span(self, role: Role, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.style(role))
    }

    /// A line in a role.
    pub fn line(self, role: Role, text: impl Into<String>) -> Line<'static> {
        Line::from(self.span(role, text))
    }

    /// The role of a severity.
    pub fn severity(severity: Severity) -> Role {
        match severity {
            Severity::Error => Role::Error,
            Severity::Warning => Role::Warning,
            Severity::Info => Role::Info,
        }
    }

    /// A text broken into lines, each behind so many spaces.
    pub fn wrapped(
        self,
        role: Role,
        words: &str,
        indent: usize,
        width: usize,
    ) -> Vec<Line<'static>> {
        text::wrap(words, width.saturating_sub(indent))
            .into_iter()
            .map(|line| self.line(role, format!("{}{line}", " ".repeat(indent))))
            .collect()
    }

    /// The heading of a part.
    pub fn heading(self, words: &str) -> Line<'static> {
        self.line(Role::Label, words.to_uppercase())
    }

    /// A text in so many columns at most.
    pub fn fit(self, text: &str, columns: usize) -> String {
        text::fit(text, columns, self.glyphs.ellipsis)
    }

    /// A text in exactly so many columns.
    pub fn pad(self, text: &str, columns: usize) -> String {
        text::pad(text, columns, self.glyphs.ellipsis)
    }

    /// The same at the right.
    pub fn pad_left(self, text: &str, columns: usize) -> String {
        text::pad_left(text, columns, self.glyphs.ellipsis)
    }

    /// Sentences with signs of their own in plain ones, if the others cannot be shown.
    pub fn words(self, text: &str) -> String {
        if self.glyphs.ellipsis.is_ascii() {
            text.replace('…', "...").replace('’', "'")
        } else {
            text.to_owned()
        }
    }
}
