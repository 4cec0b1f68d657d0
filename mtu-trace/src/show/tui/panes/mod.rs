//! The panes of the screen: each is a file with all that the screens need to know of it, and a row of
//! [`PANES`]. What a pane keeps between two screens is in [`App`].

pub(crate) mod connections;
pub(crate) mod detail;
pub(crate) mod findings;
pub(crate) mod namespaces;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::base::row::row;
use crate::show::tui::app::{App, Shown};
use crate::show::tui::list::List;
use crate::show::tui::theme::{Pen, Role};
use crate::show::watch::Watch;

/// Every pane, in the order of their numbers, which are also their keys.
pub const PANES: [Pane; 4] = [
    Pane::FINDINGS,
    Pane::NAMESPACES,
    Pane::CONNECTIONS,
    Pane::DETAIL,
];

/// All that the screens need to know of a pane.
pub struct PaneDefinition {
    /// Its name in titles.
    pub name: &'static str,
    /// What the help says that its key shows.
    pub help: &'static str,
    /// Whether it stands below the findings, also on a large screen.
    pub is_below: bool,
    /// What stands behind its name in its title: where one is in it, and its order.
    pub place: fn(&App) -> String,
    /// Draws it into an area.
    pub draw: fn(&mut Frame<'_>, &mut App, &Watch, Rect),
    /// Rows that a page key moves by.
    pub page: fn(&App) -> usize,
    /// Moves in it by so many rows.
    pub go: fn(&mut App, isize),
    /// What the row under the cursor is in full; `None` if there is no row, or nothing more to show.
    pub opens: fn(&App) -> Option<Shown>,
    /// Sorts it by the next of its orders, and says by which.
    pub sort: fn(&mut App) -> &'static str,
    /// Whether there is nothing to show in it as long as nothing is found.
    pub is_empty: fn(&App) -> bool,
}

row!(
    /// A part of the screen that keys can act on.
    Pane of PaneDefinition
);

impl Pane {
    /// The list of what was concluded.
    pub const FINDINGS: Self = Self(&findings::PANE);
    /// The tree of namespaces and containers.
    pub const NAMESPACES: Self = Self(&namespaces::PANE);
    /// The list of connections in trouble.
    pub const CONNECTIONS: Self = Self(&connections::PANE);
    /// The selected finding in full.
    pub const DETAIL: Self = Self(&detail::PANE);

    /// All that is known of it.
    pub fn definition(self) -> &'static PaneDefinition {
        self.0
    }

    /// Its number, from 1 on.
    pub fn number(self) -> usize {
        1 + self.index()
    }

    /// The pane after it.
    pub fn next(self) -> Self {
        PANES[(self.index() + 1) % PANES.len()]
    }

    /// The pane before it.
    pub fn previous(self) -> Self {
        PANES[(self.index() + PANES.len() - 1) % PANES.len()]
    }

    fn index(self) -> usize {
        let found = PANES.iter().position(|pane| *pane == self);
        found.unwrap_or_default()
    }

    /// The role of the row under its cursor, which stands out where the keys act on it.
    fn cursor_role(self, app: &App) -> Role {
        if app.pane == self {
            Role::Selected
        } else {
            Role::Text
        }
    }
}

/// A row of a list, behind the cursor and in the role `selected` where it is selected.
fn list_row<K>(
    pen: Pen,
    list: &List<K>,
    index: usize,
    selected: Role,
    cells: impl IntoIterator<Item = Span<'static>>,
) -> Line<'static> {
    let (cursor, role) = if index == list.selected {
        (pen.glyphs.cursor, selected)
    } else {
        (" ", Role::Text)
    };
    let cursor = pen.span(Role::Strong, format!("{cursor} "));
    let line = Line::from_iter(std::iter::once(cursor).chain(cells));
    line.patch_style(pen.style(role))
}

/// ` 3/17`: which of so many rows is selected; nothing where there is none.
fn position(selected: usize, len: usize) -> String {
    if len == 0 {
        String::new()
    } else {
        format!(" {}/{len}", (selected + 1).min(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pane_has_a_name_and_a_number_of_its_own() {
        for (index, pane) in PANES.iter().enumerate() {
            assert_eq!(pane.number(), index + 1);
            let same = PANES.iter().filter(|it| it.0.name == pane.0.name);
            assert_eq!(same.count(), 1, "{pane:?}");
            assert_eq!(pane.next().previous(), *pane);
        }
    }
}
