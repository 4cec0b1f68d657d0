//! The connections that are open, to be told again at the start of a part.

use std::collections::{BTreeMap, HashMap};

use crate::model::event::{Event, EventKind, Flow};

/// Connections told again at most; the oldest go first.
const MOST: usize = 20_000;

/// The latest event of each connection that is open.
#[derive(Debug, Default)]
pub struct OpenSockets {
    by_age: BTreeMap<u64, Event>,
    ages: HashMap<Flow, u64>,
    next: u64,
}

impl OpenSockets {
    /// Takes in an event.
    pub fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Connection(socket) => {
                self.forget(&socket.flow);
                if self.by_age.len() >= MOST
                    && let Some((_, oldest)) = self.by_age.pop_first()
                    && let EventKind::Connection(socket) = &oldest.kind
                {
                    self.ages.remove(&socket.flow);
                }
                self.ages.insert(socket.flow, self.next);
                self.by_age.insert(self.next, event.clone());
                self.next += 1;
            }
            EventKind::Closed(closed) => self.forget(&closed.flow),
            _ => {}
        }
    }

    fn forget(&mut self, flow: &Flow) {
        if let Some(age) = self.ages.remove(flow) {
            self.by_age.remove(&age);
        }
    }

    /// Them, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.by_age.values()
    }
}
