//! What the screens show, as the events make it: the analysis, and beside it what only a screen needs.
//!
//! Pure: no clock and no I/O, so that a replayed moment looks as the live one did. Everything here is
//! bounded, and cheap to clone beside what it holds: a replay keeps copies to go back to.

pub(crate) mod history;
pub(crate) mod journal;

use crate::core::select::Scope;
use crate::core::verdicts::Analysis;
use crate::model::event::{Event, EventKind};
pub use crate::show::watch::history::History;
pub use crate::show::watch::journal::{Journal, JournalEntry};

/// All that was seen so far, ready to be shown.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    analysis: Analysis,
    history: History,
    journal: Journal,
    /// Changes with everything that may look different.
    version: u64,
}

impl Watch {
    /// One whose findings are about what is selected.
    #[must_use]
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

    /// What the events seen so far amount to.
    #[must_use]
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Drops and stalls over time.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What happened to each flow.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Time of the latest event, ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.analysis.state().now_ns
    }

    /// A number that is another one whenever something other than the time has changed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}
