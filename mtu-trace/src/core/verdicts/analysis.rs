//! The whole analysis of a stream of events: the state, and when each finding was made.

use std::cmp::Reverse;
use std::sync::Arc;

use imbl::{HashMap, Vector};

use crate::core::select::{Scope, Selected, Subject};
use crate::core::track::State;
use crate::core::verdicts::assemble::{self, sureness};
use crate::core::verdicts::verdict_index::{Key, VerdictIndex};
use crate::model::event::{Event, EventKind};
use crate::model::finding::{Confidence, Finding, Severity, Verdict};

/// Takes in events and tells what they mean. Live tracing, recording and replaying all run this. A
/// copy shares what does not change after it.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    state: State,
    /// The selection of which findings are made.
    scope: Scope,
    index: VerdictIndex,
    /// The findings as they were made, in the network as it was then.
    detected: HashMap<Arc<Key>, Arc<Finding>>,
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
            if known.is_some_and(|known| known.detected_at_ns >= group.first_ns()) {
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
            self.detected.insert(key, Arc::new(finding));
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
        let positions = 0..current.heads.len();
        positions.filter_map(|it| current.finding(it)).collect()
    }

    fn finding(&self, key: &Key) -> Option<Finding> {
        let detected = self.detected.get(key).map(|it| &**it);
        assemble::finding(&self.state, &self.index, key, detected)
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

    /// All that were ever made, in the order of their making.
    #[must_use]
    pub fn made(&self) -> &Vector<Made> {
        &self.made
    }

    /// What a reader of the findings should know besides, in sentences.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.state.limits.to_vec();
        if self.state.forgotten > 0 {
            notes.push(format!(
                "{} connections had to be forgotten, so that memory stays bounded: findings may \
                 count too few, or be missing.",
                self.state.forgotten
            ));
        }
        notes
    }

    /// What the findings are drawn from.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// The findings that stand at one moment, worst first. To list them is cheap; each is put together
/// when it is asked for.
#[derive(Clone, Debug)]
pub struct Current {
    analysis: Analysis,
    /// All of them, in their order.
    pub heads: Vec<FindingHead>,
}

/// What the order of findings rests on.
#[derive(Clone, Debug)]
pub struct FindingHead {
    /// What it is about, at this moment and at any other.
    pub key: Arc<Key>,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is by now.
    pub confidence: Confidence,
    /// Whether it still goes on.
    pub ongoing: bool,
    /// How many connections share the cause.
    pub connections: usize,
    /// The first sign of it, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
}

impl Current {
    /// Of an analysis in which everything has been asked that had to be.
    pub(crate) fn new(analysis: Analysis) -> Self {
        let groups = analysis.index.groups().filter_map(|(key, group)| {
            let (id, side) = group.worst()?;
            let found = analysis.index.found(id, side)?;
            Some(FindingHead {
                key: Arc::clone(key),
                severity: found.severity,
                confidence: sureness(&analysis.state, found),
                ongoing: found.trouble.ongoing,
                connections: group.connections(),
                first_ns: group.first_ns(),
            })
        });
        let mut heads: Vec<FindingHead> = groups.collect();
        heads.sort_by_key(|head| {
            let sure = (head.severity, head.confidence, head.ongoing);
            (Reverse((sure, head.connections)), head.first_ns)
        });
        Self { analysis, heads }
    }

    /// One of them by its position, as a report has it.
    #[must_use]
    pub fn finding(&self, position: usize) -> Option<Finding> {
        let finding = self.analysis.finding(&self.heads.get(position)?.key)?;
        let id = format!("F{}", position + 1);
        Some(Finding { id, ..finding })
    }

    /// How many are outside of the selection.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.analysis.index.hidden()
    }
}
