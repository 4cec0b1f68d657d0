//! Moving: through lists and text, from pane to pane, and into what is shown in full.

use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, detail};

impl App {
    /// The rows that a page key moves by.
    pub(crate) fn page(&self) -> isize {
        let rows = if self.reads_what_is_watched() {
            self.scroll_page
        } else {
            (self.pane.definition().page)(self)
        };
        isize::try_from(rows.max(1)).unwrap_or(1)
    }

    /// Moves by so many rows.
    pub(crate) fn go(&mut self, rows: isize) {
        if self.reads_what_is_watched() {
            detail::go(self, rows);
        } else {
            (self.pane.definition().go)(self, rows);
        }
    }

    /// Whether the keys move through what is said instead of findings, which may be longer than the
    /// screen.
    fn reads_what_is_watched(&self) -> bool {
        self.pane == Pane::FINDINGS && self.view.count() == 0
    }

    /// Moves through the findings by so many rows.
    pub(crate) fn go_in_findings(&mut self, rows: isize) {
        let view = &self.view;
        let to = self.findings.away(rows);
        self.findings.select(to, |index| view.key(index));
        self.finding = view.finding(self.findings.selected);
        self.fix = None;
        self.scroll = 0;
        self.shown = Shown::Finding;
    }

    pub(crate) fn open(&mut self) {
        let Some(shown) = (self.pane.definition().opens)(self) else {
            return;
        };
        self.origin = self.pane;
        self.show(shown);
        self.pane = Pane::DETAIL;
        self.lower = Pane::DETAIL;
    }

    fn show(&mut self, shown: Shown) {
        if self.shown != shown {
            self.shown = shown;
            self.scroll = 0;
        }
    }

    pub(crate) fn back(&mut self) {
        if self.pane == Pane::DETAIL {
            let to = self.origin;
            self.show(Shown::Finding);
            self.focus(to);
        } else {
            self.focus(Pane::FINDINGS);
        }
    }

    pub(crate) fn focus(&mut self, pane: Pane) {
        if pane == Pane::DETAIL && self.pane != Pane::DETAIL {
            self.origin = self.pane;
            if self.pane == Pane::FINDINGS {
                self.show(Shown::Finding);
            }
        }
        self.pane = pane;
        self.lower = if pane == Pane::FINDINGS {
            Pane::DETAIL
        } else {
            pane
        };
        if pane == Pane::FINDINGS {
            self.show(Shown::Finding);
        }
    }
}
