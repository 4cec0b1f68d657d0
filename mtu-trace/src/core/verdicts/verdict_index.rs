//! What the table says of every connection, kept while connections change.
//!
//! Only those are asked about again that changed, or whose time has come: it costs what happens, not
//! what there is.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::core::select::{Scope, Subject};
use crate::core::track::{Connection, ConnectionId, Side, State};
use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::table::decide;
use crate::core::verdicts::trouble::Match;
use crate::model::finding::Verdict;

/// What a finding is about: a verdict and its cause.
pub type Key = (Verdict, Cause);

/// What makes one direction of a connection worse than another: that it goes on, that something was seen
/// of it, for how long, ns, and how many packets died.
type Rank = (bool, bool, u64, u64);

/// What the table says of every connection, and which of them share a cause.
#[derive(Clone, Debug, Default)]
pub struct VerdictIndex {
    /// Those of which something was lost or is waited for.
    connections: OrdMap<ConnectionId, Arc<ConnectionVerdicts>>,
    groups: OrdMap<Arc<Key>, Group>,
    /// When to ask again though nothing happens, ns.
    due: OrdSet<(u64, ConnectionId)>,
    /// What something was found for since that was last asked.
    news: BTreeSet<Arc<Key>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ConnectionVerdicts {
    /// Of its directions, by [`Side`].
    sides: [Option<SideVerdict>; 2],
    due_ns: Option<u64>,
}

impl ConnectionVerdicts {
    /// Keeps what was predicted of a connection that is closed: its namespace may be gone from the map.
    fn keep_predicted(&mut self, before: &Self) {
        for side in Side::BOTH {
            let predicted = |it: &&SideVerdict| it.found.trouble.predicted.is_some();
            if self.sides[side as usize].is_none()
                && let Some(before) = before.sides[side as usize].as_ref().filter(predicted)
            {
                let kept = self.sides[side as usize].insert(before.clone());
                kept.found.trouble.ongoing = false;
                kept.rank.0 = false;
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct SideVerdict {
    key: Arc<Key>,
    found: Match,
    rank: Rank,
    is_selected: bool,
}

/// Directions of connections that share a cause.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The connections that are selected, by direction.
    members: OrdSet<(ConnectionId, Side)>,
    by_rank: OrdSet<(Rank, ConnectionId, Side)>,
    by_start: OrdSet<(u64, ConnectionId, Side)>,
    /// Connections of which both directions are members.
    twice: usize,
    /// How many are not selected.
    others: usize,
}

impl Group {
    /// The first sign of it, ns.
    pub fn first_ns(&self) -> u64 {
        self.by_start
            .get_min()
            .map_or(0, |(first_ns, ..)| *first_ns)
    }

    /// The member it is worst for; `None` if none is selected.
    pub fn worst(&self) -> Option<(ConnectionId, Side)> {
        self.by_rank.get_max().map(|(_, id, side)| (*id, *side))
    }

    pub fn members(&self) -> impl Iterator<Item = (ConnectionId, Side)> {
        self.members.iter().copied()
    }

    pub fn connections(&self) -> usize {
        self.members.len() - self.twice
    }

    pub fn has_both(&self, id: ConnectionId) -> bool {
        Side::BOTH
            .iter()
            .all(|&side| self.members.contains(&(id, side)))
    }

    fn add(&mut self, id: ConnectionId, side: Side, it: &SideVerdict) {
        if !it.is_selected {
            self.others += 1;
            return;
        }
        self.twice += usize::from(self.members.contains(&(id, side.flip())));
        self.members.insert((id, side));
        self.by_rank.insert((it.rank, id, side));
        self.by_start.insert((it.found.trouble.first_ns, id, side));
    }

    fn take(&mut self, id: ConnectionId, side: Side, it: &SideVerdict) {
        if !it.is_selected {
            self.others -= 1;
            return;
        }
        self.members.remove(&(id, side));
        self.twice -= usize::from(self.members.contains(&(id, side.flip())));
        self.by_rank.remove(&(it.rank, id, side));
        self.by_start.remove(&(it.found.trouble.first_ns, id, side));
    }
}

impl VerdictIndex {
    /// Asks again about what has changed in the state or is due by now.
    pub fn refresh(&mut self, state: &mut State, scope: &Scope) {
        for id in state.take_touched() {
            self.ask(id, state, scope);
        }
        while let Some(&(due_ns, id)) = self.due.get_min()
            && due_ns <= state.now_ns
        {
            self.ask(id, state, scope);
        }
    }

    /// Asks again about everything: what the table sees has changed as a whole.
    pub fn ask_all(&mut self, state: &State, scope: &Scope) {
        let connections = self.connections.clone();
        for &id in connections.keys() {
            self.ask(id, state, scope);
        }
    }

    /// Asks again where the answer depends on which networks are connected, or on the map.
    pub fn ask_networks(&mut self, state: &State, scope: &Scope) {
        let ids = self.groups.iter().flat_map(|(key, group)| {
            let is_asked = |&(id, side): &(ConnectionId, Side)| match (key.0, &key.1) {
                (_, Cause::Peer(..) | Cause::Message(..)) => true,
                (Verdict::MtuBlackHole, Cause::Site(_)) => self.is_predicted(id, side),
                _ => false,
            };
            group.members().filter(is_asked).map(|(id, _)| id)
        });
        for id in ids.collect::<BTreeSet<ConnectionId>>() {
            self.ask(id, state, scope);
        }
    }

    /// Asks again about all of a verdict.
    pub fn ask_verdict(&mut self, verdict: Verdict, state: &State, scope: &Scope) {
        let groups = self.groups.iter().filter(|(key, _)| key.0 == verdict);
        let ids = groups.flat_map(|(_, group)| group.members().map(|(id, _)| id));
        for id in ids.collect::<BTreeSet<ConnectionId>>() {
            self.ask(id, state, scope);
        }
    }

    /// What something was found for since this was last asked.
    pub fn take_news(&mut self) -> BTreeSet<Arc<Key>> {
        std::mem::take(&mut self.news)
    }

    fn ask(&mut self, id: ConnectionId, state: &State, scope: &Scope) {
        let before = self.connections.get(&id).cloned();
        let mut now = judge(id, state, scope);
        if let (Some(before), Some(now)) = (&before, &mut now)
            && state.get(id).is_some_and(Connection::is_closed)
        {
            now.keep_predicted(before);
        }
        let due = |it: &ConnectionVerdicts| Some((it.due_ns?, id));
        if let Some(due) = before.as_deref().and_then(due) {
            self.due.remove(&due);
        }
        if let Some(due) = now.as_ref().and_then(due) {
            self.due.insert(due);
        }
        for side in Side::BOTH {
            let old = before
                .as_deref()
                .and_then(|it| it.sides[side as usize].as_ref());
            let new = now.as_ref().and_then(|it| it.sides[side as usize].as_ref());
            if old == new {
                continue;
            }
            if let Some(old) = old {
                self.leave(id, side, old);
            }
            if let Some(new) = new {
                let group = self.groups.entry(Arc::clone(&new.key)).or_default();
                group.add(id, side, new);
                self.news.insert(Arc::clone(&new.key));
            }
        }
        match now {
            Some(now) => self.connections.insert(id, Arc::new(now)),
            None => self.connections.remove(&id),
        };
    }

    fn leave(&mut self, id: ConnectionId, side: Side, old: &SideVerdict) {
        if let Some(group) = self.groups.get_mut(&old.key) {
            group.take(id, side, old);
            if group.members.is_empty() && group.others == 0 {
                self.groups.remove(&old.key);
            }
        }
    }

    fn is_predicted(&self, id: ConnectionId, side: Side) -> bool {
        self.found(id, side)
            .is_some_and(|it| it.trouble.predicted.is_some())
    }

    /// What is found, with the connections that are selected.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<Key>, &Group)> {
        let selected = |(_, group): &(_, &Group)| !group.members.is_empty();
        self.groups.iter().filter(selected)
    }

    /// What is found of one cause; `None` if nothing selected has it.
    pub fn group(&self, key: &Key) -> Option<&Group> {
        self.groups
            .get(key)
            .filter(|group| !group.members.is_empty())
    }

    /// How much is found of which nothing is selected.
    pub fn hidden(&self) -> usize {
        self.groups.len() - self.groups().count()
    }

    /// What the table says of one direction of a connection.
    pub fn found(&self, id: ConnectionId, side: Side) -> Option<&Match> {
        let verdict = self.connections.get(&id)?.sides[side as usize].as_ref()?;
        Some(&verdict.found)
    }
}

/// Asks about one connection; `None` if nothing of it was lost or is waited for.
fn judge(id: ConnectionId, state: &State, scope: &Scope) -> Option<ConnectionVerdicts> {
    let connection = state.get(id)?;
    let mut verdicts = ConnectionVerdicts::default();
    let mut any = false;
    for side in Side::BOTH {
        let Some(facts) = TrackFacts::of(state, connection, side) else {
            continue;
        };
        any = true;
        verdicts.sides[side as usize] = decide(&facts).map(|found| SideVerdict {
            rank: rank(&facts, &found),
            is_selected: is_selected(&facts, &found, scope),
            key: Arc::new((found.verdict, found.trouble.cause.clone())),
            found,
        });
        verdicts.due_ns = verdicts.due_ns.into_iter().chain(facts.due_ns()).min();
    }
    any.then_some(verdicts)
}

fn rank(facts: &TrackFacts<'_>, found: &Match) -> Rank {
    // What can be seen at any moment lasts the longer the earlier it began.
    let until_ns = found.trouble.last_ns.unwrap_or(u64::MAX);
    (
        found.trouble.ongoing,
        found.trouble.predicted.is_none(),
        until_ns.saturating_sub(found.trouble.first_ns),
        facts.track.oversized_drops(),
    )
}

/// Whether a direction of a connection is selected: by the connection, or by the place that its
/// finding names besides.
fn is_selected(facts: &TrackFacts<'_>, found: &Match, scope: &Scope) -> bool {
    if scope.is_everything() {
        return true;
    }
    let mut subject = Subject::connection(facts.connection, facts.side);
    let cause = &found.trouble.cause;
    if let Some(netns) = cause.netns() {
        subject.places.insert(netns);
    }
    if let (Cause::Message(..), Some(predicted)) = (cause, &found.trouble.predicted) {
        subject.places.insert(predicted.boundary.netns.id());
    }
    scope.includes(&subject)
}
