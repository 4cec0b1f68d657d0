//! The whole analysis of a stream of events: the state, and when each finding was made.

use std::sync::Arc;

use imbl::{HashMap, Vector};

use crate::core::select::{Scope, Selected, Subject};
use crate::core::track::State;
use crate::core::verdicts::assemble;
use crate::core::verdicts::current::Current;
use crate::core::verdicts::verdict_index::{Key, VerdictIndex};
use crate::model::event::{Event, EventKind};
use crate::model::finding::{Finding, Fix, ReportedHop, Severity, Verdict};

/// Takes in events and tells what they mean. Live tracing, recording and replaying all run this. A
/// copy shares what does not change after it.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    state: State,
    /// The selection of which findings are made.
    scope: Scope,
    index: VerdictIndex,
    detected: HashMap<Arc<Key>, Arc<Detected>>,
    made: Vector<Made>,
}

/// That a finding was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// When it was made, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// What was concluded then.
    pub verdict: Verdict,
    /// How bad it was then.
    pub severity: Severity,
}

/// A finding as it was made.
#[derive(Clone, Debug)]
pub(crate) struct Detected {
    /// When it was made, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// The way and the fixes as the network was then: a container may be gone, with its links, by
    /// the time of the report.
    pub path: Vec<ReportedHop>,
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
        self.index.ask_all(&self.state, &self.scope);
    }

    /// Takes in one event. Conclusions are drawn at each tick.
    pub fn apply(&mut self, event: &Event) {
        self.state.apply(event);
        match &event.kind {
            EventKind::Topology(topology) => {
                self.scope.learn(topology);
                // What is selected may lie elsewhere now, and so may what a message tells of.
                if self.scope.is_everything() {
                    self.index.ask_networks(&self.state, &self.scope);
                } else {
                    self.index.ask_all(&self.state, &self.scope);
                }
            }
            EventKind::Blind(_) => self.index.ask_all(&self.state, &self.scope),
            EventKind::Tick => self.note(),
            _ => {}
        }
    }

    fn note(&mut self) {
        self.index.refresh(&mut self.state, &self.scope);
        for key in self.index.take_news() {
            let Some(group) = self.index.group(&key) else {
                continue;
            };
            let known = self.detected.get(&key);
            // What was found there before is over if this began later: it is another one.
            if known.is_some_and(|known| known.at_ns >= group.first_ns()) {
                continue;
            }
            let Some(finding) = assemble::finding(&self.state, &self.index, &key, None) else {
                continue;
            };
            self.made.push_back(Made {
                at_ns: self.state.now_ns,
                verdict: finding.verdict,
                severity: finding.severity,
            });
            let detected = Detected {
                at_ns: self.state.now_ns,
                path: finding.path,
                fixes: finding.fixes,
            };
            self.detected.insert(key, Arc::new(detected));
        }
    }

    /// The findings that stand now, worst first, each to be put together when it is asked for.
    #[must_use]
    pub fn current(&self) -> Current {
        let mut now = self.clone();
        now.index.refresh(&mut now.state, &now.scope);
        Current::new(now)
    }

    /// The findings that stand now, worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let current = self.current();
        (0..current.heads().len())
            .filter_map(|index| current.finding(index))
            .collect()
    }

    /// How one of them was made.
    pub(crate) fn how(&self, key: &Key) -> Option<&Detected> {
        self.detected.get(key).map(|detected| &**detected)
    }

    pub(crate) fn index(&self) -> &VerdictIndex {
        &self.index
    }

    /// Whether an event that was taken in, or its connection, is selected; also if it is about the
    /// trace as a whole.
    #[must_use]
    pub fn includes(&self, event: &Event) -> bool {
        Subject::event(event, &self.state).is_none_or(|subject| self.scope.includes(&subject))
    }

    /// The selection of which findings are made.
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
        self.scope.selected(self.current().hidden())
    }

    /// How many findings were ever made.
    #[must_use]
    pub fn detected(&self) -> usize {
        self.made.len()
    }

    /// All that were ever made, in the order of their making.
    #[must_use]
    pub fn made(&self) -> &Vector<Made> {
        &self.made
    }

    /// What a reader of the findings should know besides, in sentences.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let forgotten = self.state.forgotten;
        let note = format!(
            "{forgotten} connections had to be forgotten, so that memory stays bounded: findings may \
             count too few, or be missing."
        );
        let forgotten = (forgotten > 0).then_some(note);
        self.state.limits.iter().cloned().chain(forgotten).collect()
    }

    /// What the findings are drawn from.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}
