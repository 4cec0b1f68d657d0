//! The whole analysis of a stream of events: the state, and when each finding was made.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    assemble,
    finding::{Finding, Verdict},
    rules::Cause,
};
use crate::{
    correlate::State,
    event::{Event, EventKind},
};

/// Takes in events and tells what they mean. Live tracing, recording and replaying all run this.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    state: State,
    detected: HashMap<(Verdict, Cause), u64>,
    made: usize,
}

impl Analysis {
    /// Takes in one event. Conclusions are drawn at each tick.
    pub fn apply(&mut self, event: &Event) {
        self.state.apply(event);
        if matches!(event.kind, EventKind::Tick) {
            self.note();
        }
    }

    fn note(&mut self) {
        let now = self.state.now_ns;
        for group in assemble::groups(&self.state) {
            let first_ns = group.first_ns();
            match self.detected.entry((group.verdict, group.cause)) {
                // What was found there before is over, and this began later: it is another one.
                Entry::Occupied(mut entry) if *entry.get() < first_ns => {
                    entry.insert(now);
                    self.made += 1;
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(entry) => {
                    entry.insert(now);
                    self.made += 1;
                }
            }
        }
    }

    /// The findings that stand now, worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        assemble::findings(&self.state, |verdict, cause| {
            self.detected
                .get(&(verdict, cause.clone()))
                .copied()
                .unwrap_or(self.state.now_ns)
        })
    }

    /// How many findings were ever made.
    #[must_use]
    pub fn detected(&self) -> usize {
        self.made
    }

    /// What the findings are drawn from.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}
