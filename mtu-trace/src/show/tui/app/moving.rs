//! Moving: through lists and text, from pane to pane, and into what is shown in full.

use crate::show::tui::{
    action::Pane,
    app::{App, Shown},
};

impl App {
    pub(crate) fn page(&mut self, down: bool) {
        let rows = match self.pane {
            Pane::Findings if self.view.count() == 0 => self.scroll_page,
            Pane::Findings => self.findings.page,
            Pane::Namespaces => self.namespaces.page,
            Pane::Connections => self.connections.page,
            Pane::Detail => self.scroll_page.saturating_sub(1),
        };
        let rows = isize::try_from(rows.max(1)).unwrap_or(1);
        self.go(if down { rows } else { -rows });
    }

    /// Moves by so many rows.
    pub(crate) fn go(&mut self, rows: isize) {
        let mut pane = self.pane;
        if pane == Pane::Findings && self.view.count() == 0 {
            // What is said instead of them may be longer than the screen.
            pane = Pane::Detail;
        }
        match pane {
            Pane::Findings => {
                let view = &self.view;
                let to = self.findings.away(rows);
                self.findings.select(to, |index| view.key(index));
                self.finding = view.finding(self.findings.selected);
                self.fix = None;
                self.scroll = 0;
                self.shown = Shown::Finding;
            }
            Pane::Namespaces => {
                let tree = self.view.tree();
                let to = self.namespaces.away(rows);
                self.namespaces
                    .select(to, |index| tree.get(index).map(|it| it.netns));
            }
            Pane::Connections => {
                let lines = self.view.connections();
                let to = self.connections.away(rows);
                self.connections
                    .select(to, |index| lines.get(index).map(|it| it.flow));
            }
            Pane::Detail => {
                self.scroll = self.scroll.saturating_add_signed(rows).min(self.scroll_end);
            }
        }
    }

    pub(crate) fn open(&mut self) {
        let shown = match self.pane {
            Pane::Findings => Shown::Finding,
            Pane::Namespaces => match self.view.tree().get(self.namespaces.selected) {
                Some(branch) => Shown::Netns(branch.netns),
                None => return,
            },
            Pane::Connections => match self.view.connections().get(self.connections.selected) {
                Some(line) => Shown::Connection(line.flow),
                None => return,
            },
            Pane::Detail => return,
        };
        self.origin = self.pane;
        self.show(shown);
        self.pane = Pane::Detail;
        self.lower = Pane::Detail;
    }

    fn show(&mut self, shown: Shown) {
        if self.shown != shown {
            self.shown = shown;
            self.scroll = 0;
        }
    }

    pub(crate) fn back(&mut self) {
        if self.pane == Pane::Detail {
            let to = self.origin;
            self.show(Shown::Finding);
            self.focus(to);
        } else {
            self.focus(Pane::Findings);
        }
    }

    pub(crate) fn focus(&mut self, pane: Pane) {
        if pane == Pane::Detail && self.pane != Pane::Detail {
            self.origin = self.pane;
            if self.pane == Pane::Findings {
                self.show(Shown::Finding);
            }
        }
        self.pane = pane;
        self.lower = if pane == Pane::Findings {
            Pane::Detail
        } else {
            pane
        };
        if pane == Pane::Findings {
            self.show(Shown::Finding);
        }
    }
}
