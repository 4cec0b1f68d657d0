//! Moving: through lists and text, from pane to pane, into what is shown in full, and through a capture.

use crate::show::replay::PlayStep;
use crate::show::tui::app::{App, Effect, Shown};
use crate::show::tui::keys::Action;
use crate::show::tui::panes::{Pane, detail};

/// A seek goes so far, as a part of the capture.
const SEEK_PART: u64 = 20;
/// The speeds there are.
const SPEEDS: [f64; 10] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The rows that an action moves by, where a page has so many; `None` if it does not move.
pub(crate) fn rows(action: Action, page: usize) -> Option<isize> {
    let page = isize::try_from(page.max(1)).unwrap_or(1);
    match action {
        Action::Up => Some(-1),
        Action::Down => Some(1),
        Action::PageUp => Some(-page),
        Action::PageDown => Some(page),
        Action::First => Some(isize::MIN),
        Action::Last => Some(isize::MAX),
        _ => None,
    }
}

impl App {
    /// The rows that a page key moves by.
    pub(crate) fn page(&self) -> usize {
        if self.reads_what_is_watched() {
            self.scroll.page
        } else {
            (self.pane.definition().page)(self)
        }
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
        self.findings.go(rows, |index| view.key(index));
        self.finding = view.finding(self.findings.selected);
        self.fix = None;
        self.scroll.first = 0;
        self.shown = Shown::Finding;
    }

    pub(crate) fn open(&mut self) {
        if let Some(shown) = (self.pane.definition().opens)(self) {
            self.origin = self.pane;
            self.show(shown);
            self.pane = Pane::DETAIL;
            self.lower = Pane::DETAIL;
        }
    }

    fn show(&mut self, shown: Shown) {
        if self.shown != shown {
            self.shown = shown;
            self.scroll.first = 0;
        }
    }

    pub(crate) fn back(&mut self) {
        if self.pane == Pane::DETAIL {
            self.show(Shown::Finding);
            self.focus(self.origin);
        } else {
            self.focus(Pane::FINDINGS);
        }
    }

    pub(crate) fn focus(&mut self, pane: Pane) {
        let before = std::mem::replace(&mut self.pane, pane);
        let enters_detail = pane == Pane::DETAIL && before != Pane::DETAIL;
        if enters_detail {
            self.origin = before;
        }
        if pane == Pane::FINDINGS || (enters_detail && before == Pane::FINDINGS) {
            self.show(Shown::Finding);
        }
        self.lower = if pane == Pane::FINDINGS {
            Pane::DETAIL
        } else {
            pane
        };
    }

    /// Plays a capture, or goes elsewhere in it.
    pub(crate) fn play(&mut self, action: Action) -> Option<Effect> {
        let (start, end) = self.playing.span;
        let part = ((end - start.min(end)) / SEEK_PART).max(1);
        let seek = |to_ns| Some(Effect::Seek(to_ns));
        match action {
            Action::Play => {
                let at_end = self.now_ns >= end;
                self.playing.running = !self.playing.running;
                // What has come to its end begins again.
                (self.playing.running && at_end).then_some(Effect::Seek(start))
            }
            Action::Slower => self.speed(-1),
            Action::Faster => self.speed(1),
            Action::Seek(PlayStep::Back) => seek(self.now_ns.saturating_sub(part).max(start)),
            Action::Seek(PlayStep::Forward) => seek((self.now_ns + part).min(end)),
            Action::ToStart => seek(start),
            // Wherever that turns out to be.
            Action::ToEnd => seek(u64::MAX),
            Action::StepEvent(step) => self.stop_and(Effect::StepEvent(step)),
            Action::StepFinding(step) => self.stop_and(Effect::StepFinding(step)),
            _ => None,
        }
    }

    fn stop_and(&mut self, effect: Effect) -> Option<Effect> {
        self.playing.running = false;
        Some(effect)
    }

    fn speed(&mut self, by: isize) -> Option<Effect> {
        let now = SPEEDS.iter().position(|&speed| speed >= self.playing.speed);
        let next = now.unwrap_or(0).saturating_add_signed(by);
        self.playing.speed = SPEEDS[next.min(SPEEDS.len() - 1)];
        None
    }
}
