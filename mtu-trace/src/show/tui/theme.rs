//! What colours mean, and what is written in them. No colour stands alone: the same is always said by a
//! word or a sign, so that the screens read as well without any.

use std::env;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::model::finding::Severity;
use crate::show::tui::glyphs::Glyphs;
use crate::show::tui::text;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Text without a special meaning.
    Text,
    /// What can be skipped.
    Faint,
    /// The most important words.
    Strong,
    /// Names of parts and columns.
    Label,
    /// A fault, and what makes it.
    Error,
    /// What hurts, or may.
    Warning,
    /// Worth knowing, nothing more.
    Info,
    /// What is as it should be.
    Good,
    /// What can be typed.
    Command,
    /// What the keys act on.
    Selected,
    /// The line at the top.
    Title,
    /// A state of the screen itself that must not be missed: paused, playing.
    Notice,
    /// Frames and tree lines.
    Frame,
    /// The frame of the pane that the keys act on.
    Focus,
}

impl From<Severity> for Role {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Info => Self::Info,
        }
    }
}

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// None: bold, dim and reverse only.
    Mono,
    /// The sixteen that every colour terminal has, as its user has set them.
    Ansi,
    /// All 16 million colours.
    True,
}

impl Theme {
    /// The colours that the terminal can show, by `COLORTERM`.
    pub fn detect() -> Self {
        let value = env::var("COLORTERM").unwrap_or_default();
        if value == "truecolor" || value == "24bit" {
            Self::True
        } else {
            Self::Ansi
        }
    }

    fn style(self, role: Role) -> Style {
        let style = Style::new();
        let bold = style.add_modifier(Modifier::BOLD);
        let reversed = style.add_modifier(Modifier::REVERSED);
        let rgb = Color::Rgb;
        match self {
            Self::Mono => match role {
                Role::Text | Role::Label | Role::Good | Role::Info | Role::Frame => style,
                Role::Faint => style.add_modifier(Modifier::DIM),
                Role::Strong | Role::Error | Role::Warning | Role::Command | Role::Focus => bold,
                Role::Selected | Role::Title | Role::Notice => reversed,
            },
            Self::Ansi => match role {
                Role::Text => style,
                Role::Faint | Role::Frame => style.fg(Color::DarkGray),
                Role::Strong => bold,
                Role::Label | Role::Focus => style.fg(Color::Cyan),
                Role::Error => bold.fg(Color::Red),
                Role::Warning => bold.fg(Color::Yellow),
                Role::Info => style.fg(Color::Blue),
                Role::Good | Role::Command => style.fg(Color::Green),
                Role::Selected => reversed,
                Role::Title => style.fg(Color::Black).bg(Color::Cyan),
                Role::Notice => style.fg(Color::Black).bg(Color::Yellow),
            },
            Self::True => match role {
                Role::Text => style,
                Role::Faint => style.fg(rgb(140, 146, 158)),
                Role::Frame => style.fg(rgb(92, 99, 112)),
                Role::Strong => bold,
                Role::Label => style.fg(rgb(86, 182, 194)),
                Role::Focus | Role::Info => style.fg(rgb(97, 175, 239)),
                Role::Error => bold.fg(rgb(240, 84, 84)),
                Role::Warning => bold.fg(rgb(229, 172, 68)),
                Role::Good | Role::Command => style.fg(rgb(126, 198, 110)),
                Role::Selected => style.bg(rgb(52, 60, 74)),
                Role::Title => style.fg(rgb(18, 22, 28)).bg(rgb(97, 175, 239)),
                Role::Notice => style.fg(rgb(18, 22, 28)).bg(rgb(229, 172, 68)),
            },
        }
    }
}

/// What everything is written with.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    /// The colours of each role.
    pub theme: Theme,
    /// The signs that are drawn.
    pub glyphs: &'static Glyphs,
}

impl Pen {
    pub(crate) fn style(self, role: Role) -> Style {
        self.theme.style(role)
    }

    pub(crate) fn span(self, role: Role, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.style(role))
    }

    pub(crate) fn line(self, role: Role, text: impl Into<String>) -> Line<'static> {
        Line::from(self.span(role, text))
    }

    /// A text in so many columns at most; an ellipsis stands for what was cut off.
    pub(crate) fn fit(self, text: &str, columns: usize) -> String {
        if text::width(text) <= columns {
            return text.to_owned();
        }
        let ellipsis = if columns > 0 {
            self.glyphs.ellipsis
        } else {
            ""
        };
        let room = columns.saturating_sub(text::width(ellipsis));
        format!("{}{ellipsis}", text::start(text, room))
    }

    /// A text in exactly so many columns.
    pub(crate) fn pad(self, text: &str, columns: usize) -> String {
        let fitted = self.fit(text, columns);
        let missing = columns.saturating_sub(text::width(&fitted));
        format!("{fitted}{:missing$}", "")
    }

    /// The same with the text at the right.
    pub(crate) fn pad_left(self, text: &str, columns: usize) -> String {
        let fitted = self.fit(text, columns);
        let missing = columns.saturating_sub(text::width(&fitted));
        format!("{:missing$}{fitted}", "")
    }

    /// Sentences with signs of their own in plain ones, if the others cannot be shown.
    pub(crate) fn words(self, text: &str) -> String {
        if self.glyphs.ellipsis.is_ascii() {
            text.replace('…', "...").replace('’', "'")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tui::glyphs::UNICODE;

    #[test]
    fn columns_are_counted_not_characters() {
        let pen = Pen {
            theme: Theme::Mono,
            glyphs: &UNICODE,
        };
        assert_eq!(pen.fit("größe 雪雪雪", 9), "größe 雪…");
        assert_eq!(text::width(&pen.pad("雪雪雪", 4)), 4);
        assert_eq!(pen.pad_left("ab", 4), "  ab");
        assert_eq!(pen.fit("abc", 0), "");
        assert_eq!(pen.fit("abc", 3), "abc");
    }
}
