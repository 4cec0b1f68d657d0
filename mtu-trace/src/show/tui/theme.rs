//! What colours mean. No colour stands alone: the same is always said by a word or a sign, so that the
//! screens read as well without any.

use std::env;

use ratatui::style::{Color, Modifier, Style};

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
    #[must_use]
    pub fn detect() -> Self {
        let value = env::var("COLORTERM").unwrap_or_default();
        if value == "truecolor" || value == "24bit" {
            Self::True
        } else {
            Self::Ansi
        }
    }

    /// How a role looks.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        let style = Style::new();
        match self {
            Self::Mono => match role {
                Role::Text | Role::Label | Role::Good | Role::Info | Role::Frame => style,
                Role::Faint => style.add_modifier(Modifier::DIM),
                Role::Strong | Role::Error | Role::Warning | Role::Command | Role::Focus => {
                    style.add_modifier(Modifier::BOLD)
                }
                Role::Selected | Role::Title | Role::Notice => {
                    style.add_modifier(Modifier::REVERSED)
                }
            },
            Self::Ansi => match role {
                Role::Text => style,
                Role::Faint | Role::Frame => style.fg(Color::DarkGray),
                Role::Strong => style.add_modifier(Modifier::BOLD),
                Role::Label | Role::Focus => style.fg(Color::Cyan),
                Role::Error => style.fg(Color::Red).add_modifier(Modifier::BOLD),
                Role::Warning => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
                Role::Info => style.fg(Color::Blue),
                Role::Good | Role::Command => style.fg(Color::Green),
                Role::Selected => style.add_modifier(Modifier::REVERSED),
                Role::Title => style.fg(Color::Black).bg(Color::Cyan),
                Role::Notice => style.fg(Color::Black).bg(Color::Yellow),
            },
            Self::True => match role {
                Role::Text => style,
                Role::Faint => style.fg(Color::Rgb(140, 146, 158)),
                Role::Frame => style.fg(Color::Rgb(92, 99, 112)),
                Role::Strong => style.add_modifier(Modifier::BOLD),
                Role::Label => style.fg(Color::Rgb(86, 182, 194)),
                Role::Focus => style.fg(Color::Rgb(97, 175, 239)),
                Role::Error => style
                    .fg(Color::Rgb(240, 84, 84))
                    .add_modifier(Modifier::BOLD),
                Role::Warning => style
                    .fg(Color::Rgb(229, 172, 68))
                    .add_modifier(Modifier::BOLD),
                Role::Info => style.fg(Color::Rgb(97, 175, 239)),
                Role::Good | Role::Command => style.fg(Color::Rgb(126, 198, 110)),
                Role::Selected => style.bg(Color::Rgb(52, 60, 74)),
                Role::Title => style
                    .fg(Color::Rgb(18, 22, 28))
                    .bg(Color::Rgb(97, 175, 239)),
                Role::Notice => style
                    .fg(Color::Rgb(18, 22, 28))
                    .bg(Color::Rgb(229, 172, 68)),
            },
        }
    }
}
