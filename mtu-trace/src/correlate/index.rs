//! Finds the connections that a packet or a socket may be of without going through all of them.
//!
//! An index proposes; [`super::join`] decides. It proposes every connection that can be accepted there.

use std::{collections::BTreeSet, hash::Hash, net::SocketAddr};

use imbl::OrdSet;
use smallvec::SmallVec;

use super::{
    join::{WINDOW_REQUESTS, WINDOW_STRANGER},
    state::{ConnectionId, HashMap},
};
use crate::event::Flow;

/// Connections by their addresses and by sequence numbers known of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    numbers: OrdSet<(u32, ConnectionId)>,
    tuples: HashMap<Tuple, Few>,
    halves: HashMap<Half, Few>,
}

/// Connections that have something in common, most often one alone.
type Few = SmallVec<[ConnectionId; 2]>;

/// Both ends of a flow in either direction: protocol, lower address, higher one.
type Tuple = (u8, SocketAddr, SocketAddr);

/// One end of a flow, and the port of the other: what a NAT leaves of it.
type Half = (u8, SocketAddr, u16);

impl Index {
    /// Makes a connection known by a flow and by sequence numbers.
    pub fn insert(&mut self, id: ConnectionId, flow: &Flow, numbers: impl Iterator<Item = u32>) {
        self.numbers.extend(numbers.map(|number| (number, id)));
        add(&mut self.tuples, tuple(flow), id);
        for half in halves(flow) {
            add(&mut self.halves, half, id);
        }
    }

    /// Forgets it under that flow and those numbers.
    pub fn remove(&mut self, id: ConnectionId, flow: &Flow, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            self.numbers.remove(&(number, id));
        }
        forget(&mut self.tuples, &tuple(flow), id);
        for half in halves(flow) {
            forget(&mut self.halves, &half, id);
        }
    }

    /// Those whose addresses may fit a flow, in either direction.
    pub fn alike(&self, flow: &Flow) -> BTreeSet<ConnectionId> {
        let whole = self.tuples.get(&tuple(flow));
        let half = halves(flow)
            .into_iter()
            .filter_map(|it| self.halves.get(&it));
        whole.into_iter().chain(half).flatten().copied().collect()
    }

    /// Those, known by initial sequence numbers, which a packet may be of.
    pub fn of_packet(&self, flow: &Flow, seq: u32, ack: Option<u32>) -> BTreeSet<ConnectionId> {
        let mut found = self.alike(flow);
        found.extend(self.between(seq.wrapping_sub(WINDOW_STRANGER), seq));
        if let Some(ack) = ack {
            found.extend(self.between(ack.wrapping_sub(WINDOW_REQUESTS), ack));
        }
        found
    }

    /// Those, known by the numbers of one packet, which a socket with these initial numbers may have.
    pub fn of_socket(&self, flow: &Flow, isn: impl Iterator<Item = u32>) -> BTreeSet<ConnectionId> {
        let mut found = self.alike(flow);
        for first in isn {
            found.extend(self.between(first, first.wrapping_add(WINDOW_STRANGER)));
        }
        found
    }

    /// Those with exactly this number.
    pub fn numbered(&self, number: u32) -> impl Iterator<Item = ConnectionId> {
        self.between(number, number)
    }

    /// Those with a number from one to another, which may have wrapped in between.
    fn between(&self, from: u32, to: u32) -> impl Iterator<Item = ConnectionId> {
        let (first, second) = if from <= to {
            ((from, to), None)
        } else {
            ((from, u32::MAX), Some((0, to)))
        };
        std::iter::once(first)
            .chain(second)
            .flat_map(|(from, to)| {
                self.numbers
                    .range((from, ConnectionId::FIRST)..=(to, ConnectionId::LAST))
            })
            .map(|(_, id)| *id)
    }
}

fn add<K: Hash + Eq + Clone>(map: &mut HashMap<K, Few>, key: K, id: ConnectionId) {
    let known = map.entry(key).or_default();
    if !known.contains(&id) {
        known.push(id);
    }
}

fn forget<K: Hash + Eq + Clone>(map: &mut HashMap<K, Few>, key: &K, id: ConnectionId) {
    if let Some(known) = map.get_mut(key) {
        known.retain(|known| *known != id);
        if known.is_empty() {
            map.remove(key);
        }
    }
}

fn tuple(flow: &Flow) -> Tuple {
    let (one, other) = (flow.source, flow.destination);
    (flow.protocol, one.min(other), one.max(other))
}

fn halves(flow: &Flow) -> [Half; 2] {
    [
        (flow.protocol, flow.source, flow.destination.port()),
        (flow.protocol, flow.destination, flow.source.port()),
    ]
}
