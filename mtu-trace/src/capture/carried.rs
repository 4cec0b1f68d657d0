//! What a part tells again of those before it, so that it can be read alone.

use std::collections::{BTreeMap, HashMap};

use crate::model::event::{Event, EventKind, Flow};

/// The most connections that are told again; the oldest go first. A choice: a part's opening has at
/// most two megabytes of them.
const MAX_CONNECTIONS: usize = 20_000;

/// The events that the start of another part tells again.
#[derive(Debug, Default)]
pub struct Carried {
    /// The network and what is not seen of it: the latest event of each kind, in the order of
    /// [`state_of`].
    state: [Option<Event>; 4],
    open: OpenConnections,
}

/// The latest event of each connection that is open.
#[derive(Debug, Default)]
struct OpenConnections {
    by_age: BTreeMap<u64, Event>,
    ages: HashMap<Flow, u64>,
    next_age: u64,
}

/// Where the latest event of a kind is kept; `None` if it is not told again for itself.
fn state_of(kind: &EventKind) -> Option<usize> {
    match kind {
        EventKind::Topology(_) => Some(0),
        EventKind::Blind(_) => Some(1),
        EventKind::Limited(_) => Some(2),
        EventKind::Lost(_) => Some(3),
        _ => None,
    }
}

impl Carried {
    /// Takes in an event.
    pub fn note(&mut self, event: &Event) {
        if let Some(place) = state_of(&event.kind) {
            self.state[place] = Some(event.clone());
        }
        match &event.kind {
            EventKind::Connection(socket) => self.open.open(socket.flow, event),
            EventKind::Closed(closed) => self.open.close(&closed.flow),
            _ => {}
        }
    }

    /// The events in the order in which they are told again: the network first, then what is not
    /// seen, then the connections, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.state.iter().flatten().chain(self.open.by_age.values())
    }
}

impl OpenConnections {
    fn open(&mut self, flow: Flow, event: &Event) {
        self.close(&flow);
        if self.by_age.len() >= MAX_CONNECTIONS
            && let Some((_, oldest)) = self.by_age.pop_first()
            && let EventKind::Connection(socket) = &oldest.kind
        {
            self.ages.remove(&socket.flow);
        }
        self.ages.insert(flow, self.next_age);
        self.by_age.insert(self.next_age, event.clone());
        self.next_age += 1;
    }

    fn close(&mut self, flow: &Flow) {
        if let Some(age) = self.ages.remove(flow) {
            self.by_age.remove(&age);
        }
    }
}
