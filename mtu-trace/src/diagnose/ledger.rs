//! The whole analysis of a stream of events: the state, and when each finding was made.

use std::collections::HashMap;

use super::{
    assemble,
    finding::{Finding, Fix, Hop, Verdict},
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
    detected: HashMap<(Verdict, Cause), Detected>,
    made: usize,
}

/// A finding as it was made.
#[derive(Clone, Debug)]
pub(super) struct Detected {
    /// When, ns.
    pub at_ns: u64,
    /// The way and the fixes as the network was then: a container may be gone, with its links, by
    /// the time of the report.
    pub path: Vec<Hop>,
    pub fixes: Vec<Fix>,
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
            let key = (group.verdict, group.cause.clone());
            let known = self.detected.get(&key);
            // What was found there before is over if this began later: it is another one.
            if known.is_some_and(|known| known.at_ns >= group.first_ns()) {
                continue;
            }
            let Some(finding) = assemble::finding(&self.state, &group, None) else {
                continue;
            };
            self.made += 1;
            self.detected.insert(
                key,
                Detected {
                    at_ns: now,
                    path: finding.path,
                    fixes: finding.fixes,
                },
            );
        }
    }

    /// The findings that stand now, worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        assemble::findings(&self.state, |verdict, cause| {
            self.detected.get(&(verdict, cause.clone()))
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
