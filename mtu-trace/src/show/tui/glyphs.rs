//! The signs the screens are drawn with, and plain ones for terminals without Unicode.

use std::env;

use ratatui::symbols::border;

use crate::model::finding::{Direction, Severity};

/// A set of signs. All are one column wide unless said otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Severities: error, warning, info.
    pub severities: [&'static str; 3],
    /// Stands for what was cut off.
    pub ellipsis: &'static str,
    /// Before the selected row.
    pub cursor: &'static str,
    /// Download, upload, both; two columns with the space.
    pub arrows: [&'static str; 3],
    /// From one to the next.
    pub to: &'static str,
    /// Packets travel up or down the path.
    pub travel: [&'static str; 2],
    /// Marks where packets are dropped.
    pub hole: &'static str,
    /// Where the message was dropped.
    pub blocked: &'static str,
    /// The wall of a pipe.
    pub wall: &'static str,
    /// What the pipe leaves of the widest one.
    pub outside: &'static str,
    /// Branches of a tree: one of several, the last, and what goes on beside them.
    pub branches: [&'static str; 3],
    /// Levels of a sparkline, from nothing to the most.
    pub levels: [&'static str; 9],
    /// A timeline: what has been played, what has not, the place, a mark.
    pub timeline: [&'static str; 4],
    /// Between parts of a line.
    pub dot: &'static str,
    /// Marks a capture that plays, and one that is stopped.
    pub play: [&'static str; 2],
    /// Draws the frames of panes.
    pub border: border::Set<'static>,
}

/// For terminals that show Unicode.
pub const UNICODE: Glyphs = Glyphs {
    severities: ["✖", "▲", "●"],
    ellipsis: "…",
    cursor: "▶",
    arrows: ["←", "→", "↔"],
    to: "→",
    travel: ["▲", "▼"],
    hole: "✖",
    blocked: "⊘",
    wall: "┃",
    outside: "░",
    branches: ["├─", "└─", "│ "],
    levels: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    timeline: ["━", "─", "●", "▼"],
    dot: "·",
    play: ["▶", "⏸"],
    border: border::PLAIN,
};

/// The glyphs for terminals without Unicode.
pub const ASCII: Glyphs = Glyphs {
    severities: ["X", "!", "i"],
    ellipsis: "~",
    cursor: ">",
    arrows: ["<-", "->", "<>"],
    to: "->",
    travel: ["^", "v"],
    hole: "X",
    blocked: "#",
    wall: "|",
    outside: ":",
    branches: ["|-", "`-", "| "],
    levels: [" ", ".", ".", ":", ":", "+", "+", "#", "#"],
    timeline: ["=", "-", "O", "v"],
    dot: "|",
    play: [">", "="],
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
};

impl Glyphs {
    /// What the terminal can show, by its locale (locale(7)) and kind. The Linux console's font has
    /// few signs.
    pub fn detect() -> &'static Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        if utf8 && set("TERM").as_deref() != Some("linux") {
            &UNICODE
        } else {
            &ASCII
        }
    }

    /// The sign of a severity.
    pub fn severity(&self, severity: Severity) -> &'static str {
        match severity {
            Severity::Error => self.severities[0],
            Severity::Warning => self.severities[1],
            Severity::Info => self.severities[2],
        }
    }

    /// The way data goes, seen from the local end.
    pub fn direction(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::Download => self.arrows[0],
            Direction::Upload => self.arrows[1],
            Direction::Both => self.arrows[2],
        }
    }

    /// A sparkline of the values, the last of which is the newest. What is not nothing is never shown
    /// as nothing.
    pub fn sparkline(&self, values: &[u64]) -> String {
        let most = values.iter().copied().max().unwrap_or(0).max(1);
        let top = self.levels.len() as u64 - 1;
        let level = |value: u64| -> &str {
            let share = u128::from(value) * u128::from(top) / u128::from(most);
            let share = usize::try_from(share).unwrap_or(0);
            self.levels[if value > 0 { share.max(1) } else { 0 }]
        };
        values.iter().map(|&value| level(value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_drop_is_seen_beside_a_flood() {
        assert_eq!(UNICODE.sparkline(&[0, 1, 1000, 0, 500]), " ▁█ ▄");
        assert_eq!(ASCII.sparkline(&[0, 1, u64::MAX]), " .#");
        assert_eq!(UNICODE.sparkline(&[0, 0]), "  ");
    }

    #[test]
    fn the_plain_set_is_plain() {
        let plain = format!("{ASCII:?}");
        assert!(plain.is_ascii(), "{plain}");
    }
}
