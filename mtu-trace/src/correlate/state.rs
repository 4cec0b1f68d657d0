//! The state that events add up to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::connection::{Connection, Side};
use crate::{
    event::{Event, EventKind, Flow, Isn},
    topology::Topology,
};

/// Connections kept at most; quiet ones that nothing ails go first.
const MOST_CONNECTIONS: usize = 20_000;

/// A connection's number in the order of first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// Everything known so far.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The network as it is now.
    pub topology: Arc<Topology>,
    /// Time of the latest event, ns.
    pub now_ns: u64,
    /// Events so far, ticks and topology left out.
    pub events: u64,
    /// Records of our own that were lost.
    pub lost: u64,
    /// Hooks that are not at work.
    blind: BTreeSet<String>,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) sockets: HashMap<Flow, (ConnectionId, usize)>,
    pub(super) flows: HashMap<Flow, (ConnectionId, Side)>,
    pub(super) isns: HashMap<Isn, ConnectionId>,
    next: u64,
}

impl State {
    /// Connections in the order of first sight.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections.iter().map(|(id, found)| (*id, found))
    }

    /// The connection that a flow was found to belong to, and the direction of the flow in it.
    #[must_use]
    pub fn connection(&self, flow: &Flow) -> Option<(&Connection, Side)> {
        let of_socket = self.sockets.get(flow);
        let (id, side) = of_socket
            .map(|&(id, index)| (id, Connection::sends(index)))
            .or_else(|| self.flows.get(flow).copied())?;
        Some((self.connections.get(&id)?, side))
    }

    /// Whether a hook is not at work, so that what only it shows is not seen.
    #[must_use]
    pub fn is_blind(&self, hook: &str) -> bool {
        self.blind.contains(hook)
    }

    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        self.now_ns = self.now_ns.max(event.time_ns);
        if !matches!(
            event.kind,
            EventKind::Tick | EventKind::Topology(_) | EventKind::Blind(_)
        ) {
            self.events += 1;
        }
        match &event.kind {
            EventKind::Topology(topology) => self.topology = Arc::clone(topology),
            EventKind::Connection(socket) => {
                self.socket(*socket);
            }
            EventKind::Packet(packet) => self.packet(event.time_ns, packet),
            EventKind::Retransmit(retransmit) => self.retransmit(event.time_ns, retransmit),
            EventKind::Sample(sample) => self.sample(event.time_ns, sample),
            EventKind::Closed(closed) => self.closed(event.time_ns, closed),
            EventKind::Count(count) => self.count(count),
            EventKind::Lost(lost) => self.lost = *lost,
            EventKind::Blind(hooks) => self.blind = hooks.iter().cloned().collect(),
            EventKind::Tick => {}
        }
    }
    pub(super) fn insert(&mut self, connection: Connection) -> ConnectionId {
        if self.connections.len() >= MOST_CONNECTIONS {
            self.make_room();
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        self.connections.insert(id, connection);
        id
    }

    fn make_room(&mut self) {
        let mut quiet: Vec<(u64, ConnectionId)> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.out.oversized.is_empty() && connection.incoming.oversized.is_empty()
            })
            .map(|(id, connection)| (connection.last_ns, *id))
            .collect();
        if quiet.len() < MOST_CONNECTIONS / 10 {
            // Nothing but troubled ones: the oldest of them go.
            quiet.extend(
                self.connections
                    .iter()
                    .map(|(id, connection)| (connection.last_ns, *id)),
            );
        }
        quiet.sort_unstable();
        let gone: BTreeSet<ConnectionId> = quiet
            .iter()
            .take(MOST_CONNECTIONS / 10)
            .map(|(_, id)| *id)
            .collect();
        self.connections.retain(|id, _| !gone.contains(id));
        self.sockets.retain(|_, (id, _)| !gone.contains(id));
        self.flows.retain(|_, (id, _)| !gone.contains(id));
        self.isns.retain(|_, id| !gone.contains(id));
    }
}
