//! The whole analysis of a stream of events: the state, and when each finding was made.

use std::collections::HashMap;

use super::{
    assemble::{self, groups},
    finding::{Finding, Fix, Hop, Verdict},
    rules::Cause,
};
use crate::{
    correlate::State,
    event::{Event, EventKind},
    select::{Scope, Selected, Subject},
};

/// Takes in events and tells what they mean. Live tracing, recording and replaying all run this.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    state: State,
    /// Of what findings are made.
    scope: Scope,
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
    /// An analysis whose findings are about what is selected, from all that is known of it. It is
    /// made for one selection: when a finding was made, and what the network was like then, depends
    /// on which connections it is about.
    #[must_use]
    pub fn of(scope: Scope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }

    /// Selects something else from now on. What was found before stays found; what is new by it is made
    /// at the next tick.
    pub fn select(&mut self, mut scope: Scope) {
        scope.learn(&self.state.topology);
        self.scope = scope;
    }

    /// Takes in one event. Conclusions are drawn at each tick.
    pub fn apply(&mut self, event: &Event) {
        self.state.apply(event);
        match &event.kind {
            EventKind::Topology(topology) => self.scope.learn(topology),
            EventKind::Tick => self.note(),
            _ => {}
        }
    }

    fn note(&mut self) {
        let now = self.state.now_ns;
        for group in groups(&self.state, &self.scope) {
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
        assemble::findings(&self.state, &self.scope, |verdict, cause| {
            self.detected.get(&(verdict, cause.clone()))
        })
    }

    /// Whether an event that was taken in, or its connection, is selected; also if it is about the
    /// trace as a whole.
    #[must_use]
    pub fn includes(&self, event: &Event) -> bool {
        Subject::event(event, &self.state).is_none_or(|subject| self.scope.includes(&subject))
    }

    /// The selection.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The selection for a report, with the number of findings outside; `None` if it is everything.
    #[must_use]
    pub fn selected(&self) -> Option<Selected> {
        if self.scope.is_everything() {
            return None;
        }
        let all = groups(&self.state, &Scope::default()).len();
        self.scope
            .selected(all - groups(&self.state, &self.scope).len())
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
