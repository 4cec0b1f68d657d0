//! What the screens show, as the events make it: the analysis, and beside it what only a screen needs.
//!
//! Pure: no clock and no I/O, so that a replayed moment looks as the live one did. Everything here is
//! bounded, and cheap to clone beside what it holds: a replay keeps copies to go back to.

pub(crate) mod history;
pub(crate) mod journal;

use crate::core::select::Scope;
use crate::core::verdicts::Analysis;
use crate::model::event::{Event, EventKind};
use crate::show::watch::history::History;
use crate::show::watch::journal::Journal;
pub(crate) use crate::show::watch::journal::{JournalEntry, flows};

/// All that was seen so far, ready to be shown.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// What the events seen so far amount to.
    pub analysis: Analysis,
    /// Drops and stalls over time.
    pub(crate) history: History,
    /// What happened to each flow.
    pub(crate) journal: Journal,
    /// Changes with everything that may look different, but not with the time alone.
    pub(crate) version: u64,
}

impl Watch {
    /// One whose findings are about what is selected.
    pub fn of(scope: Scope) -> Self {
        Self {
            analysis: Analysis::of(scope),
            ..Self::default()
        }
    }

    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        let made = self.analysis.made().len();
        self.analysis.apply(event);
        self.history.apply(event);
        self.journal.apply(event);
        if !matches!(event.kind, EventKind::Tick) || self.analysis.made().len() != made {
            self.version += 1;
        }
    }

    /// Selects something else. Findings that are new by it are made at the next tick.
    pub fn select(&mut self, scope: Scope) {
        self.analysis.select(scope);
        self.version += 1;
    }

    /// Time of the latest event, ns of `CLOCK_MONOTONIC`.
    pub fn now_ns(&self) -> u64 {
        self.analysis.state().now_ns
    }
}
