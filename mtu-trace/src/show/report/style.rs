//! Colour roles for text. Colour never stands alone: the same is always said in a word.

use crossterm::style::{Attribute, Color, ContentStyle, Stylize as _};

use crate::model::finding::Severity;

/// How text is to look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether words are coloured.
    pub color: bool,
    /// Columns that lines may fill.
    pub width: usize,
}

impl Style {
    /// No colour, a fixed width.
    pub const PLAIN: Self = Self {
        color: false,
        width: 100,
    };

    /// The word of a severity, in its colour.
    pub fn severity(&self, severity: Severity) -> String {
        let color = match severity {
            Severity::Error => Color::Red,
            Severity::Warning => Color::Yellow,
            Severity::Info => Color::Green,
        };
        self.paint(
            &severity.name().to_uppercase(),
            ContentStyle::new().with(color).attribute(Attribute::Bold),
        )
    }

    /// The most important words.
    pub fn strong(&self, text: &str) -> String {
        self.paint(text, ContentStyle::new().attribute(Attribute::Bold))
    }

    /// The place of the fault.
    pub fn fault(&self, text: &str) -> String {
        self.paint(text, ContentStyle::new().with(Color::Red))
    }

    /// Names of the parts.
    pub fn label(&self, text: &str) -> String {
        self.paint(text, ContentStyle::new().with(Color::Cyan))
    }

    /// What can be skipped.
    pub fn faint(&self, text: &str) -> String {
        self.paint(text, ContentStyle::new().attribute(Attribute::Dim))
    }

    /// What can be typed.
    pub fn command(&self, text: &str) -> String {
        self.paint(text, ContentStyle::new().with(Color::Green))
    }

    fn paint(&self, text: &str, style: ContentStyle) -> String {
        if self.color {
            style.apply(text).to_string()
        } else {
            text.to_owned()
        }
    }
}
