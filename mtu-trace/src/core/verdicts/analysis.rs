//! The whole analysis of a stream of events: the state, and when each finding was made.

use std::cmp::Reverse;
use std::sync::Arc;

use imbl::{HashMap, Vector};

use crate::core::select::{Scope, Selected, Subject};
use crate::core::track::{Connection, State, Track};
use crate::core::verdicts::evidence::evidence;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::local_end::LocalEnd;
use crate::core::verdicts::sentence::Telling;
use crate::core::verdicts::table::entry;
use crate::core::verdicts::trouble::Match;
use crate::core::verdicts::verdict_index::{Key, VerdictIndex};
use crate::core::verdicts::worst::Worst;
use crate::model::event::{Event, EventKind};
use crate::model::finding::{Confidence, Direction, Finding, Severity, Verdict};

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
    pub verdict: Verdict,
    pub severity: Severity,
}

impl Analysis {
    /// An analysis whose findings are about what is selected, from all that is known of it. It is
    /// made for one selection: when a finding was made, and what the network was like then, depends
    /// on which connections it is about.
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
            // That nothing is dropped cannot be said any more.
            EventKind::Lost(_) | EventKind::Evicted(_) => {
                let denied = Verdict::RemoteBlackHole;
                self.index.ask_verdict(denied, &self.state, &self.scope);
            }
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
            let Some(finding) = self.finding(&key, None) else {
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
    pub fn current(&self) -> Current {
        let mut now = self.clone();
        now.index.refresh(&mut now.state, &now.scope);
        Current::new(now)
    }

    /// The findings that stand now, worst first.
    pub fn findings(&self) -> Vec<Finding> {
        let current = self.current();
        let positions = 0..current.heads.len();
        positions.filter_map(|it| current.finding(it)).collect()
    }

    /// The finding of one cause; `detected` is the finding as it was made, if it was before. `None`
    /// where nothing that is selected has this cause.
    fn finding(&self, key: &Key, detected: Option<&Finding>) -> Option<Finding> {
        let Self { state, index, .. } = self;
        let topology = &state.topology;
        let group = index.group(key)?;
        let (id, side) = group.worst()?;
        let connection = state.get(id)?;
        let found = index.found(id, side)?;
        let (trouble, own) = (&found.trouble, connection.track(side));
        let members = || group.members();
        let mut tracks = members().filter_map(|(id, side)| Some(state.get(id)?.track(side)));
        let blocked = |track: &&Track| !track.icmp.blocked.is_empty();
        let worst = Worst {
            facts: TrackFacts::of(state, connection, side)?,
            trouble,
            local: LocalEnd::of(connection, topology)?,
            told: Some(own)
                .filter(blocked)
                .or_else(|| tracks.find(blocked))
                .unwrap_or(own),
        };
        let seen = members().filter_map(|(id, side)| {
            let found = index.found(id, side)?;
            Some(found.trouble.last_ns.unwrap_or(state.now_ns))
        });
        let direction = if group.has_both(id) {
            Direction::Both
        } else {
            worst.local.direction(side)
        };
        let entry = entry(key.0);
        let mut finding = Finding {
            id: String::new(),
            verdict: key.0,
            severity: found.severity,
            confidence: self.sureness(found, connection),
            summary: String::new(),
            ongoing: trouble.ongoing,
            first_seen_ns: group.first_ns(),
            detected_at_ns: detected.map_or(state.now_ns, |detected| detected.detected_at_ns),
            last_seen_ns: seen.max()?,
            connections: group.connections(),
            connection: Some(worst.local.show(connection, direction, topology)),
            boundary: worst.boundary(),
            pmtud: worst.pmtud(),
            drop: worst.reported_drop(),
            evidence: evidence(&worst.facts, trouble),
            path: worst.path(),
            fixes: (entry.fixes)(&worst),
        };
        // A container may be gone by now, with its links.
        if let Some(detected) = detected {
            if detected.path.len() > finding.path.len() {
                finding.path.clone_from(&detected.path);
            }
            if detected.fixes.len() > finding.fixes.len() {
                finding.fixes.clone_from(&detected.fixes);
            }
        }
        let telling = Telling::of(&finding, worst.dropped(), worst.held_up())?;
        finding.summary = (entry.sentence)(&telling);
        Some(finding)
    }

    /// How sure a conclusion is by now: less so where records of our own were lost, or something of the
    /// connection may have been forgotten, because something may have been missed.
    fn sureness(&self, found: &Match, connection: &Connection) -> Confidence {
        match self.state.lost {
            0 if !self.state.may_lack_state(connection) => found.confidence,
            _ => found.confidence.lowered(),
        }
    }

    /// Whether an event that was taken in, or its connection, is selected; also if it is about the
    /// trace as a whole.
    pub fn includes(&self, event: &Event) -> bool {
        Subject::event(event, &self.state).is_none_or(|subject| self.scope.includes(&subject))
    }

    /// The selection of which findings are made.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The selection for a report, with the number of findings outside; `None` if it is everything.
    pub fn selected(&self) -> Option<Selected> {
        if self.scope.is_everything() {
            return None;
        }
        self.scope.selected(self.current().hidden())
    }

    /// All that were ever made, in the order of their making.
    pub fn made(&self) -> &Vector<Made> {
        &self.made
    }

    /// What a reader of the findings should know besides, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.state.limits.to_vec();
        notes.extend(self.state.evictions.sentences());
        notes
    }

    /// What the findings are drawn from.
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

/// What a list of findings needs to know of one.
#[derive(Clone, Debug)]
pub struct FindingHead {
    pub key: Arc<Key>,
    pub severity: Severity,
    /// The first sign of it, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
}

impl Current {
    /// Of an analysis in which everything has been asked that had to be.
    pub(crate) fn new(analysis: Analysis) -> Self {
        let groups = analysis.index.groups().filter_map(|(key, group)| {
            let (id, side) = group.worst()?;
            let found = analysis.index.found(id, side)?;
            let (severity, sure) = (
                found.severity,
                analysis.sureness(found, analysis.state.get(id)?),
            );
            let (ongoing, first_ns) = (found.trouble.ongoing, group.first_ns());
            let rank = (severity, sure, ongoing, group.connections());
            let key = Arc::clone(key);
            Some((
                rank,
                FindingHead {
                    key,
                    severity,
                    first_ns,
                },
            ))
        });
        let mut ranked: Vec<_> = groups.collect();
        ranked.sort_by_key(|(rank, head)| (Reverse(*rank), head.first_ns));
        let heads = ranked.into_iter().map(|(_, head)| head).collect();
        Self { analysis, heads }
    }

    /// One of them by its position, as a report has it.
    pub fn finding(&self, position: usize) -> Option<Finding> {
        let key = &self.heads.get(position)?.key;
        let detected = self.analysis.detected.get(key);
        let finding = self.analysis.finding(key, detected.map(|it| &**it))?;
        let id = format!("F{}", position + 1);
        Some(Finding { id, ..finding })
    }

    /// How many are outside of the selection.
    pub fn hidden(&self) -> usize {
        self.analysis.index.hidden()
    }
}
